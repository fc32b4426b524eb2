"""A job's outputs: from where its program left them to S3 (contract §4.2).

A file below an output's `LocalPath` becomes the object `{S3Uri}/{its path there}`. `EndOfJob`: when
the program has ended, well or not. `Continuous`: while it runs, too. Nobody tells when a file is
whole; so it goes up while it has not changed from one look to the next, and again when it has
changed since. Links are not followed, as on AWS, and only plain files go up.

A control that begins anew uploads all again: the same files to the same keys.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from modeltap.control.jobs import Job
from modeltap.control.patience import Patience
from modeltap.control.staging import Stores, Tell, inside
from modeltap.errors import ObjectStoreError, StoreRefused
from modeltap.nouns import Document

Stamp = tuple[int, int, int]
"""Time of the last change, size, and number of a file: another, and its content may be another."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a job."""

    name: str
    uri: str
    folder: Path
    continuous: bool


def outputs_of(job: Job, ml: Path) -> list[Output]:
    """Give the outputs that we upload: not those that the program sees to itself (AppManaged)."""
    given: list[Document] = job.spec.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return [
        Output(
            each["OutputName"],
            each["S3Output"]["S3Uri"],
            inside(ml, each["S3Output"]["LocalPath"]),
            each["S3Output"]["S3UploadMode"] == "Continuous",
        )
        for each in given
        if not each.get("AppManaged", False)
    ]


class Delivery:
    """The uploads of one job; it knows which files have gone up as they are."""

    def __init__(self, job: Job, ml: Path, stores: Stores, patience: Patience, tell: Tell) -> None:
        self.outputs = outputs_of(job, ml)
        self.continuous = any(output.continuous for output in self.outputs)
        self._kms_key_id = job.spec.get("ProcessingOutputConfig", {}).get("KmsKeyId")
        self._stores = stores
        self._patience = patience
        self._tell = tell
        self._seen: dict[Path, Stamp] = {}
        self._sent: dict[Path, Stamp] = {}
        self._refused = False  # told once, tried again each time

    async def catch_up(self) -> None:
        """Upload the files of `Continuous` outputs that have changed and are quiet now."""
        for output in self.outputs:
            if output.continuous:
                await self._catch_up(output)

    async def _catch_up(self, output: Output) -> None:
        for path, stamp in await asyncio.to_thread(_files, output.folder):
            quiet = self._seen.get(path) == stamp
            self._seen[path] = stamp
            if not quiet or self._sent.get(path) == stamp:
                continue
            try:
                await self._send(output, path, stamp)
            except ObjectStoreError as error:
                if not self._refused:
                    self._tell(_undelivered(output, error))
                self._refused = True
                return

    async def complete(self) -> str | None:
        """Upload all that has not gone up as it is; give what failed, as a `FailureReason`."""
        for output in self.outputs:
            files = await asyncio.to_thread(_files, output.folder)
            try:
                for path, stamp in files:
                    if self._sent.get(path) != stamp:
                        await self._patience.of(partial(self._send, output, path, stamp))
            except ObjectStoreError as error:
                return _undelivered(output, error)
            self._tell(f"output {output.name}: {len(files)} files -> {output.uri}")
        return None

    async def _send(self, output: Output, path: Path, stamp: Stamp) -> None:
        name = path.relative_to(output.folder).as_posix()
        store, prefix = self._stores(output.uri)
        prefix = prefix.rstrip("/")
        key = f"{prefix}/{name}" if prefix else name
        if not _is_text(key):
            raise StoreRefused("the name of a file there is not UTF-8")
        await store.send(key, path, kms_key_id=self._kms_key_id)
        self._sent[path] = stamp


def _files(folder: Path) -> list[tuple[Path, Stamp]]:
    """Give every plain file below a folder that is none by a link, in order of its path."""
    return [] if folder.is_symlink() else sorted(_below(folder))


def _below(folder: Path) -> Iterator[tuple[Path, Stamp]]:
    with suppress(FileNotFoundError, NotADirectoryError):  # it was never made, or has just gone
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                yield from _below(Path(entry.path))
            elif entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                yield Path(entry.path), (status.st_mtime_ns, status.st_size, status.st_ino)


def _is_text(name: str) -> bool:
    """Tell whether a name is UTF-8: other bytes come from the file system as surrogates."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


def _undelivered(output: Output, error: ObjectStoreError) -> str:
    return (
        f"ClientError: Output {output.name} could not be uploaded to {output.uri}: {error}. Check "
        "that the bucket exists and the settings of its store, and create the job again under "
        "another name."
    )
