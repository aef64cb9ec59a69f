"""Devices as they are in a lab: reached by the real protocols, from push to report."""
