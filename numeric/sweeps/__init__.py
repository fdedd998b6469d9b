"""Grids of runs: in parallel, resumable, stored."""
