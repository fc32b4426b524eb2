"""The report: one file that needs no other, no network and no script to be read.

Whatever the data is, it stays below `BYTES_MAX`: texts are cut, and of each list so many parts are
kept as fit into its share; the reader is told what is left out. Drawings come first, with what
matters most first; the table of features takes all the room that the rest leaves.

What the data says is made printable and escaped by the template engine, always. Beside that the
page forbids itself everything but its own style and script, by their hashes.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from modeltap.monitor.checks import Violation
from modeltap.monitor.findings import Findings
from modeltap.monitor.profile import Reject
from modeltap.monitor.report import drawing
from modeltap.monitor.report.portrait import Portrait, portraits
from modeltap.monitor.report.text import counted, number, percent, printable, shown
from modeltap.monitor.report.verdict import (
    baseline_rows_of,
    cautions,
    column_changes,
    correction_of,
    has_baseline,
    rows_of,
    verdict_of,
    word_of,
)

BYTES_MAX = 500_000
CARDS_BYTES_MAX = 230_000
VIOLATIONS_BYTES_MAX = 80_000
REJECTS_BYTES_MAX = 30_000
NOTES_BYTES_MAX = 10_000
CLOSING_BYTES = 500
"""For the sentences that tell how many are left out."""

OFFENDERS_MAX = 10


def html(findings: Findings) -> str:
    """Write the report of an analysis. Raise `AnalysisFailed` if the baseline cannot be read."""
    ranked = portraits(findings)
    cards = _cards(ranked)
    anchors = {each.name: f"f{at}" for at, each in enumerate(ranked[: len(cards.parts)])}
    sections = {
        "cards": cards,
        "violations": _violations(findings, ranked, anchors),
        "rejects": _rejects(findings),
        "notes": _notes(findings, ranked),
    }
    head = _head(findings)
    without_rows = _page(head, sections, rows=_Kept((), len(ranked)))
    room = BYTES_MAX - _size(without_rows) - CLOSING_BYTES
    rows = _kept((_part("row", each, anchors.get(each.name)) for each in ranked), len(ranked), room)
    return _page(head, sections, rows=rows)


def _head(findings: Findings) -> dict[str, object]:
    return {
        "title": findings.title,
        "window": findings.window,
        "verdict": verdict_of(findings),
        "compared": has_baseline(findings),
        "rows": rows_of(findings),
        "baseline_rows": baseline_rows_of(findings),
        "correction": correction_of(findings),
        "features": len(findings.statistics["features"]),
        "violation_count": len(findings.violations),
        "rejected": findings.rejects,
    }


# ---------------------------------------------------------------- lists that fit


@dataclass(frozen=True, slots=True)
class _Kept:
    """The parts of a list that fit into the page, and how many do not."""

    parts: tuple[Markup, ...]
    left_out: int


def _kept(parts: Iterable[Markup], total: int, bytes_max: int) -> _Kept:
    kept = tuple(_fitting(parts, bytes_max))
    return _Kept(kept, total - len(kept))


def _fitting(parts: Iterable[Markup], bytes_max: int) -> Iterator[Markup]:
    for part in parts:
        bytes_max -= _size(part)
        if bytes_max < 0:
            return
        yield part


def _size(text: str) -> int:
    return len(text.encode())


def _cards(ranked: list[Portrait]) -> _Kept:
    drawn = (_part("card", each, f"f{at}") for at, each in enumerate(ranked))
    return _kept(drawn, len(ranked), CARDS_BYTES_MAX)


def _violations(findings: Findings, ranked: list[Portrait], anchors: Mapping[str, str]) -> _Kept:
    """Write what concerns all columns first, then column by column in their order."""
    changes = column_changes(findings)
    order = {each.name: at for at, each in enumerate(ranked)}
    every = sorted(findings.violations, key=lambda each: order.get(each.feature, -1))
    parts = (
        _part(
            "violation",
            each,
            anchors.get(each.feature),
            _offenders(findings, each),
            changes.get(each.check, ()),
        )
        for each in every
    )
    return _kept(parts, len(every), VIOLATIONS_BYTES_MAX)


def _offenders(findings: Findings, violation: Violation) -> tuple[object, ...]:
    return findings.offenders.get((violation.feature, violation.check), ())[:OFFENDERS_MAX]


def _rejects(findings: Findings) -> _Kept:
    samples: dict[str, list[Reject]] = {}
    for each in findings.rejects.samples:
        samples.setdefault(each.reason, []).append(each)
    reasons = sorted(findings.rejects.counts.items(), key=lambda item: (-item[1], item[0]))
    parts = (_part("reject", reason, count, samples.get(reason, ())) for reason, count in reasons)
    return _kept(parts, len(reasons), REJECTS_BYTES_MAX)


def _notes(findings: Findings, ranked: list[Portrait]) -> _Kept:
    notes = [*findings.notes, *cautions(findings, ranked)]
    return _kept((_part("note", each) for each in notes), len(notes), NOTES_BYTES_MAX)


# ---------------------------------------------------------------- templates


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, "template"),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "shown": shown,
        "number": number,
        "percent": percent,
        "counted": counted,
        "word": word_of,
        "digest": _digest,
    }
    environment.globals |= {"drawing": drawing}
    return environment


def _printable(value: object) -> object:
    """Take whatever the templates write, so that no text can be forgotten."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else printable(value)


def _part(name: str, *values: object) -> Markup:
    """Render one part of a list: a macro of `parts.html`."""
    part = getattr(_parts(), name)(*values)
    assert isinstance(part, Markup)  # by which a macro tells that it has escaped what it was given
    return part


@cache
def _parts() -> object:
    return _environment().get_template("parts.html").module


def _page(head: Mapping[str, object], sections: Mapping[str, _Kept], *, rows: _Kept) -> str:
    return _environment().get_template("page.html").render(**head, **sections, table=rows)


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
