"""AWS's cron expressions."""

from datetime import UTC, datetime

import pytest

from modeltap.clock import utc
from modeltap.control.cron import BadExpression, parse


def ns(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp()) * 10**9  # type: ignore[arg-type,misc]


def times(expression: str, start: int, count: int) -> list[str]:
    cron, found = parse(expression), []
    for _ in range(count):
        after = cron.after(start)
        assert after is not None
        assert cron.before(after + 10**9) == after
        found.append(utc(after).strftime("%Y-%m-%d %H:%M"))
        start = after
    return found


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("cron(0 * ? * * *)", ["2024-02-29 23:00", "2024-03-01 00:00", "2024-03-01 01:00"]),
        ("cron(0 * * * ? *)", ["2024-02-29 23:00", "2024-03-01 00:00"]),
        ("cron(0 6 ? * * *)", ["2024-03-01 06:00", "2024-03-02 06:00"]),
        ("cron(0 22/12 ? * * *)", ["2024-03-01 22:00", "2024-03-02 22:00"]),
        ("cron(0 1/8 ? * * *)", ["2024-03-01 01:00", "2024-03-01 09:00", "2024-03-01 17:00"]),
        ("cron(30 0,12 ? * MON-FRI *)", ["2024-03-01 00:30", "2024-03-01 12:30"]),
        ("cron(0 0 ? * 1 *)", ["2024-03-03 00:00", "2024-03-10 00:00"]),  # Sundays
        ("cron(0 0 ? * 2-4 *)", ["2024-03-04 00:00", "2024-03-05 00:00", "2024-03-06 00:00"]),
        ("cron(0 0 ? * 2/2 *)", ["2024-03-01 00:00", "2024-03-04 00:00", "2024-03-06 00:00"]),
        ("cron(0 0 ? * 6L *)", ["2024-03-29 00:00", "2024-04-26 00:00"]),
        ("cron(0 0 ? * 2#1 *)", ["2024-03-04 00:00", "2024-04-01 00:00"]),
        ("cron(0 0 L * ? *)", ["2024-03-31 00:00", "2024-04-30 00:00"]),
        ("cron(0 0 29 FEB ? *)", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        ("cron(0 0 1 1 ? 2030/4)", ["2030-01-01 00:00", "2034-01-01 00:00"]),
        ("cron(0 0 1 1 ? 2031-2032,2040)", ["2031-01-01 00:00", "2032-01-01 00:00"]),
    ],
)
def test_times(expression: str, found: list[str]) -> None:
    assert times(expression, ns(2024, 2, 29, 22, 30), len(found)) == found


def test_years_have_an_end() -> None:
    cron = parse("cron(0 0 1 1 ? 2030-2031)")
    assert cron.after(ns(2031, 1, 1)) is None
    assert cron.before(ns(2030, 1, 1)) is None
    assert cron.before(ns(2040, 1, 1)) == ns(2031, 1, 1)


@pytest.mark.parametrize(
    ("expression", "hours"),
    [
        ("cron(0 * ? * * *)", 1),
        ("cron(0 6 ? * * *)", 24),
        ("cron(0 0/5 ? * * *)", 4),  # 20:00, then 0:00
        ("cron(0 9,23 ? * MON-FRI *)", 10),
        ("cron(0 0 1,28 * ? *)", 24),  # February has 28 days
        ("cron(0 0 ? * MON *)", 7 * 24),
        ("cron(0 0 1 1 ? 2030)", None),
    ],
)
def test_the_least_gap(expression: str, hours: int | None) -> None:
    assert parse(expression).least_gap() == (None if hours is None else hours * 3600)


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("rate(1 hour)", "six fields"),
        ("NOW()", "six fields"),
        ("cron(0 * * * *)", "six fields"),
        ("cron(* * ? * * *)", "once an hour"),
        ("cron(0,30 * ? * * *)", "once an hour"),
        ("cron(60 * ? * * *)", "bad minute"),
        ("cron(0 24 ? * * *)", "bad hour"),
        ("cron(0 0 1 * 2 *)", "put ?"),
        ("cron(0 0 30 2 ? *)", "bad day-of-month"),
        ("cron(0 0 3W * ? *)", "bad day-of-month"),
        ("cron(0 0 1 13 ? *)", "bad month"),
        ("cron(0 0 ? * 8 *)", "Sunday is 1"),
        ("cron(0 0 ? * FOO *)", "bad day-of-week"),
        ("cron(0 0 ? * * 1950)", "1970-2199"),
        ("cron(0 0 ? * * soon)", "year"),
        ("cron(0 0 29 2 ? 2025)", "no time"),
    ],
)
def test_what_is_none_says_why(expression: str, word: str) -> None:
    with pytest.raises(BadExpression, match=word.replace("?", r"\?")):
        parse(expression)
