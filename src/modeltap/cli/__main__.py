"""`python -m modeltap.cli` is `modeltap`."""

from modeltap.cli import main

if __name__ == "__main__":
    main()
