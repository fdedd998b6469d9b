"""Theorems as chains of steps that are proved, and of sentences that join them."""
