"""Songs that are composed, read from notes and rendered."""
