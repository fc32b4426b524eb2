"""The meters: what goes in comes out, whoever was killed, however many gateways there are."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modeltap.telemetry.meters import BUCKETS, SLOTS_MAX, Failure, Meters, make_pages, read

CHURN = ("churn", "AllTraffic")


@pytest.fixture
def pages() -> Iterator[int]:
    made = make_pages("meters", 2)
    yield made
    os.close(made)


def test_pages_of_several_gateways_are_added_up(pages: int) -> None:
    for index in range(2):
        page = Meters(pages, index)
        page.answered(*CHURN, 100, 30)
        page.answered(*CHURN, 3_000, 30)
        page.failed(*CHURN, Failure.MODEL)
    churn = read(pages)[CHURN]
    assert (churn.model.sum, churn.overhead.sum, churn.failed) == (6_200, 120, (0, 0, 2))
    assert {n: count for n, count in enumerate(churn.model.counts) if count} == {7: 2, 12: 2}


def test_a_successor_goes_on_where_the_page_stands(pages: int) -> None:
    for _ in range(3):
        page = Meters(pages, 0)
        page.answered(*CHURN, 1, 1)
        page.failed("", "", Failure.CLIENT)
    assert sum(read(pages)[CHURN].model.counts) == 3
    assert read(pages)["", ""].failed == (3, 0, 0)


def test_names_that_do_not_fit_share_the_slot_without_names(pages: int) -> None:
    page = Meters(pages, 0)
    page.answered("e" * 65, "v", 1, 1)
    for number in range(SLOTS_MAX + 1):
        page.answered("e" * 63, f"{number}", 1, 1)
    found = read(pages)
    assert len(found) == SLOTS_MAX
    assert sum(found["", ""].model.counts) == 3


def test_pages_that_no_gateway_has_taken_yet_are_empty(pages: int) -> None:
    assert read(pages) == {}
    Meters(pages, 1).answered(*CHURN, 1, 1)
    assert CHURN in read(pages)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(microseconds=st.integers(0, 2**40))
def test_a_bucket_holds_what_is_within_its_bound(pages: int, microseconds: int) -> None:
    before = read(pages).get(CHURN)
    Meters(pages, 0).answered(*CHURN, microseconds, 0)
    counts = read(pages)[CHURN].model.counts
    earlier = before.model.counts if before else (0,) * BUCKETS
    (bucket,) = [n for n in range(BUCKETS) if counts[n] != earlier[n]]
    assert microseconds <= 2**bucket or bucket == BUCKETS - 1
    assert bucket <= 1 or microseconds > 2 ** (bucket - 1)
