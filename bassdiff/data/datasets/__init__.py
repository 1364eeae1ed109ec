"""TFDS builders of multitrack datasets: prepared once, read as songs by index."""
