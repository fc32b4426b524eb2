"""A file of captured records → its profile.

The plain case, CSV on both sides and one line each, never becomes Python objects: DuckDB takes the
payloads out of the JSON and puts the row together, and the text column that it gives is itself the
document that Arrow's CSV reader reads. Every other record goes the careful way (`payloads.py`).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from modeltap.monitor import profile
from modeltap.monitor.careful import CarefulReader, careful_reader
from modeltap.monitor.payloads import LINE_BYTES_MAX
from modeltap.monitor.plan import SIDES, Plan
from modeltap.monitor.profile import SAMPLES_MAX, Profile, Reject, Rejects, rejects_of
from modeltap.monitor.table import (
    EXCERPT_CHARACTERS,
    Placed,
    columns_of_lines,
    profile_of_lines,
)

BOUNDS = (16 * 1024 * 1024, LINE_BYTES_MAX)
"""Bytes of a line: mostly, which keeps buffers small; and at most, a larger one is refused."""

BATCH_ROWS = 64 * 1024
PIECE_BYTES = 1 << 18  # looked at together: it stays in the processor's cache
MALFORMED = "malformed"
OVERSIZED = "oversized"
LINE_FEED, RETURN = ord("\n"), ord("\r")

_JOINED = """
    case when contains({0}, chr(10)) then rtrim({0}, chr(10)) else {0} end || ',' || {1}"""
_TIME_PATH = "$.eventMetadata.inferenceTime"
_EVENT_PATH = "$.eventMetadata.eventId"

# No function that looks at every character of a payload, unless it must: each costs as much as all
# the rest. So that a line is one line is seen from the bytes of all (`_line_ends`), and a file of
# which one record is not easy is asked for again, warily.
_EASY = """
with found as (
  select {line} as line, {csv} as csv, eventMetadata.inferenceTime as moment
  from read_ndjson($file, ignore_errors = true, maximum_object_size = $bytes_max, columns = {{
    captureData: 'STRUCT({sides})', eventMetadata: 'STRUCT(inferenceTime VARCHAR)'
  }})
), ended as (
  select csv, moment, case when suffix(line, chr(10)) then line else line || chr(10) end as line
  from found
)
select
  case
    when not csv or line = chr(10) then null
    when not contains(line, '"') or (length(line) - length(replace(line, '"', ''))) % 2 = 0
    then line
  end as line,
  case when $timed then moment end as moment,
  ($start is null or moment >= $start) and ($end is null or moment < $end) as timely
from ended
"""

_WARY = """
with found as (
  select json, json ->> $paths as side, case when $placed then json ->> $event_path end as event
  from read_ndjson_objects($file, ignore_errors = true, maximum_object_size = $bytes_max)
), joined as (
  select json, event, side[5] as moment, case
      when not $plain then null
      when side[3] = 'CSV' and side[4] = 'CSV' then
        case when contains(side[1], chr(10)) then rtrim(side[1], chr(10)) else side[1] end
        || ',' || side[2]
      when side[3] = 'CSV' and side[4] is null then side[1]
      when side[4] = 'CSV' and side[3] is null then side[2]
    end as line
  from found
), ended as (
  select json, event, moment,
    case when suffix(line, chr(10)) then line else line || chr(10) end as line
  from joined
), judged as (
  select json, event, moment, line, case
      when line is null or line = chr(10) then false
      when strpos(line, chr(10)) < length(line) or contains(line, chr(13)) then false
      when contains(line, '"') then (length(line) - length(replace(line, '"', ''))) % 2 = 0
      else true
    end as plain
  from ended
)
select case when plain then line end as line,
  case when not plain then json end as json,
  json is null as malformed, event, case when $timed then moment end as moment,
  json is null or ($start is null or moment >= $start) and ($end is null or moment < $end)
    as timely
