"""Evaluation at work: a bassist, a judge and songs become tables, one file per question."""
