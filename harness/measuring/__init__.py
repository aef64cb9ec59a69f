"""What is done on a device, step by step: rounds, passes, pairs, races, time that is bounded."""
