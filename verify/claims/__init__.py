"""Claims of the theory, one file a theme."""
