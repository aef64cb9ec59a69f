"""The nets and classifiers that a recipe may begin with."""
