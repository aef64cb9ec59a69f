"""Training of nets: pairs of faces, their augmentation, losses, schedules, checkpoints."""
