"""Discrete runs: the methods on the network."""
