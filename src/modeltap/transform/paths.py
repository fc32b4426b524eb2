"""The JSONPath of `InputFilter` and `OutputFilter`: the operators that AWS documents, and no other.

    $               the root
    .name  ['name']         a member          ['a','b']    an object of some members
    [1]  [-1]               an element        [1,3]        a list of some elements
    [a:b]  [:b]  [a:]       a list of the elements from a on, before b
    .*  [*]                 all members or elements, as a list

A CSV record is the list of its fields. What a path names and a record has not is an error, as on
AWS; a slice takes what there is, and at least one element.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_STEP = re.compile(
    r"""\.?\[\s*(?P<start>-?\d+)?\s*(?P<colon>:)\s*(?P<end>-?\d+)?\s*\]
      | \.?\[\s*(?P<indexes>-?\d+(?:\s*,\s*-?\d+)*)\s*\]
      | \.?\[\s*(?P<names>'[^']*'(?:\s*,\s*'[^']*')*|"[^"]*"(?:\s*,\s*"[^"]*")*)\s*\]
      | (?P<wild>\.\*|\.?\[\s*\*\s*\])
      | \.(?P<name>[^.\[\]'"*,:\s]+)""",
    re.VERBOSE,
)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


class PathRefused(ValueError):
    """A text is no path of this kind; the message says where it stops to be one."""


class NothingThere(LookupError):
    """A record has not what a path names."""


@dataclass(frozen=True, slots=True)
class Names:
    names: tuple[str, ...]

    def of(self, value: Any, rest: "Steps") -> Any:
        if not isinstance(value, dict) or not value.keys() >= set(self.names):
            raise NothingThere
        if len(self.names) == 1:
            return select(value[self.names[0]], rest)
        return {name: value[name] for name in self.names}


@dataclass(frozen=True, slots=True)
class Indexes:
    indexes: tuple[int, ...]

    def of(self, value: Any, rest: "Steps") -> Any:
        if not isinstance(value, list):
            raise NothingThere
        try:
            found = [value[index] for index in self.indexes]
        except IndexError:
            raise NothingThere from None
        return select(found[0], rest) if len(found) == 1 else [select(each, rest) for each in found]


@dataclass(frozen=True, slots=True)
class Slice:
    start: int | None
    end: int | None

    def of(self, value: Any, rest: "Steps") -> Any:
        found = value[self.start : self.end] if isinstance(value, list) else []
        if not found:
            raise NothingThere
        return [select(each, rest) for each in found]


@dataclass(frozen=True, slots=True)
class Every:
    def of(self, value: Any, rest: "Steps") -> Any:
        if not isinstance(value, dict | list):
            raise NothingThere
        each_of = value.values() if isinstance(value, dict) else value
        return [select(each, rest) for each in each_of]


Step = Names | Indexes | Slice | Every
Steps = Sequence[Step]


@dataclass(frozen=True, slots=True)
class Path:
    """A path that was read; `text` is how it was given."""

    text: str
    steps: tuple[Step, ...]

    def of(self, value: Any) -> Any:
        """Give what it names of a JSON value. Raise `NothingThere`."""
        return select(value, self.steps)

    @property
    def is_root(self) -> bool:
        return not self.steps

    @property
    def fits_csv(self) -> bool:
        """Tell whether it names columns: by number, once."""
        return len(self.steps) <= 1 and not any(isinstance(step, Names) for step in self.steps)


ROOT = Path("$", ())


def select(value: Any, steps: Steps) -> Any:
    return steps[0].of(value, steps[1:]) if steps else value


def parse(text: str) -> Path:
    """Read a path. Raise `PathRefused`."""
    if not text.startswith("$"):
        raise PathRefused(f"{text!r} does not begin with $, as $ or $[1:] does")
    steps: list[Step] = []
    at = 1
    while at < len(text):
        found = _STEP.match(text, at)
        if found is None:
            raise PathRefused(f"{text!r} cannot be read from {text[at:]!r} on")
        if steps and isinstance(steps[-1], Names) and len(steps[-1].names) > 1:
            raise PathRefused(f"{text!r} goes on behind a list of names")
        steps.append(_step(found))
        at = found.end()
    return Path(text, tuple(steps))


def _step(found: re.Match[str]) -> Step:
    if found["colon"]:
        return Slice(*(None if found[end] is None else int(found[end]) for end in ("start", "end")))
    if found["indexes"]:
        return Indexes(tuple(int(index) for index in found["indexes"].split(",")))
    if found["names"]:
        return Names(tuple(one or other for one, other in _QUOTED.findall(found["names"])))
    return Every() if found["wild"] else Names((found["name"],))
