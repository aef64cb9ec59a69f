"""From a net to files for runtimes, each held against the net on real pictures before it counts as written."""
