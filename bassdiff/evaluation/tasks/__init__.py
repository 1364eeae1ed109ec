"""The evaluation tasks, one file per question: from a generator and songs to a table."""
