"""Control that dies at any step: its coroutines are driven, step by step."""

import types
from collections.abc import Coroutine, Generator
from typing import Any, Protocol


class Mortal(Protocol):
    """One life of control; it may take so many steps more (None: any number)."""

    steps: int | None

    def die(self) -> None:
        """Hear that the steps are used up."""
        ...


@types.coroutine
def stepped(life: Mortal, work: Coroutine[Any, Any, None]) -> Generator[Any, Any, None]:
    """Drive a coroutine; no step of it is taken once the life's steps are used up."""
    value: Any = None
    error: BaseException | None = None
    while True:
        if life.steps == 0:
            life.die()
            work.close()
            return
        if life.steps is not None:
            life.steps -= 1
        try:
            yielded = work.send(value) if error is None else work.throw(error)
        except StopIteration:
            return
        error = None
        try:
            value = yield yielded
        except BaseException as thrown:
            error = thrown
