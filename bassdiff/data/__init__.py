"""Where pairs of a mix and its bass come from."""
