"""The meters: what goes in comes out, whoever was killed, however many gateways there are."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from modeltap.telemetry.meters import BUCKETS, SLOTS_MAX, Failure, Meters, read

CHURN = ("churn", "AllTraffic")


def test_pages_of_several_gateways_are_added_up(tmp_path: Path) -> None:
    for index in range(2):
        page = Meters(tmp_path / f"{index}.page")
        page.answered(*CHURN, 100, 30)
        page.answered(*CHURN, 3_000, 30)
        page.failed(*CHURN, Failure.MODEL)
    churn = read(tmp_path)[CHURN]
    assert (churn.model.sum, churn.overhead.sum, churn.failed) == (6_200, 120, (0, 0, 2))
    assert {n: count for n, count in enumerate(churn.model.counts) if count} == {7: 2, 12: 2}


def test_a_successor_goes_on_where_the_page_stands(tmp_path: Path) -> None:
    for _ in range(3):
        page = Meters(tmp_path / "0.page")
        page.answered(*CHURN, 1, 1)
        page.failed("", "", Failure.CLIENT)
    assert sum(read(tmp_path)[CHURN].model.counts) == 3
    assert read(tmp_path)["", ""].failed == (3, 0, 0)


def test_names_that_do_not_fit_share_the_slot_without_names(tmp_path: Path) -> None:
    page = Meters(tmp_path / "0.page")
    page.answered("e" * 65, "v", 1, 1)
    for number in range(SLOTS_MAX + 1):
        page.answered("e" * 63, f"{number}", 1, 1)
    found = read(tmp_path)
    assert len(found) == SLOTS_MAX
    assert sum(found["", ""].model.counts) == 3


def test_what_is_no_page_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "0.page").write_bytes(b"")
    assert read(tmp_path) == {}
    Meters(tmp_path / "0.page").answered(*CHURN, 1, 1)
    assert CHURN in read(tmp_path)


@given(st.integers(0, 2**40))
def test_a_bucket_holds_what_is_within_its_bound(
    tmp_path_factory: object, microseconds: int
) -> None:
    folder = tmp_path_factory.mktemp("meters")  # type: ignore[attr-defined]
    Meters(folder / "0.page").answered(*CHURN, microseconds, 0)
    bucket = read(folder)[CHURN].model.counts.index(1)
    assert microseconds <= 2**bucket or bucket == BUCKETS - 1
    assert bucket <= 1 or microseconds > 2 ** (bucket - 1)
