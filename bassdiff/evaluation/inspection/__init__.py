"""Inspects songs and stores before training."""
