"""Evaluation at work: a generator, a judge and songs become tables, one file per question."""
