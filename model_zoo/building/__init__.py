"""From a recipe to variants: what a recipe says, in which order its steps run, and where their outcome is kept."""
