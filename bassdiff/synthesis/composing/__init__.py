"""How songs are made up: metre, harmony, drums, bass lines and the rest of the band."""
