"""Measures: does the bass follow the mix, is its pitch kept, does it sound real."""
