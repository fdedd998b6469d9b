"""The claims of the theory, one file a theme; `verify/catalogue.py` has them in order."""
