"""Tables for a terminal and `docs/performance.md`, both from a `Section`."""

from pathlib import Path

from benchmarks.chart import bars_svg
from benchmarks.results import Cell, Circumstances, Kept, Reach, Section, Spread, Table

BUSY_PERCENT = 5.0
"""Above this, other work on the machine makes the figures provisional."""

HEAD = """# Performance

Written by `scripts/bench --page` from `benchmarks/results/latest.json`; how it is measured, and why
so, stands at the head of `benchmarks/__init__.py`. Figures are the median over alternating rounds
and, in brackets, the smallest and the largest. Ratios are taken within a round.
"""


def markdown(kept: Kept, chart_folder: Path) -> str:
    """Write the page; charts go beside it as SVG files."""
    parts = [HEAD, *_provisional(kept), _reaches(kept)]
    for name, (section, circumstances) in kept.items():
        parts.append(f"## {section.title}\n\n{section.text}\n")
        if section.bars:
            file = chart_folder / f"performance-{name}.svg"
            file.write_text(bars_svg(section.bars_title, section.bars))
            parts.append(f"![{section.bars_title}]({file.name})\n")
        parts += [_markdown_table(table) for table in section.tables]
        parts.append(_footnote(circumstances))
    return "\n".join(parts)


def plain(section: Section) -> str:
    """Lay a section's tables out for a terminal."""
    lines = [f"\n{section.title}"]
    for table in section.tables:
        cells = [list(table.columns), *([text(cell) for cell in row] for row in table.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines.append(f"\n  {table.title}")
        lines += [
            "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in cells
        ]
    lines += [f"  {_mark(reach)}  {reach.text}: {_wanted(reach)}" for reach in section.reaches]
    return "\n".join(lines)


def text(cell: Cell) -> str:
    """Write a cell with three figures that count."""
    if isinstance(cell, Spread):
        if cell.low == cell.high:
            return number(cell.median)
        return f"{number(cell.median)} [{number(cell.low)}..{number(cell.high)}]"
    return cell if isinstance(cell, str) else number(cell)


def number(value: float) -> str:
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def _provisional(kept: Kept) -> list[str]:
    busy = [name for name, (_, where) in kept.items() if where.busy_percent > BUSY_PERCENT]
    if not busy:
        return []
    return [
        f"**Provisional:** other work ran on the machine while {', '.join(busy)} was measured; the "
        "line under each section says how much.\n"
    ]


def _reaches(kept: Kept) -> str:
    lines = ["## What it must reach\n", "| figure | wanted | found | |", "|---|---|---|---|"]
    for section, _ in kept.values():
        for reach in section.reaches:
            wanted = f"{'≥' if reach.at_least else '<'} {number(reach.bound)}"
            lines.append(f"| {reach.text} | {wanted} | {text(reach.found)} | {_mark(reach)} |")
    return "\n".join(lines) + "\n"


def _wanted(reach: Reach) -> str:
    sign = "at least" if reach.at_least else "under"
    return f"{text(reach.found)}, wanted {sign} {number(reach.bound)}"


def _mark(reach: Reach) -> str:
    return "reached" if reach.is_reached else "missed"


def _markdown_table(table: Table) -> str:
    lines = [f"**{table.title}**\n"]
    lines.append("| " + " | ".join(table.columns) + " |")
    lines.append("|" + "---|" * len(table.columns))
    lines += ["| " + " | ".join(map(text, row)) + " |" for row in table.rows]
    return "\n".join(lines) + "\n"


def _footnote(where: Circumstances) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in where.machine.items())
    return (
        f"*{where.date}, `{where.command}`; {machine}; "
        f"other work took {where.busy_percent:.0f} % of the cores just before.*\n"
    )
