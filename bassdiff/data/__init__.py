"""Pairs of a mix and its bass: datasets, stores and the input pipeline."""