from judged
"""


def summarise_captured(file: Path, plan: Plan, bounds: Sequence[int] = BOUNDS) -> Profile:
    """Sum up the records of a file that lie in the plan's window."""
    for bound in bounds:
        with suppress(duckdb.InvalidInputException):  # it saw a line that is longer
            return _summarised(file, plan, file.name, bound)
    with NamedTemporaryFile() as within:
        oversized = _without_oversized(file, within, bounds[-1])
        rest = _summarised(Path(within.name), plan, file.name, bounds[-1])
    return profile.merged([rest, Profile(0, {}, oversized)])


def _summarised(file: Path, plan: Plan, place: str, bytes_max: int) -> Profile:
    if plan.preprocessor is None:
        with suppress(_NotEasy):
            batches = _easy_batches(file, plan, bytes_max)
            return profile.merged([_of_easy(batch, plan, place) for batch in batches])
    with careful_reader(plan, place) as careful:
        batches = _wary_batches(file, plan, bytes_max)
        whole = profile.merged([_of_wary(batch, plan, place, careful) for batch in batches])
    return replace(whole, rejects=_located(whole.rejects, file, place))


class _NotEasy(Exception):
    """A record is no CSV line, or a payload of several lines was put together as if it were one."""


def _easy_batches(file: Path, plan: Plan, bytes_max: int) -> Iterator[pa.RecordBatch]:
    """Give records as (line, moment, timely): a CSV line, or null for what is none."""
    first, *second = (f"captureData.{side}.data" for side in plan.sides)
    query = _EASY.format(
        line=_JOINED.format(first, *second) if second else first,
        csv=" and ".join(f"captureData.{side}.encoding = 'CSV'" for side in plan.sides),
        sides=", ".join(f"{side} STRUCT(data VARCHAR, encoding VARCHAR)" for side in plan.sides),
    )
    return _asked(query, _window(file, plan, bytes_max))


def _wary_batches(
    file: Path, plan: Plan, bytes_max: int, *, placed: bool = False
) -> Iterator[pa.RecordBatch]:
    """Give records as (line, json, …): a plain one's CSV line, another's JSON, whether in time."""
    parameters = _window(file, plan, bytes_max) | {
        "paths": [*_side_paths(plan, "data"), *_side_paths(plan, "encoding"), _TIME_PATH],
        "event_path": _EVENT_PATH,
        "plain": plan.preprocessor is None,
        "placed": placed,
    }
    return _asked(_WARY, parameters)


def _window(file: Path, plan: Plan, bytes_max: int) -> dict[str, object]:
    return {
        "file": str(file),
        "bytes_max": bytes_max,
        "start": plan.start,
        "end": plan.end,
        "timed": plan.cache is not None,
    }


def _asked(query: str, parameters: Mapping[str, object]) -> Iterator[pa.RecordBatch]:
    with _database().cursor() as cursor:
        yield from cursor.execute(query, parameters).to_arrow_reader(BATCH_ROWS)


def _side_paths(plan: Plan, member: str) -> list[str]:
    """Give where each side has it; a side that is left out has nothing anywhere."""
    return [
        f"$.{'captureData' if side in plan.sides else 'left'}.{side}.{member}" for side in SIDES
    ]


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """Give this process's engine: it takes as long to start as to read a megabyte."""
    return duckdb.connect(config={"threads": 1})


def _of_easy(batch: pa.RecordBatch, plan: Plan, place: str) -> Profile:
    if batch["line"].null_count:
        raise _NotEasy
    found = _of_lines(_timely(batch)["line"], plan, place)
    return replace(found, span=_span(batch))


def _of_wary(batch: pa.RecordBatch, plan: Plan, place: str, careful: CarefulReader) -> Profile:
    span = _span(batch)
    batch = _timely(batch)
    malformed = int(pc.sum(batch["malformed"]).as_py() or 0)
    refused = Profile(0, {}, Rejects({MALFORMED: malformed} if malformed else {}))
    plain = _of_lines(batch["line"].drop_null(), plan, place)
    odd = careful.profile(batch["json"].drop_null())
    return replace(profile.merged([plain, odd, refused]), span=span)


