"""The report's short form, for a terminal: verdict, violations, what drifted most, rejected."""

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from modeltap.monitor.checks import Drift
from modeltap.monitor.findings import Findings
from modeltap.monitor.report.portrait import Portrait, portraits
from modeltap.monitor.report.text import counted, number, shown
from modeltap.monitor.report.verdict import Tone, cautions, verdict_of, word_of

VIOLATIONS_MAX = 20
DRIFTS_MAX = 10
NAME_MAX = 40
BAR_CELLS = 12
"""Of these half stand for the threshold: a bar that is full is twice as far, or farther."""

EIGHTHS = " ▏▎▍▌▋▊▉█"
MARKS = {Tone.GOOD: ("✓", "green"), Tone.BAD: ("▲", "red"), Tone.PLAIN: ("○", "default")}


def terminal(findings: Findings, console: Console) -> None:
    """Print the summary."""
    print_on(console, summary_table(findings))


def print_on(console: Console, told: RenderableType) -> None:
    """Print what the console's encoding lacks spelled out; that is never an error."""
    with console.capture() as capture:
        console.print(told)
    encoding = console.encoding
    console.file.write(capture.get().encode(encoding, "backslashreplace").decode(encoding))


def summary_table(findings: Findings) -> RenderableType:
    """Sum up an analysis for rich. No text of the data is read as markup."""
    return Group(*_parts(findings))


def _parts(findings: Findings) -> Iterator[RenderableType]:
    ranked = portraits(findings)
    yield _headline(findings)
    for sentence in (*findings.notes, *cautions(findings, ranked)):
        yield Padding(Text(shown(sentence, 600), "dim"), (0, 0, 0, 2))
    if findings.violations:
        yield _violations(findings)
    drifted = [each for each in ranked if each.drifted]
    if drifted:
        yield _drifts(sorted(drifted, key=lambda each: each.rank[1:], reverse=True))
    if findings.rejects.total:
        yield _rejects(findings)


def _headline(findings: Findings) -> Text:
    verdict = verdict_of(findings)
    mark, colour = MARKS[verdict.tone]
    line = Text.assemble((f"{mark} {shown(verdict.sentence, 600)}", f"bold {colour}"))
    line.append(f"\n  {shown(findings.title, 200)}", "dim")
    if findings.window:
        line.append(f", {' to '.join(shown(each, 40) for each in findings.window)}", "dim")
    return line


def _violations(findings: Findings) -> RenderableType:
    table = _table("Violations")
    table.add_column("Feature", overflow="fold")
    table.add_column("Check", style="red", no_wrap=True)
    table.add_column("What was found", overflow="fold")
    for each in findings.violations[:VIOLATIONS_MAX]:
        table.add_row(
            _name(each.feature),
            Text(shown(word_of(each.check), NAME_MAX)),
            Text(shown(each.description, 500)),
        )
    left_out = len(findings.violations) - VIOLATIONS_MAX
    return _ended(table, left_out, f"{left_out:,} more in constraint_violations.json")


def _drifts(drifted: list[Portrait]) -> RenderableType:
    """Show the farthest; the thin mark in a bar is the threshold."""
    table = _table("Drift")
    table.add_column("Feature", overflow="fold")
    table.add_column("By threshold", no_wrap=True)
    for title in ("AWS's", "Exact", "Threshold"):
        table.add_column(title, justify="right", no_wrap=True)
    for each in drifted[:DRIFTS_MAX]:
        assert each.drift is not None
        table.add_row(_name(each.name), _bar(each), *_distances(each.drift))
    left_out = len(drifted) - DRIFTS_MAX
    return _ended(table, left_out, f"{counted(left_out, 'more feature')}, closer to the baseline")


def _ended(table: Table, left_out: int, words: str) -> RenderableType:
    return Group(table, Text(f" {words}", "dim")) if left_out > 0 else table


def _distances(drift: Drift) -> tuple[str, str, str]:
    if drift.is_p_value:
        return f"p {number(drift.judged)}", "", number(drift.threshold)
    return number(drift.aws), number(drift.exact), number(drift.threshold)


def _bar(portrait: Portrait) -> Text:
    """Draw how many times the threshold the judged distance is, in eighths of a cell."""
    assert portrait.drift is not None
    eighths = round(min(portrait.severity, 2.0) * BAR_CELLS / 2 * 8)
    full, rest = divmod(eighths, 8)
    cells = "█" * full + (EIGHTHS[rest] if rest else "")
    half = BAR_CELLS // 2
    return Text(
        f"{cells[:half]:<{half}}│{cells[half:]}", "red" if portrait.drift.exceeds else "blue"
    )


def _rejects(findings: Findings) -> Table:
    table = _table("Rejected records")
    table.add_column("Reason", overflow="fold")
    table.add_column("Records", justify="right", no_wrap=True)
    for reason, count in sorted(findings.rejects.counts.items(), key=lambda item: -item[1]):
        table.add_row(Text(shown(reason, 120)), f"{count:,}")
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=True)


def _name(name: str) -> Text:
    return Text(shown(name, NAME_MAX))
