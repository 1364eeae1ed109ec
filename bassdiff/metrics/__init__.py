"""Pure measures: what a bass and its mix have in common, and how a bass sounds."""
