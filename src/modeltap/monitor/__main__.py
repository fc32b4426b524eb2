"""`python -m modeltap.monitor`: the program of the built-in analyzer's jobs."""

import sys

from modeltap.monitor.job import main
from modeltap.tuning import collect_seldom

if __name__ == "__main__":
    collect_seldom()
    sys.exit(main())
