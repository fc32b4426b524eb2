"""The folder of a transform job: what it has decided on and done, so that it can be resumed.

    inputs.json    which objects, listed once: what is written below their prefix is none of them
    done           the numbers of the objects whose outputs are in the bucket
    {n}.in         an input, fetched
    {n}.part       its output, growing
    {n}.out        its output, whole and synced: from here on its bytes are decided

A control that is killed anywhere leaves no part of an output in the bucket. Its successor sends a
`.out` as it is, begins others anew, and passes over what is done. A number in `done` stands between
a line's end and a semicolon: what a loss of power cut short is none.
"""

import json
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

_DONE = re.compile(r"^(\d+);$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Item:
    """An object to be transformed. `name` is what stands below the prefix in its key."""

    uri: str
    name: str


class TransformFiles:
    """The folder of one job; made when it is first needed. Its methods raise `OSError`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def items(self) -> list[Item] | None:
        """Give the objects that were decided on, or None."""
        try:
            return [Item(**each) for each in json.loads(self._inputs.read_bytes())]
        except FileNotFoundError:
            return None

    def decide(self, items: Sequence[Item]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self._folder / "inputs.part"
        with beside.open("w") as file:
            json.dump([asdict(item) for item in items], file)
            os.fsync(file.fileno())
        beside.rename(self._inputs)

    def done(self) -> set[int]:
        with suppress(FileNotFoundError):
            return {int(number) for number in _DONE.findall(self._done.read_text())}
        return set()

    def mark(self, number: int) -> None:
        """Note that an output is in the bucket, and part with its files."""
        with self._done.open("a") as file:
            file.write(f"\n{number};")
        self.whole(number).unlink(missing_ok=True)
        self.source(number).unlink(missing_ok=True)

    def source(self, number: int) -> Path:
        return self._folder / f"{number}.in"

    def whole(self, number: int) -> Path:
        return self._folder / f"{number}.out"

    def begin(self, number: int) -> BinaryIO:
        return self._part(number).open("wb")

    def finish(self, number: int, file: BinaryIO) -> None:
        """Make a growing output whole."""
        file.flush()
        os.fsync(file.fileno())
        self._part(number).rename(self.whole(number))

    def clear(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _inputs(self) -> Path:
        return self._folder / "inputs.json"

    @property
    def _done(self) -> Path:
        return self._folder / "done"

    def _part(self, number: int) -> Path:
        return self._folder / f"{number}.part"
