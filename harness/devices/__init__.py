"""A device from this side: reached, leased, made ready, set, spoken with, and left as it was."""
