"""Modified equations and what follows from them."""