def _span(batch: pa.RecordBatch) -> tuple[str, str] | None:
    found = pc.min_max(batch["moment"]).as_py()
    return None if found["min"] is None else (found["min"], found["max"])


def _timely(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Leave out what is not in the window; nothing is copied where all is."""
    timely = pc.fill_null(batch["timely"], fill_value=False)
    return batch if pc.all(timely).as_py() else batch.filter(timely)


def _of_lines(lines: pa.StringArray, plan: Plan, place: str) -> Profile:
    """Sum up CSV lines. Raise `_NotEasy` if one of them is several."""
    if not len(lines):
        return Profile()
    document = document_of(lines)
    octets = np.frombuffer(document, np.uint8)
    pieces = (octets[at : at + PIECE_BYTES] for at in range(0, len(octets), PIECE_BYTES))
    if sum(map(_line_ends, pieces)) != len(lines):
        raise _NotEasy
    return profile_of_lines(document, plan, place)


def placed_records(file: Path, plan: Plan) -> Iterator[Placed]:
    """Give the rows of a file once more, each with its record's event id: ids, columns.

    They end at a line beyond all bounds.
    """
    with suppress(duckdb.InvalidInputException), careful_reader(plan, file.name) as careful:
        for batch in map(_timely, _wary_batches(file, plan, BOUNDS[-1], placed=True)):
            plain = batch.filter(pc.is_valid(batch["line"]))
            if len(plain):
                yield _placed_plainly(plain, plan, file.name)
            yield from careful.placed(batch["json"].drop_null())


def _placed_plainly(batch: pa.RecordBatch, plan: Plan, place: str) -> Placed:
    ids = pc.replace_substring(pc.fill_null(batch["event"], ""), ",", "")
    lines = pc.binary_join_element_wise(ids, batch["line"], ",")
    columns = columns_of_lines(document_of(lines), ("", *plan.names), place)
    return columns.pop(""), columns


def _line_ends(octets: np.ndarray) -> int:
    """Count line feeds. Raise `_NotEasy` for a carriage return."""
    if (octets == RETURN).any():
        raise _NotEasy
    return int(np.count_nonzero(octets == LINE_FEED))


def document_of(lines: pa.StringArray) -> pa.Buffer:
    """Give the bytes of all lines: they follow each other without a gap, so nothing is copied."""
    _, starts, data = lines.buffers()
    offsets = np.frombuffer(starts, np.int32)
    first, last = int(offsets[lines.offset]), int(offsets[lines.offset + len(lines)])
    return data.slice(first, last - first)


# ---------------------------------------------------------------- what is no record


def _located(rejects: Rejects, file: Path, place: str) -> Rejects:
    """Show some of the lines that are no JSON; only then is the file read again."""
    if MALFORMED not in rejects.counts:
        return rejects
    return replace(
        rejects, samples=(*rejects.samples, *islice(_malformed(file, place), SAMPLES_MAX))
    )


def _malformed(file: Path, place: str) -> Iterator[Reject]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                orjson.loads(line)
            except ValueError:
                if line.strip():
                    yield Reject(MALFORMED, f"{place}:{number}", _excerpt(line))


def _excerpt(line: bytes) -> str:
    return line[:EXCERPT_CHARACTERS].decode("utf-8", "replace").strip()


def _without_oversized(file: Path, into: IO[bytes], bytes_max: int) -> Rejects:
    """Copy the lines that are not too long."""
    refused = []
    with file.open("rb") as lines:
        number = 0
        while line := lines.readline(bytes_max):
            number += 1
            if len(line) < bytes_max:
                into.write(line)
                continue
            refused.append(Reject(OVERSIZED, f"{file.name}:{number}", _excerpt(line)))
            while line and not line.endswith(b"\n"):
                line = lines.readline(bytes_max)
    into.flush()
    return rejects_of(refused)
