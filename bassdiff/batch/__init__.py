"""Many songs as one job: read from a manifest, played in groups, published once, resumed."""
