"""AWS's cron expressions: six fields, in UTC, walked forwards and backwards. Pure.

    cron(minute hour day-of-month month day-of-week year)

`?` says "no matter"; days of the week are 1-7 or SUN-SAT. A library walks five fields; the days are
led to its own count (0-6), years are looked at here. The minute is one number: a report's folder
is an hour, so a schedule runs at most once in each (contract §4.7, §4.8).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise

from cronsim import CronSim, CronSimError

from modeltap.clock import utc

YEARS = range(1970, 2200)
"""What AWS's year field may name."""
_FORM = re.compile(r"cron\((.*)\)", re.DOTALL)
RUNS_LOOKED_AT = 64
"""For the least gap: hours repeat by the day, days by the month or week."""
_END_NS = int(datetime(YEARS.stop, 1, 1, tzinfo=UTC).timestamp()) * 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HELP = "as in cron(0 * ? * * *), hourly, or cron(0 6 ? * * *), daily at 06:00 UTC"


class BadExpression(ValueError):
    """A schedule expression that is none; the text says which field is wrong, and the fix."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression; `years` is None where every year will do."""

    fields: str
    years: frozenset[int] | None

    def after(self, time_ns: int) -> int | None:
        """Give the first time after another; None if there is none in fifty years."""
        return self._next(utc(time_ns), reverse=False)

    def before(self, time_ns: int) -> int | None:
        """Give the last time before another."""
        return self._next(utc(time_ns), reverse=True)

    def least_gap(self) -> int | None:
        """Give the least time between two runs, in seconds; None where there is one at most."""
        times = islice(self.until(0, _END_NS), RUNS_LOOKED_AT)
        return min(((after - before) // 10**9 for before, after in pairwise(times)), default=None)

    def until(self, after_ns: int, now_ns: int) -> Iterator[int]:
        """Give the times after one and not after another, in order."""
        time_ns = self.after(after_ns)
        while time_ns is not None and time_ns <= now_ns:
            yield time_ns
            time_ns = self.after(time_ns)

    def _next(self, moment: datetime, *, reverse: bool) -> int | None:
        while True:
            found = next(CronSim(self.fields, moment, reverse), None)
            if found is None:
                return None
            if self.years is None or found.year in self.years:
                return (found - _EPOCH) // timedelta(seconds=1) * 10**9
            year = self._year(found.year, reverse=reverse)
            if year is None:
                return None
            start = datetime(year, 1, 1, tzinfo=UTC)
            moment = start.replace(year=year + 1) if reverse else start - timedelta(seconds=1)

    def _year(self, year: int, *, reverse: bool) -> int | None:
        years = self.years or frozenset()
        if reverse:
            return max((each for each in years if each < year), default=None)
        return min((each for each in years if each > year), default=None)


@lru_cache(256)
def parse(expression: str) -> Cron:
    """Read an expression. Raise `BadExpression`."""
    match = _FORM.fullmatch(expression.strip())
    fields = match[1].upper().split() if match else []
    if len(fields) != 6:
        raise BadExpression(f"{expression!r} is no cron(…) of six fields, {_HELP}.")
    minute, hour, day, month, weekday, year = fields
    if not re.fullmatch(r"\d{1,2}", minute):
        raise BadExpression(
            f"The minute of {expression!r} is to be one number: a schedule runs at most once an "
            f"hour, {_HELP}."
        )
    if day not in "*?" and weekday not in "*?":
        raise BadExpression(
            f"{expression!r} names a day of the month and of the week: put ? for one of them."
        )
    weekday = ",".join(_weekday(each, expression) for each in weekday.split(","))
    cron = Cron(" ".join((minute, hour, day, month, weekday)).replace("?", "*"), _years(year))
    try:
        found = cron.after(0)
    except CronSimError as error:
        raise BadExpression(f"{expression!r}: {str(error).lower()}, {_HELP}.") from error
    if found is None:
        raise BadExpression(f"{expression!r} names no time at all.")
    return cron


def _weekday(term: str, expression: str) -> str:
    """Lead one term of the days of the week from 1-7 to 0-6."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?(/\d+)?(L|#\d)?", term)
    if match is None:
        return term  # names, `*`, or what the library refuses
    first, last, step, rest = match.groups("")
    numbers = [int(each) for each in (first, last) if each]
    if not all(1 <= each <= 7 for each in numbers):
        raise BadExpression(f"{expression!r}: days of the week are 1-7 (Sunday is 1) or SUN-SAT.")
    days = [str(each - 1) for each in numbers]
    if step and not last:
        days.append("6")  # `2/2` goes on to Saturday; the library would count Sunday twice
    return "-".join(days) + step + rest


def _years(field: str) -> frozenset[int] | None:
    if field in "*?":
        return None
    return frozenset(year for term in field.split(",") for year in _years_of(term))


def _years_of(term: str) -> range:
    match = re.fullmatch(r"(?:(\*)|(\d{4})(?:-(\d{4}))?)(?:/(\d+))?", term)
    if match is None:
        raise BadExpression(f"The year {term!r} is none: say *, 2026, 2026-2030 or 2026/2.")
    every, first, last, step = match.groups()
    start = YEARS.start if every else int(first)
    stop = int(last) if last else (YEARS.stop - 1 if every or step else start)
    if start not in YEARS or stop not in YEARS or int(step or 1) < 1:
        raise BadExpression(f"The year {term!r} is not in {YEARS.start}-{YEARS.stop - 1}.")
    return range(start, stop + 1, int(step or 1))
