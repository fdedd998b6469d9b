"""Reparametrised networks: their laws and their mirror flows."""
