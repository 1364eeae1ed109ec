"""Evaluation: tasks, baselines, reports, listening tests and inspection of data."""
