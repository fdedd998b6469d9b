"""Rooted and free trees, and how they are written and drawn."""
