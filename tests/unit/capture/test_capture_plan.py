"""The capture plan: contract §1.1 (document), §1.7 (encodings), §1.8 (sampling)."""

from typing import Any

import pytest

from modeltap.capture.plan import encoding, keep, plan_of
from modeltap.clock import SimulatedClock
from modeltap.nouns import CaptureEncoding, CapturePlan, Durability


def document(**changes: Any) -> dict[str, Any]:
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": 20,
        "DestinationS3Uri": "s3://bucket/prefix",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    } | changes


def plan(**changes: Any) -> CapturePlan:
    made = plan_of(document(**changes))
    assert made is not None
    return made


def test_the_document_of_the_seed() -> None:
    assert plan() == CapturePlan(20, "s3://bucket/prefix", input=True, output=True)


@pytest.mark.parametrize(
    ("modes", "sides"),
    [
        (["Input"], (True, False)),
        (["Output"], (False, True)),
        (["InputAndOutput"], (True, True)),
        (["Input", "Input"], (True, False)),
        (["Output", "InputAndOutput"], (True, True)),
    ],
)
def test_modes_unite(modes: list[str], sides: tuple[bool, bool]) -> None:
    made = plan(CaptureOptions=[{"CaptureMode": mode} for mode in modes])
    assert (made.input, made.output) == sides


def test_what_an_answer_waits_for_is_told_apart_from_the_document() -> None:
    made = plan_of(document(), Durability.STRICT)
    assert made is not None
    assert (plan().durability, made.durability) == (Durability.BESTEFFORT, Durability.STRICT)


def test_disabled_absent_and_enabled_by_default() -> None:
    assert plan_of(document(EnableCapture=False)) is None
    assert plan_of(None) is None
    unsaid = document()
    del unsaid["EnableCapture"]
    assert plan_of(unsaid) == plan()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("s3://bucket/prefix/", "s3://bucket/prefix"),
        ("s3://bucket/prefix//", "s3://bucket/prefix"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket", "s3://bucket"),
    ],
)
def test_a_trailing_slash_is_dropped(given: str, kept: str) -> None:
    assert plan(DestinationS3Uri=given).destination == kept


@pytest.mark.parametrize(
    ("observed", "chosen"),
    [
        ("text/csv", CaptureEncoding.CSV),
        ("text/csv; charset=utf-8", CaptureEncoding.CSV),
        ("TEXT/CSV ;charset=utf-8", CaptureEncoding.CSV),
        ("application/json", CaptureEncoding.JSON),
        ("application/jsonlines", CaptureEncoding.BASE64),
        ("text/html; charset=utf-8", CaptureEncoding.BASE64),
        ("", CaptureEncoding.BASE64),
        (None, CaptureEncoding.BASE64),
    ],
)
def test_encoding_by_the_lists_of_the_sdk(observed: str | None, chosen: CaptureEncoding) -> None:
    types = {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["Application/JSON"]}
    assert encoding(plan(CaptureContentTypeHeader=types), observed) is chosen


def test_without_lists_all_is_base64() -> None:
    assert encoding(plan(), "text/csv") is CaptureEncoding.BASE64


def test_sampling_is_exact_at_the_ends_and_fair_between() -> None:
    clock = SimulatedClock(seed=7)
    chances = [clock.random() for _ in range(10_000)]
    assert not any(keep(plan(InitialSamplingPercentage=0), chance) for chance in [0.0, *chances])
    assert all(keep(plan(InitialSamplingPercentage=100), chance) for chance in chances)
    kept = sum(keep(plan(InitialSamplingPercentage=20), chance) for chance in chances)
    assert 1_850 < kept < 2_150
