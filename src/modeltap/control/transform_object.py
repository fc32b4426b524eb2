"""One object through one instance: fetched, split, asked, shaped, assembled, and sent as a whole.

    S3 ─▶ {n}.in ─batches─▶ Member (some in flight) ─▶ answers, in order ─shaping─▶ {n}.out ─▶ S3

Memory holds the batches in flight and their answers, however large the object is. What takes time
(reading, cutting, joining) runs in threads, so that control's loop goes on.
"""

import asyncio
import gzip
import zlib
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from modeltap.clock import Clock, stamp
from modeltap.control.patience import Patience
from modeltap.control.staging import Stores
from modeltap.control.transform_crew import Asked, Member, ObjectFailed
from modeltap.control.transform_files import Item, TransformFiles
from modeltap.errors import LaunchFailed, ObjectNotFound, ObjectStoreError, ObjectTooLarge
from modeltap.nouns import Answer
from modeltap.transform.records import Batch, RecordRefused
from modeltap.transform.shaping import ended
from modeltap.transform.terms import Terms

AHEAD_MAX = 64
AHEAD_BYTES_MAX = 64 * 1024
"""Batches that are read together: a thread for each small one would take longer than the model."""


class ObjectTransform:
    """Transforms the objects of one job, one at a time a member."""

    def __init__(
        self,
        terms: Terms,
        files: TransformFiles,
        stores: Stores,
        patience: Patience,
        clock: Clock,
        *,
        object_bytes_max: int,
    ) -> None:
        self._terms = terms
        self._files = files
        self._stores = stores
        self._patience = patience
        self._clock = clock
        self._object_bytes_max = object_bytes_max

    async def transform(self, number: int, item: Item, member: Member) -> None:
        """Bring an object's output to the bucket.

        Raise `ObjectFailed`, and `LaunchFailed` where no other object would fare better.
        """
        whole = self._files.whole(number)
        if not whole.exists():
            await self._make(number, item, member)
        await self._send(whole, item)
        await asyncio.to_thread(self._files.mark, number)

    async def _make(self, number: int, item: Item, member: Member) -> None:
        source = self._files.source(number)
        await self._fetch(item, source)
        try:
            with _opened(source, self._terms.gzip) as given, self._files.begin(number) as out:
                await self._through(self._terms.batches(given), out, member)
                await asyncio.to_thread(self._files.finish, number, out)
        except RecordRefused as error:
            raise ObjectFailed(str(error)) from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ObjectFailed(
                "it is no whole gzip file, as TransformInput.CompressionType says it is"
            ) from error
        source.unlink()

    async def _fetch(self, item: Item, path: Path) -> None:
        store, key = self._stores(item.uri)
        path.unlink(missing_ok=True)
        try:
            await self._patience.of(lambda: store.fetch(key, path, self._object_bytes_max))
        except (ObjectNotFound, ObjectTooLarge) as error:
            raise ObjectFailed(str(error)) from error
        except ObjectStoreError as error:
            raise LaunchFailed(
                f"ClientError: {item.uri} could not be fetched: {error}. Check TransformInput and "
                "the settings of its store."
            ) from error

    async def _through(self, batches: Iterator[Batch], out: BinaryIO, member: Member) -> None:
        """Have all batches answered, some at once; write what is kept of them, in order."""
        flying: deque[tuple[Batch, Asked]] = deque()
        ready: deque[Batch] = deque()
        try:
            while True:
                while len(flying) < self._terms.concurrent:
                    if not ready:
                        ready.extend(await asyncio.to_thread(_some, batches))
                    if not ready:
                        break
                    batch = ready.popleft()
                    flying.append((batch, member.ask(batch)))
                if not flying:
                    return
                batch, asked = flying.popleft()
                answer = await member.answer(batch, asked)
                if batch.size + len(answer.body) < AHEAD_BYTES_MAX:
                    self._write(out, batch, answer)  # sooner done than handed to a thread
                else:
                    await asyncio.to_thread(self._write, out, batch, answer)
        finally:
            for _, asked in flying:
                asked.cancel()

    def _write(self, out: BinaryIO, batch: Batch, answer: Answer) -> None:
        told = answer.content_type or self._terms.accept
        time = stamp(self._clock.now_ns())
        try:
            kept = self._terms.shaping.kept(batch, answer.body, told, self._clock.uuid4, time)
        except RecordRefused as error:
            raise RecordRefused(f"{batch.title}: {error}") from None
        out.write(ended(kept, lines=self._terms.assembles_lines))

    async def _send(self, path: Path, item: Item) -> None:
        store, prefix = self._stores(self._terms.output)
        key = f"{prefix}/{item.name}.out" if prefix else f"{item.name}.out"
        key_id = self._terms.kms_key_id
        try:
            await self._patience.of(partial(store.send, key, path, kms_key_id=key_id))
        except ObjectStoreError as error:
            raise LaunchFailed(
                f"ClientError: The output of {item.uri} could not be uploaded to "
                f"{self._terms.output}: {error}. Check TransformOutput.S3OutputPath, that its "
                "bucket exists, and the settings of its store."
            ) from error


def _some(batches: Iterator[Batch]) -> list[Batch]:
    """Read a few small batches, or one large; none at the object's end. For a thread."""
    found: list[Batch] = []
    size = 0
    while size < AHEAD_BYTES_MAX and len(found) < AHEAD_MAX:
        batch = next(batches, None)
        if batch is None:
            break
        found.append(batch)
        size += batch.size
    return found


def _opened(path: Path, zipped: bool) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if zipped else path.open("rb")
