"""The entry of every child process: `python -m modeltap.house ASSIGNMENT`.

A role is a module of this room with a coroutine function `serve`. It alone is imported: what the
other roles need would cost each process a second and tens of MB.
"""

import importlib
import sys

from modeltap.house import process

if __name__ == "__main__":
    assignment = process.Assignment.decode(sys.argv[1])
    role: process.Role = importlib.import_module(f"modeltap.house.{assignment.role}").serve
    process.run(role, assignment)
