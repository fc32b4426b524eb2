"""What a batch transform captures: manifests of its inputs and its outputs (contract §1.10).

    {destination}/input/yyyy/mm/dd/hh/{id}.json      [{"prefix": "s3://…/"}, "name", …]
    {destination}/output/yyyy/mm/dd/hh/{id}.json

The hour is that of the job's start, UTC. Both of a job have the same id and the same order: the
n-th output is the n-th input's. Schedules find them (`control.batch_captures`), and the analyzer
makes rows of what they name (`monitor.transformed`).
"""

import hashlib
import json
from collections.abc import Sequence
from posixpath import commonprefix

from modeltap.clock import utc

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


def capture_id(job_arn: str, created_ns: int) -> str:
    """Give the id of a job's manifests: the same, should they be written again."""
    digest = hashlib.sha256(f"{job_arn} {created_ns}".encode()).hexdigest()
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:32]))
