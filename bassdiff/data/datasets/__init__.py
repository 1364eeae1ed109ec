"""TFDS builders of multitrack sets: how they are prepared once, and read as songs by index."""
