"""Momentum methods: how they are stated and read."""
