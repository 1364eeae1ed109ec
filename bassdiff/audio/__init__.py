"""Signals before any learning: files, resampling, loudness, Fourier transforms."""
