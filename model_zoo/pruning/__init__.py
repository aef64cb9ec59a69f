"""Smaller nets: whole channels taken out with what depends on them, or single weights set to zero."""
