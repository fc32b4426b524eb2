"""Points in the database are what a dictionary of sums would be, in whatever batches they come."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modeltap.state.points import Metric, Point, Points, StatisticSet, by_period
from modeltap.state.store import Store

NAMESPACE = itertools.count()  # each example has metrics of its own: a database is slow to make

numbers = st.integers(-1000, 1000).map(float)  # whose sums do not depend on their order
sets = st.builds(
    lambda samples, total, least, width: StatisticSet(samples, total, least, least + width),
    st.integers(1, 9).map(float),
    numbers,
    numbers,
    st.integers(0, 9).map(float),
)
points = st.builds(
    Point,
    st.sampled_from([Metric("", "a"), Metric("", "b"), Metric("", "a", (("x", "y"),))]),
    st.sampled_from(["None", "Percent"]),
    st.integers(0, 4),
    sets,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Points]:
    opened = Store.open(tmp_path_factory.mktemp("home") / "state.db")
    yield Points(opened)
    opened.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["", "job", "other"]), st.lists(points, max_size=5))))
def test_points_are_as_in_a_dictionary(
    store: Points, batches: list[tuple[str, list[Point]]]
) -> None:
    namespace = f"{next(NAMESPACE)}"
    twin: dict[tuple[Metric, str, int], StatisticSet] = {}
    known: set[str] = set()
    for source, batch in batches:
        mine = [replace(each, metric=replace(each.metric, namespace=namespace)) for each in batch]
        new = source not in known
        assert store.put(mine, f"{namespace} {source}" if source else "", 0) == new
        if not new:
            continue
        known |= {source} - {""}
        for each in mine:
            key = each.metric, each.unit, each.minute
            twin[key] = twin[key].merge(each.values) if key in twin else each.values
    found = {
        (listed.metric, unit, minute): values
        for listed in store.listed(namespace)
        for unit, minute, values in store.within(listed.metric, 0, 5)
    }
    assert found == twin
    for listed in store.listed(namespace):
        assert listed.latest == max(minute for metric, _, minute in twin if metric == listed.metric)


@given(st.lists(st.tuples(st.integers(0, 60), sets)), st.integers(0, 9), st.integers(1, 7))
def test_periods_are_the_same_by_way_of_any_shorter_one_that_fits(
    given_: list[tuple[int, StatisticSet]], first: int, minutes: int
) -> None:
    later = [(minute + first, values) for minute, values in given_]
    shorter = by_period(later, first, minutes)
    assert by_period(shorter.items(), first, 3 * minutes) == by_period(later, first, 3 * minutes)
