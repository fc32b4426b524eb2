"""`python -m modeltap.monitor`: the program of the built-in analyzer's jobs."""

import sys

from modeltap.monitor.job import main

if __name__ == "__main__":
    sys.exit(main())
