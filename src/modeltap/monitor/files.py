"""Which files a dataset is, and of what format they are."""

import json
from pathlib import Path

from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.plan import Format
from modeltap.nouns import Document

_BY_SUFFIX = {".csv": Format.CSV, ".parquet": Format.PARQUET, ".pq": Format.PARQUET}
_JSON = frozenset({".json", ".jsonl", ".ndjson"})
SUFFIXES = ", ".join(sorted([*_BY_SUFFIX, *_JSON]))


def files_below(source: Path) -> list[Path]:
    """Give a file, or all files below a folder in order; hidden ones and markers are no data."""
    if source.is_file():
        return [source]
    found = sorted(path for path in source.rglob("*") if path.is_file())
    files = [path for path in found if path.name[0] not in "._"]
    if not files:
        raise AnalysisFailed(f"Job inputs had no data: there is no file at {source}.")
    return files


def format_of(file: Path) -> Format:
    """Tell a file's format by its name; of JSON by its first line, whether it is captured."""
    suffix = file.suffix.lower()
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    if suffix not in _JSON:
        raise AnalysisFailed(
            f"{file.name}: the format is not told by this name ({SUFFIXES}); say which it is."
        )
    with file.open("rb") as lines:
        return Format.CAPTURE if _is_captured(lines.readline()) else Format.JSON


def _is_captured(line: bytes) -> bool:
    try:
        return "captureData" in json.loads(line)
    except (ValueError, TypeError):
        return b'"captureData"' in line  # a first line that is cut


def read_document(path: Path, what: str) -> Document:
    """Read a JSON document. Raise `AnalysisFailed`, which calls it `what`."""
    try:
        document: Document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AnalysisFailed(f"{what} cannot be read: {error}.") from error
    return document
