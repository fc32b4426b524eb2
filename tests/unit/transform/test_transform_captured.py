"""The manifests of what a job has read and written."""

import json

from modeltap.transform.captured import capture_id, manifest, manifest_key

START_NS = 1_600_000_000_000_000_000  # 2020-09-13 12:26:40


def test_a_manifest_lies_in_the_hour_of_the_start() -> None:
    key = manifest_key("cap/", "input", START_NS, "u")
    assert key == "cap/input/2020/09/13/12/u.json"
    assert manifest_key("", "output", START_NS, "u") == "output/2020/09/13/12/u.json"


def test_a_manifest_names_objects_below_a_prefix() -> None:
    assert json.loads(manifest(["s3://b/in/a.csv", "s3://b/in/x/b.csv"])) == [
        {"prefix": "s3://b/in/"},
        "a.csv",
        "x/b.csv",
    ]
    assert json.loads(manifest(["s3://b/a"])) == [{"prefix": "s3://b/"}, "a"]


def test_an_id_is_that_of_one_job_whenever_it_is_asked() -> None:
    found = capture_id("arn", START_NS)
    assert found == capture_id("arn", START_NS)
    assert len({found, capture_id("arn", START_NS + 1), capture_id("other", START_NS)}) == 3
    assert [len(part) for part in found.split("-")] == [8, 4, 4, 4, 12]
