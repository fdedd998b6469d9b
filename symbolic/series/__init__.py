"""Series over trees, and their values on a concrete loss."""
