"""Hold idle keep-alive connections: `python -m benchmarks.holding PORT COUNT`, until stdin ends.

Each has asked one `GET /ping`, so that it is idle between requests, not silent before its first.
"""

import socket
import sys

from benchmarks.contenders.modeltap import PING


def held(port: int, count: int) -> list[socket.socket]:
    """Open connections one by one. Raise `OSError` where one is refused."""
    connections: list[socket.socket] = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
        connection.sendall(PING)
        if not connection.recv(4096):
            raise ConnectionError(f"connection {len(connections) + 1} was closed unanswered")
        connections.append(connection)
    return connections


if __name__ == "__main__":
    held_open = held(int(sys.argv[1]), int(sys.argv[2]))
    print(len(held_open), flush=True)
    sys.stdin.read()
