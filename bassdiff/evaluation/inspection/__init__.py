"""What a set of songs holds, before anything is trained on it."""
