"""What a batch transform captures: manifests of its inputs and its outputs (contract §1.10).

    {destination}/input/yyyy/mm/dd/hh/{id}.json      [{"prefix": "s3://…/"}, "name", …]
    {destination}/output/yyyy/mm/dd/hh/{id}.json

The hour is that of the job's start, UTC. Both of a job have the same id and the same order: the
n-th output is the n-th input's. `pairs` and `merged_csv` read them back, for a monitoring schedule.
"""

import json
from collections.abc import Sequence
from posixpath import commonprefix

from modeltap.clock import utc
from modeltap.transform.records import RecordRefused, bare

SIDES = ("input", "output")


def manifest_key(prefix: str, side: str, started_ns: int, capture_id: str) -> str:
    """Name a manifest, below the prefix of a destination."""
    name = f"{side}/{utc(started_ns):%Y/%m/%d/%H}/{capture_id}.json"
    folder = prefix.rstrip("/")
    return f"{folder}/{name}" if folder else name


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
    inputs, outputs = (
        [each for line in data.split(b"\n") if (each := bare(line)).strip()]
        for data in (given, output)
    )
    if len(inputs) != len(outputs):
        raise RecordRefused(f"{len(outputs)} lines of output for {len(inputs)} of input")
    return b"".join(out + b"," + line + b"\n" for line, out in zip(inputs, outputs, strict=True))
