"""Signal processing without learning: files, resampling, loudness, Fourier transforms."""
