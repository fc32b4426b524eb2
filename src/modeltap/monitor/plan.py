"""What one pass over a dataset is to do: a frozen value that travels to whoever does a part."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Format(StrEnum):
    """What a dataset's files are (contract §4.2: `dataset_format`)."""

    CAPTURE = "sagemakerCaptureJson"
    CSV = "csv"
    JSON = "json"  # objects, one a line or all in a list
    PARQUET = "parquet"


SIDES = ("endpointOutput", "endpointInput")
"""The sides of a captured record, in the order of their columns."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How files become summaries.

    `names` are the columns by position; a CSV file with a header has its own. `textual` columns
    keep their numbers as texts, too; of `watched` ones these values are counted however many others
    there are. Of captured records these `sides` make the rows, and `start` and `end` (excluded)
    bound their `inferenceTime`, in its own form. `whole` summaries keep all numbers, so that
    quantiles and distinct counts are exact.
    """

    format: Format
    names: tuple[str, ...] = ()
    header: bool = True
    lines: bool = True  # of JSON: an object a line
    textual: frozenset[str] = frozenset()
    watched: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sides: tuple[str, ...] = SIDES
    start: str | None = None
    end: str | None = None
    nested: bool = False
    whole: bool = True
    preprocessor: str | None = None  # path of the script
    cache: str | None = None  # folder of the summaries that are kept (`cache.py`)
