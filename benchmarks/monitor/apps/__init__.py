"""The programs of the contenders, each run by the Python of its own environment."""
