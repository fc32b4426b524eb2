"""Horizontal bars as SVG, light and dark, without a library."""

from collections.abc import Sequence
from html import escape

from benchmarks.results import Bar

WIDTH, LABEL, ROW, TOP = 900, 400, 28, 44
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600; font-size: 15px }
  .ours { fill: #1a7f5a } .theirs { fill: #8c959f } .range { stroke: #24292f; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .range { stroke: #e6edf3 } .theirs { fill: #6e7681 }
  }"""


def bars_svg(title: str, bars: Sequence[Bar]) -> str:
    """Draw one bar a value from zero, with the range of the rounds, the longest first."""
    ordered = sorted(bars, key=lambda bar: -bar.value.median)
    scale = (WIDTH - LABEL - 90) / max(bar.value.high for bar in ordered)
    rows = "".join(_row(bar, TOP + ROW * index, scale) for index, bar in enumerate(ordered))
    height = TOP + ROW * len(ordered) + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n'
        f"<title>{escape(title)}</title><style>{_STYLE}\n</style>\n"
        f'<text class="title" x="8" y="24">{escape(title)}</text>\n{rows}</svg>\n'
    )


def _row(bar: Bar, top: float, scale: float) -> str:
    low, middle, high = (scale * v for v in (bar.value.low, bar.value.median, bar.value.high))
    line = top + ROW / 2 - 4
    number = f"{bar.value.median:,.0f}".replace(",", " ")
    return (
        f'<text x="{LABEL - 8}" y="{line + 4:.0f}" text-anchor="end">{escape(bar.label)}</text>'
        f'<rect class="{"ours" if bar.ours else "theirs"}" x="{LABEL}" y="{top:.0f}" '
        f'width="{middle:.1f}" height="{ROW - 8}" rx="2"/>'
        f'<path class="range" d="M{LABEL + low:.1f} {line:.0f}H{LABEL + high:.1f}"/>'
        f'<text x="{LABEL + high + 8:.1f}" y="{line + 4:.0f}">{number}</text>\n'
    )
