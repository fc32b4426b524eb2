"""One POST to an address of the user's own, over HTTP or HTTPS.

A connection for each. The whole of it, names and handshake included, has `SECONDS_MAX`; of the
answer only the status counts, and no more than `ANSWER_BYTES_MAX` is read. A redirect is an answer
like any other: it is not followed. HTTPS trusts what the system trusts, or `SSL_CERT_FILE`.
"""

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from modeltap.clock import Clock
from modeltap.errors import AnswerUnreadable, InstanceGone
from modeltap.link.bounds import fits_header
from modeltap.link.http_connection import HttpConnection

SECONDS_MAX = 10.0
ANSWER_BYTES_MAX = 64 * 1024
PORTS = {"http": 80, "https": 443}


class Post:
    """Posts to one address, which no reason tells: it may be a secret."""

    def __init__(self, url: str, clock: Clock, seconds_max: float = SECONDS_MAX) -> None:
        parts = urlsplit(url)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host, self._netloc = parts.hostname or "", parts.netloc
        self._port = parts.port or PORTS[parts.scheme]
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._clock = clock
        self._seconds_max = seconds_max

    async def __call__(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Post; None: it was taken, with a status of 2xx. Else tell why it was not."""
        try:
            async with asyncio.timeout(self._seconds_max):
                status = await self._post(headers, body)
        except TimeoutError:
            return f"no answer within {self._seconds_max:g} s"
        except InstanceGone:
            return "the connection was closed before an answer"
        except (AnswerUnreadable, OSError, UnicodeError) as error:
            return f"{type(error).__name__}: {error}"
        return None if 200 <= status < 300 else f"status {status}"

    async def _post(self, headers: Mapping[str, str], body: bytes) -> int:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            _connection, self._host, self._port, ssl=self._tls
        )
        try:
            head = self._head(headers, len(body))
            return (await connection.ask(head, body, self._clock.monotonic())).status
        except AnswerUnreadable as error:
            if not error.status:
                raise
            return error.status  # what it said beyond that is of no interest
        finally:
            connection.close()

    def _head(self, headers: Mapping[str, str], length: int) -> bytes:
        fields = {"host": self._netloc, **headers, "content-length": str(length)}
        lines = [f"POST {self._target} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
        if not all(map(fits_header, lines)):
            raise ValueError("a field has a control character")
        return "\r\n".join([*lines, "connection: close", "", ""]).encode()


def _connection() -> HttpConnection:
    return HttpConnection("webhook", lambda: None, ANSWER_BYTES_MAX)
