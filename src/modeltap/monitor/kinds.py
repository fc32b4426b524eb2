"""The type of a value and of a column, as Deequ tells them: by the text alone (contract §4.3.1)."""

import re
from dataclasses import dataclass
from enum import StrEnum

INTEGRAL = re.compile(r"[-+]? ?[0-9]+")
FRACTIONAL = re.compile(r"[-+]? ?[0-9]+(?:\.[0-9]+|(?:\.[0-9]+)?[Ee][-+]?[0-9]+)")
BOOLEANS = frozenset({"true", "false"})


class Kind(StrEnum):
    """The type of a value; of a column all but `BOOLEAN`, in AWS's words (`inferred_type`)."""

    INTEGRAL = "Integral"
    FRACTIONAL = "Fractional"
    BOOLEAN = "Boolean"
    STRING = "String"
    UNKNOWN = "Unknown"


NUMERIC = frozenset({Kind.INTEGRAL, Kind.FRACTIONAL})


def kind_of(text: str | None) -> Kind:
    """Tell the type of one value; `1.` and `.5`, `NaN` and `inf` are strings, as in Deequ.

    So is a number that no double can hold, because nothing could be computed with it.
    """
    if text is None:
        return Kind.UNKNOWN
    if INTEGRAL.fullmatch(text) or FRACTIONAL.fullmatch(text):
        return Kind.STRING if abs(number_of(text)) == float("inf") else _number_kind(text)
    return Kind.BOOLEAN if text in BOOLEANS else Kind.STRING


def _number_kind(text: str) -> Kind:
    return Kind.INTEGRAL if INTEGRAL.fullmatch(text) else Kind.FRACTIONAL


def number_of(text: str) -> float:
    """Read a text that is `INTEGRAL` or `FRACTIONAL`, without the blank behind its sign."""
    return float(text.replace(" ", ""))


@dataclass(frozen=True, slots=True)
class Tally:
    """How many values of a column are of which type."""

    integral: int = 0
    fractional: int = 0
    boolean: int = 0
    string: int = 0
    missing: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.integral + other.integral,
            self.fractional + other.fractional,
            self.boolean + other.boolean,
            self.string + other.string,
            self.missing + other.missing,
        )

    @property
    def present(self) -> int:
        return self.numeric + self.boolean + self.string

    @property
    def numeric(self) -> int:
        return self.integral + self.fractional

    @property
    def total(self) -> int:
        return self.present + self.missing

    @property
    def completeness(self) -> float:
        """Give the share of values that are there; 1 where there is no row at all."""
        return self.present / self.total if self.total else 1.0

    def kind(self) -> Kind:
        """Tell the column's type; booleans are strings in reports."""
        if not self.present:
            return Kind.UNKNOWN
        if self.string or self.boolean:
            return Kind.STRING
        return Kind.FRACTIONAL if self.fractional else Kind.INTEGRAL

    def matching(self, expected: Kind) -> float:
        """Give the share of present values that fit a baseline's type (contract §4.5).

        A whole number fits a fraction; everything fits a string, and a column without a type.
        """
        fits = {
            Kind.INTEGRAL: self.integral,
            Kind.FRACTIONAL: self.numeric,
            Kind.BOOLEAN: self.boolean,
        }.get(expected, self.present)
        return fits / self.present if self.present else 1.0
