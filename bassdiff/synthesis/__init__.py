"""Songs that are composed or read from notes, and rendered to stems."""
