"""The entry of every child process: `python -m modeltap.house ASSIGNMENT`."""

import sys

from modeltap.house import control, gateway, process, shipper, spooler, store

ROLES: dict[str, process.Role] = {
    "store": store.serve,
    "control": control.serve,
    "shipper": shipper.serve,
    "spooler": spooler.serve,
    "gateway": gateway.serve,
}

if __name__ == "__main__":
    assignment = process.Assignment.decode(sys.argv[1])
    process.run(ROLES[assignment.role], assignment)
