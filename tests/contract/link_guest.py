"""An instance in a process of its own, that does what the body of a call tells it.

`python link_guest.py WAY ADDRESS`: `frames` with the annex's own server on a socket's path, `http`
on a port, `unix+http` on a socket's path. A body is `VERB ARGUMENT`:

    echo …      200, the body itself; the content type and custom attributes of the call
    accept      200, what the call accepts
    status N    that status, a short body
    large N     200, N bytes
    headers     200, the names of all headers over HTTP; `none` over frames
    hang        never an answer
    die         the end of the process
"""

import os
import socketserver
import sys
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from modeltap_worker.frames import Call, Reply
from modeltap_worker.server import Server

ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


def obey(call: Call, headers: str = "none") -> Reply:
    verb, _, argument = call.body.partition(b" ")
    if verb == b"die":
        os._exit(9)
    if verb == b"hang":
        time.sleep(1000)
    status, body = 200, call.body
    if verb == b"accept":
        body = (call.accept or "absent").encode()
    elif verb == b"status":
        status, body = int(argument), b"so told"
    elif verb == b"large":
        body = bytes(int(argument))
    elif verb == b"headers":
        body = headers.encode()
    return Reply(status, call.content_type, call.custom_attributes, body)


class Obedient:
    """The frames' side: one call at a time, or many at once."""

    body_bytes_max = 1 << 24
    batches = True

    def answer(self, calls: Sequence[Call]) -> list[Reply]:
        return [obey(call) for call in calls]

    def too_large(self) -> Reply:
        return Reply(413, None, None, b"")


class Handler(BaseHTTPRequestHandler):
    """The HTTP side: a thread a connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.tell(Reply(200 if self.path == "/ping" else 404, None, None, b""))

    def do_POST(self) -> None:
        assert self.path == "/invocations"
        body = self.rfile.read(int(self.headers["Content-Length"]))
        given = self.headers
        call = Call(given["Content-Type"], given["Accept"], given[ATTRIBUTES], body)
        self.tell(obey(call, " ".join(sorted(name.lower() for name in given))))

    def tell(self, reply: Reply) -> None:
        self.send_response(reply.status)
        if reply.content_type is not None:
            self.send_header("Content-Type", reply.content_type)
        if reply.custom_attributes is not None:
            self.send_header(ATTRIBUTES, reply.custom_attributes)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's own
        """Say nothing."""

    def address_string(self) -> str:
        return "caller"


class OnPort(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


class OnPath(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


def main() -> None:
    way, address = sys.argv[1:]
    if way == "frames":
        server = Server(Obedient(), lambda line: None, batch_rows_max=8)
        server.serve(Path(address), os.pipe()[0])
    elif way == "http":
        OnPort(("127.0.0.1", int(address)), Handler).serve_forever()
    else:
        OnPath(address, Handler).serve_forever()


if __name__ == "__main__":
    main()
