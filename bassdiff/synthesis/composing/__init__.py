"""Composition of songs: metre, harmony, drums, bass lines and the rest of the band."""
