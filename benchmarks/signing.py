"""Requests as boto3 sends them, byte for byte, signed with the server's own key.

A client's `before-send` hook hands over what it is about to send and answers in the server's place.
A signature lives 15 minutes, so a pool is made right before it is used. Bodies differ, and every
request has an invocation id of its own, so no two signatures are alike.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

from modeltap.auth.keyring import Keyring
from modeltap.clock import SystemClock

REGION = "us-east-1"


def client(service: str, home: Path, url: str) -> Any:
    """Make a boto3 client with the key of a server's home; it does not retry."""
    key_id, secret = Keyring.open(home / "keys", SystemClock()).first()
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def signed(home: Path, port: int, endpoint: str, bodies: Iterable[str]) -> Iterator[bytes]:
    """Give the bytes of one signed InvokeEndpoint call for each body."""
    runtime = client("sagemaker-runtime", home, f"http://127.0.0.1:{port}")
    sent: list[AWSPreparedRequest] = []

    def take(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, {"content-type": "text/csv"}, _Nothing())

    runtime.meta.events.register("before-send.sagemaker-runtime.InvokeEndpoint", take)
    for body in bodies:
        runtime.invoke_endpoint(EndpointName=endpoint, ContentType="text/csv", Body=body)
        yield _bytes(sent.pop(), port)


class _Nothing:
    """The answer of the hook: a body without bytes."""

    def stream(self) -> Iterator[bytes]:
        return iter(())

    def read(self) -> bytes:
        return b""


def _bytes(request: AWSPreparedRequest, port: int) -> bytes:
    path = "/" + request.url.split("/", 3)[3]
    fields = {
        name: value.decode() if isinstance(value, bytes) else str(value)
        for name, value in request.headers.items()
    }
    if "host" not in map(str.lower, fields):  # the signer in C adds it, the other leaves it out
        fields["Host"] = f"127.0.0.1:{port}"
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    body = request.body.encode() if isinstance(request.body, str) else request.body
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
