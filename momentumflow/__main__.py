"""`python -m momentumflow` is the command line."""

import sys

from momentumflow.cli import main

if __name__ == "__main__":
    sys.exit(main())
