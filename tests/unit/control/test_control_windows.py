"""Which records a run looks at."""

from datetime import UTC, datetime
from typing import Any

import pytest

from modeltap.clock import stamp
from modeltap.control.windows import BadWindow, Window, timing_of

HOURLY, DAILY = "cron(0 * ? * * *)", "cron(0 6 ? * * *)"
AT = int(datetime(2024, 3, 1, 6, tzinfo=UTC).timestamp()) * 10**9


def window(
    expression: str | None, at: int = AT, analysis: str = "", offsets: str = ""
) -> tuple[str, str]:
    found = timing_of(*asked(expression, analysis, offsets)).window(at)
    return stamp(found.start_ns), stamp(found.end_ns)


def asked(expression: str | None, analysis: str, offsets: str) -> tuple[Any, Any]:
    start, _, end = analysis.partition(" ")
    given = {"DataAnalysisStartTime": start, "DataAnalysisEndTime": end}
    schedule = {"ScheduleExpression": expression} | {k: v for k, v in given.items() if v}
    start, _, end = offsets.partition(" ")
    source = {"EndpointName": "e", "StartTimeOffset": start, "EndTimeOffset": end}
    source = {name: value for name, value in source.items() if value}
    config = {} if expression is None else {"ScheduleConfig": schedule}
    return config, {"MonitoringInputs": [{"EndpointInput": source}]}


@pytest.mark.parametrize(
    ("expression", "analysis", "offsets", "found"),
    [
        (HOURLY, "", "", ("2024-03-01T05:00:00Z", "2024-03-01T06:00:00Z")),
        (DAILY, "", "", ("2024-02-29T06:00:00Z", "2024-03-01T06:00:00Z")),
        (HOURLY, "", "-P1D -PT0H", ("2024-02-29T06:00:00Z", "2024-03-01T06:00:00Z")),
        (HOURLY, "", "-PT3H", ("2024-03-01T03:00:00Z", "2024-03-01T06:00:00Z")),
        (HOURLY, "", " -P1D", ("2024-02-29T05:00:00Z", "2024-02-29T06:00:00Z")),
        (HOURLY, "-PT5H -PT1H", "-P8D -P7D", ("2024-03-01T01:00:00Z", "2024-03-01T05:00:00Z")),
        (DAILY, "", "-P1W -PT30M", ("2024-02-23T06:00:00Z", "2024-03-01T05:30:00Z")),
    ],
)
def test_windows(expression: str, analysis: str, offsets: str, found: tuple[str, str]) -> None:
    assert window(expression, AT, analysis, offsets) == found


def test_now_is_exact_to_the_second() -> None:
    at = AT + 7_000_000_001
    assert window("NOW", at, "-PT1H -PT0H") == ("2024-03-01T05:00:08Z", "2024-03-01T06:00:08Z")
    assert window("NOW", AT, "-PT1H -PT0H") == ("2024-03-01T05:00:00Z", "2024-03-01T06:00:00Z")


def test_a_schedule_without_an_expression_is_daily() -> None:
    midnight = AT - 6 * 3600 * 10**9
    assert window(None, midnight) == ("2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z")


def test_hours_are_those_that_a_window_touches() -> None:
    hour = 3600 * 10**9
    assert list(Window(2 * hour, 3 * hour).hours()) == [2]
    assert list(Window(2 * hour + 1, 4 * hour + 1).hours()) == [2, 3, 4]


@pytest.mark.parametrize(
    ("expression", "analysis", "offsets", "word"),
    [
        ("NOW", "", "", "NOW needs DataAnalysisStartTime"),
        ("NOW", "-PT1H", "", "NOW needs DataAnalysisStartTime"),
        ("NOW", "-PT0H -PT1H", "", "must lie before"),
        ("NOW", "-P2D -PT0H", "", "at most 24 hours"),
        (HOURLY, "", "-PT0H", "StartTimeOffset must lie before"),
        (HOURLY, "", "PT1H PT0H", "minus"),
        (HOURLY, "", "1h", "StartTimeOffset '1h' is no offset"),
        (HOURLY, "", "-P", "no offset"),
        (HOURLY, "", "-P99D", "at most -P31D"),
    ],
)
def test_what_is_none_says_why(expression: str, analysis: str, offsets: str, word: str) -> None:
    with pytest.raises(BadWindow, match=word):
        timing_of(*asked(expression, analysis, offsets))
