"""Which records a run of a schedule looks at (contract §4.7). Pure.

    cron  [previous scheduled time, scheduled time), moved by offsets where they are given
    NOW   [now + start, now + end), never rounded to hours

Offsets are those of `ScheduleConfig` (DataAnalysisStartTime, -EndTime), else those of the input.
`inferenceTime` is in whole seconds, so both ends are taken up to the next one: what was
received before a `NOW` lies in its window, and windows that follow each other neither overlap nor
leave a gap.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from modeltap.control.cron import Cron, parse
from modeltap.control.definitions import input_of
from modeltap.nouns import Document

NOW = "NOW"
DAILY = "cron(0 0 ? * * *)"
"""For a schedule without an expression: AWS chooses a time of the day."""

SECOND_NS = 10**9
HOUR_NS = 3600 * SECOND_NS
DAY_SECONDS = 86_400
ANALYSIS_SECONDS_MAX = DAY_SECONDS  # AWS: of DataAnalysisStartTime … EndTime
OFFSET_SECONDS_MAX = 31 * DAY_SECONDS

_DURATION = re.compile(
    r"(?P<sign>[-+]?)P(?:(?P<W>\d+)W)?(?:(?P<D>\d+)D)?"
    r"(?:T(?:(?P<H>\d+)H)?(?:(?P<M>\d+)M)?(?:(?P<S>\d+)S)?)?"
)
_SECONDS = {"W": 7 * DAY_SECONDS, "D": DAY_SECONDS, "H": 3600, "M": 60, "S": 1}


class BadWindow(ValueError):
    """Offsets that make no window; the text names the member and the fix."""


@dataclass(frozen=True, slots=True)
class Window:
    """start ≤ `inferenceTime` < end."""

    start_ns: int
    end_ns: int

    def has(self, time_ns: int) -> bool:
        return self.start_ns <= time_ns < self.end_ns

    def hours(self) -> Iterator[int]:
        """Give the UTC hours, since 1970, that the window touches, in order."""
        return iter(range(self.start_ns // HOUR_NS, -(-self.end_ns // HOUR_NS)))


@dataclass(frozen=True, slots=True)
class Timing:
    """When a schedule runs, and on what; a `cron` of None is NOW, offsets are seconds ≤ 0."""

    cron: Cron | None
    start: int | None
    end: int

    def window(self, scheduled_ns: int) -> Window:
        """Give the window of the run of a scheduled time."""
        end_ns = scheduled_ns + self.end * SECOND_NS
        start_ns = scheduled_ns + (self.start or 0) * SECOND_NS
        if self.start is None and self.cron is not None:
            previous_ns = self.cron.before(scheduled_ns)
            start_ns = (previous_ns or scheduled_ns - HOUR_NS) + self.end * SECOND_NS
        return Window(_up(start_ns), _up(end_ns))


def timing_of(config: Document, definition: Document) -> Timing:
    """Read a `MonitoringScheduleConfig` and its definition. Raise `BadExpression`, `BadWindow`."""
    asked = config.get("ScheduleConfig", {})
    expression = asked.get("ScheduleExpression", DAILY)
    given = input_of(definition)
    members = ("DataAnalysisStartTime", "DataAnalysisEndTime")
    if not any(member in asked for member in members):
        asked, members = given, ("StartTimeOffset", "EndTimeOffset")
    start, end = (_offset(asked, member) for member in members)
    now = expression.strip() == NOW
    if now and (start is None or end is None):
        raise BadWindow(
            "A ScheduleExpression NOW needs DataAnalysisStartTime and DataAnalysisEndTime, as "
            "-PT1H and -PT0H."
        )
    if start is not None and start >= (end or 0):
        raise BadWindow(f"{members[0]} must lie before {members[1]}, as -PT1H before -PT0H.")
    analysed = members[0] == "DataAnalysisStartTime" and start is not None
    if analysed and (end or 0) - (start or 0) > ANALYSIS_SECONDS_MAX:
        raise BadWindow("DataAnalysisStartTime … DataAnalysisEndTime: at most 24 hours.")
    return Timing(None if now else parse(expression), start, end or 0)


def _offset(asked: Document, member: str) -> int | None:
    """Read an ISO 8601 duration, in seconds; none lies in the future."""
    text = asked.get(member)
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    parts = {} if match is None else {name: match[name] for name in _SECONDS if match[name]}
    if match is None or not parts:
        raise BadWindow(f"{member} {text!r} is no offset: say -PT1H, -P1D or -PT0H.")
    seconds = sum(int(count) * _SECONDS[name] for name, count in parts.items())
    if seconds and match["sign"] != "-":
        raise BadWindow(f"{member} {text!r} lies after the run: give it a minus, -PT1H.")
    if seconds > OFFSET_SECONDS_MAX:
        raise BadWindow(f"{member} {text!r}: at most -P31D.")
    return -seconds


def _up(time_ns: int) -> int:
    return -(-time_ns // SECOND_NS) * SECOND_NS
