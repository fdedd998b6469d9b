"""Continuous runs: the momentum gradient flow."""
