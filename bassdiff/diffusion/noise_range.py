"""The range of noise levels in which models are trained and basses sampled."""

SIGMA_MIN = 0.01
SIGMA_MAX = 80.0
