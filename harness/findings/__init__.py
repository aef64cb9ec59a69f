"""From a journal to what was learned, and what is done with it: collecting, choosing, nights, what is kept."""
