"""What a batch transform captures: manifests of its inputs and its outputs (contract §1.10).

    {destination}/input/yyyy/mm/dd/hh/{id}.json      [{"prefix": "s3://…/"}, "name", …]
    {destination}/output/yyyy/mm/dd/hh/{id}.json

The hour is that of the job's start, UTC. Both of a job have the same id and the same order: the
n-th output is the n-th input's. What a monitoring schedule needs to read them back:

    manifest_folder, for each hour ─▶ pairs ─▶ merged_csv | merged_json_lines, for each pair
"""

import json
from collections.abc import Iterator, Sequence
from posixpath import commonprefix

from modeltap.clock import utc
from modeltap.transform.records import RecordRefused, bare

SIDES = ("input", "output")


def manifest_folder(prefix: str, side: str, now_ns: int) -> str:
    """Name the folder of an hour's manifests, below the prefix of a destination."""
    name = f"{side}/{utc(now_ns):%Y/%m/%d/%H}/"
    folder = prefix.rstrip("/")
    return f"{folder}/{name}" if folder else name


def manifest_key(prefix: str, side: str, started_ns: int, capture_id: str) -> str:
    return f"{manifest_folder(prefix, side, started_ns)}{capture_id}.json"


def manifest(uris: Sequence[str]) -> bytes:
    """Write a manifest: the folder that all objects are in, and their names from there."""
    folder = commonprefix(uris).rpartition("/")[0] + "/"
    names = [uri.removeprefix(folder) for uri in uris]
    return json.dumps([{"prefix": folder}, *names], ensure_ascii=False).encode()


def pairs(inputs: bytes, outputs: bytes) -> list[tuple[str, str]]:
    """Give the URIs of each input and its output. Raise `ValueError` for no pair of manifests."""
    return list(zip(_uris(inputs), _uris(outputs), strict=True))


def _uris(data: bytes) -> list[str]:
    document = json.loads(data)
    try:
        prefix, names = document[0]["prefix"], document[1:]
        return [prefix + name for name in names]
    except (LookupError, TypeError):
        raise ValueError("this is no manifest") from None


def merged_csv(given: bytes, output: bytes) -> bytes:
    """Join two CSV objects line by line: the output's columns, then the input's.

    Raise `RecordRefused` where they have not the same number of lines.
    """
    return b"".join(out + b"," + line + b"\n" for line, out in _lines(given, output))


def merged_json_lines(given: bytes, output: bytes) -> bytes:
    """Join two objects of JSON lines: the output's members, then the input's that it has not.

    Raise `RecordRefused` where they have not the same number of lines, or a line is no object.
    """
    return b"".join(_merged(line, out) + b"\n" for line, out in _lines(given, output))


def _lines(given: bytes, output: bytes) -> Iterator[tuple[bytes, bytes]]:
    inputs, outputs = (
        [each for line in data.split(b"\n") if (each := bare(line)).strip()]
        for data in (given, output)
    )
    if len(inputs) != len(outputs):
        raise RecordRefused(f"{len(outputs)} lines of output for {len(inputs)} of input")
    return zip(inputs, outputs, strict=True)


def _merged(line: bytes, out: bytes) -> bytes:
    try:
        given, output = json.loads(line), json.loads(out)
        return json.dumps(
            {**output, **{k: v for k, v in given.items() if k not in output}}
        ).encode()
    except (ValueError, TypeError, AttributeError):
        raise RecordRefused("a line is no JSON object") from None
