"""A job's inputs and outputs, over the object-store port's own fake and real folders."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from modeltap.clock import SystemClock
from modeltap.control.delivery import Delivery
from modeltap.control.jobs import Job, JobStatus
from modeltap.control.patience import Patience
from modeltap.control.staging import Staging
from modeltap.errors import LaunchFailed, StoreUnavailable
from modeltap.nouns import Document
from modeltap.objects.port import ObjectStore
from modeltap.objects.remote import split_uri
from modeltap.objects.simulated import Fault, SimulatedStore

ROLE_ARN = "arn:aws:iam::123456789012:role/R"
IN = "/opt/ml/processing/in"


class World:
    """Buckets by name, a job's `/opt/ml`, and what its log is told."""

    def __init__(self, folder: Path) -> None:
        self.ml = folder / "ml"
        self.ml.mkdir()
        self.buckets: dict[str, SimulatedStore] = {"bkt": SimulatedStore()}
        self.told: list[str] = []

    def at(self, uri: str) -> tuple[ObjectStore, str]:
        bucket, key = split_uri(uri)
        return self.buckets.setdefault(bucket, SimulatedStore(lambda _: Fault.NO_BUCKET)), key

    def put(self, **objects: str) -> None:
        for key, text in objects.items():
            asyncio.run(self.buckets["bkt"].put(key, text.encode()))

    def objects(self) -> dict[str, bytes]:
        async def read() -> dict[str, bytes]:
            store = self.buckets["bkt"]
            return {info.key: await store.get(info.key) async for info in store.list()}

        return asyncio.run(read())

    def stage(self, *inputs: Document, size: int = 1) -> None:
        staging = Staging(self.at, Patience(SystemClock(), 0), "eu-central-1")
        asyncio.run(staging.stage(job(size, ProcessingInputs=inputs), self.ml, self.told.append))

    def files(self) -> dict[str, str]:
        top = self.ml / "processing" / "in"
        found = (path for path in sorted(top.rglob("*")) if path.is_file())
        return {path.relative_to(top).as_posix(): path.read_text() for path in found}

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.ml / "processing" / "out" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def delivery(self, mode: str = "EndOfJob", **more: Any) -> Delivery:
        output = {"S3Uri": "s3://bkt/out/", "LocalPath": "/opt/ml/processing/out"}
        output["S3UploadMode"] = mode
        outputs = [{"OutputName": "o", "S3Output": output | more}]
        asked = job(ProcessingOutputConfig={"Outputs": outputs, "KmsKeyId": "a-key"})
        return Delivery(asked, self.ml, self.at, Patience(SystemClock(), 0), self.told.append)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def job(size: int = 1, **more: Any) -> Job:
    resources = {"ClusterConfig": {"VolumeSizeInGB": size}}
    spec = {"RoleArn": ROLE_ARN, "ProcessingResources": resources, **more}
    return Job("Job", "arn", spec, JobStatus.IN_PROGRESS, 0)


def given(
    uri: str = "s3://bkt/in", kind: str = "S3Prefix", path: str = IN, **more: Any
) -> Document:
    source = {"S3Uri": uri, "S3DataType": kind, "LocalPath": path}
    return {"InputName": "i", "S3Input": source, **more}


# ---------------------------------------------------------------- inputs


@pytest.mark.parametrize("uri", ["s3://bkt/in", "s3://bkt/in/", "https://bkt.s3.amazonaws.com/in"])
def test_a_prefix_is_a_folder(world: World, uri: str) -> None:
    world.put(**{"in/a.csv": "a", "in/d/b.csv": "b", "other/c": "c"})
    world.stage(given(uri))
    assert world.files() == {"a.csv": "a", "d/b.csv": "b"}
    assert world.told == [f"input i: 2 objects, 2 bytes, {uri} -> {IN}"]


def test_an_object_is_a_file_of_its_own_name(world: World) -> None:
    world.put(**{"in/a.csv": "a", "in/b.csv": "b"})
    world.stage(given("s3://bkt/in/a.csv"))
    assert world.files() == {"a.csv": "a"}


def test_a_prefix_is_text(world: World) -> None:
    world.put(**{"in/2021-01": "a", "in/2021-02": "b", "in/2022-01": "c"})
    world.stage(given("s3://bkt/in/2021"))
    assert world.files() == {"-01": "a", "-02": "b"}


def test_folder_markers_are_no_files(world: World) -> None:
    world.put(**{"in/d": "", "in/d/e": "", "in/d/e/f.csv": "f", "in/empty.csv": ""})
    world.stage(given())
    assert world.files() == {"d/e/f.csv": "f", "empty.csv": ""}


def test_a_manifest_names_the_objects(world: World) -> None:
    manifest = json.dumps([{"prefix": "s3://bkt/data/"}, "x/1.csv", "2.csv"])
    world.put(**{"data/x/1.csv": "1", "data/2.csv": "2", "data/3.csv": "3", "m.json": manifest})
    world.stage(given("s3://bkt/m.json", "ManifestFile"))
    assert world.files() == {"2.csv": "2", "x/1.csv": "1"}


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '["a"]', '[{"prefix": 1}]', '[{"prefix": "s3://bkt/"}, 1]']
)
def test_a_manifest_that_is_none_says_what_one_is(world: World, text: str) -> None:
    world.put(**{"m.json": text})
    with pytest.raises(LaunchFailed, match="is no manifest"):
        world.stage(given("s3://bkt/m.json", "ManifestFile"))


def test_a_manifest_leads_nowhere_else(world: World) -> None:
    world.put(**{"m.json": json.dumps([{"prefix": "s3://bkt/data/"}, "../../../../escaped"])})
    with pytest.raises(LaunchFailed, match="cannot be a file named"):
        world.stage(given("s3://bkt/m.json", "ManifestFile"))
    assert world.files() == {}


@pytest.mark.parametrize("uri", ["s3://bkt/in", "s3://no-such-bucket/in"])
def test_no_object_is_told_in_awss_words(world: World, uri: str) -> None:
    with pytest.raises(LaunchFailed) as failed:
        world.stage(given(uri))
    bucket = split_uri(uri)[0]
    assert str(failed.value) == (
        f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that '
        "the bucket exists in the selected region (eu-central-1), that objects exist under that "
        f'S3 prefix, and that the role "{ROLE_ARN}" has "s3:ListBucket" permissions on bucket '
        f'"{bucket}".'
    )


def test_a_missing_object_of_a_manifest_is_named(world: World) -> None:
    world.put(**{"m.json": json.dumps([{"prefix": "s3://bkt/data/"}, "gone.csv"])})
    with pytest.raises(LaunchFailed, match=r"Input i: .*gone\.csv"):
        world.stage(given("s3://bkt/m.json", "ManifestFile"))


def test_inputs_fit_into_the_volume(world: World) -> None:
    world.put(**{"in/a": "a"})
    with pytest.raises(LaunchFailed, match="VolumeSizeInGB"):
        world.stage(given(), size=0)


def test_two_inputs_may_share_a_folder(world: World) -> None:
    world.put(**{"in/a": "a", "more/b": "b"})
    world.stage(given(), given("s3://bkt/more"))
    assert world.files() == {"a": "a", "b": "b"}


def test_an_input_that_the_program_sees_to_is_left_alone(world: World) -> None:
    world.stage({"InputName": "i", "AppManaged": True})
    assert world.told == []


def test_a_store_that_is_away_is_asked_again(world: World) -> None:
    world.put(**{"in/a": "a"})
    faults = iter([Fault.DOWN, Fault.BUSY])
    world.buckets["bkt"].fault = lambda call: next(faults, None) if call == "get" else None
    staging = Staging(world.at, Patience(_Hasty(), 60), "us-east-1")
    asyncio.run(staging.stage(job(ProcessingInputs=[given()]), world.ml, world.told.append))
    assert world.files() == {"a": "a"}


class _Hasty(SystemClock):
    """A clock whose waits are over at once."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


def test_a_store_that_stays_away_is_told(world: World) -> None:
    world.put(**{"in/a": "a"})
    world.buckets["bkt"].fault = lambda call: Fault.DENIED if call == "get" else None
    with pytest.raises(LaunchFailed, match=r"Input i could not be fetched .*403 AccessDenied"):
        world.stage(given())


# ---------------------------------------------------------------- outputs


def test_every_plain_file_goes_up_by_its_path(world: World) -> None:
    world.write(**{"a.json": "1", "d/e/b.json": "2", "empty": ""})
    os.symlink("/etc/passwd", world.ml / "processing" / "out" / "link")
    os.symlink("/etc", world.ml / "processing" / "out" / "folder")
    os.mkfifo(world.ml / "processing" / "out" / "pipe")
    assert asyncio.run(world.delivery().complete()) is None
    assert world.objects() == {"out/a.json": b"1", "out/d/e/b.json": b"2", "out/empty": b""}
    assert set(world.buckets["bkt"].kms_key_ids.values()) == {"a-key"}
    assert world.told == ["output o: 3 files -> s3://bkt/out/"]


def test_an_output_that_is_a_link_or_missing_is_empty(world: World) -> None:
    assert asyncio.run(world.delivery().complete()) is None
    (world.ml / "processing").mkdir()
    os.symlink("/etc", world.ml / "processing" / "out")
    assert asyncio.run(world.delivery().complete()) is None
    assert world.objects() == {}


def test_an_output_can_be_a_whole_bucket(world: World) -> None:
    world.write(a="1")
    assert asyncio.run(world.delivery(S3Uri="s3://bkt").complete()) is None
    assert world.objects() == {"a": b"1"}


def test_continuous_uploads_what_is_quiet_and_again_what_changed(world: World) -> None:
    delivery = world.delivery("Continuous")

    def look() -> dict[str, bytes]:
        asyncio.run(delivery.catch_up())
        return world.objects()

    world.write(a="1")
    assert look() == {}  # seen for the first time: it may still be written
    world.write(b="1")
    assert look() == {"out/a": b"1"}
    world.write(a="12")
    assert look() == {"out/a": b"1", "out/b": b"1"}
    assert look() == {"out/a": b"12", "out/b": b"1"}
    world.write(b="123", c="new")
    assert asyncio.run(delivery.complete()) is None
    assert world.objects() == {"out/a": b"12", "out/b": b"123", "out/c": b"new"}


def test_what_has_gone_up_as_it_is_does_not_go_up_again(world: World) -> None:
    delivery = world.delivery("Continuous")
    world.write(a="1")
    for _ in range(3):
        asyncio.run(delivery.catch_up())
    world.buckets["bkt"].fault = lambda _: Fault.DENIED
    assert asyncio.run(delivery.complete()) is None


def test_a_refused_upload_is_told_once_and_at_the_end(world: World) -> None:
    delivery = world.delivery("Continuous", S3Uri="s3://no-such-bucket/out")
    world.write(a="1")
    for _ in range(4):
        asyncio.run(delivery.catch_up())
    assert len(world.told) == 1
    failure = asyncio.run(delivery.complete())
    assert failure is not None
    assert failure.startswith("ClientError: Output o could not be uploaded to s3://no-such-bucket/")
    assert "NoSuchBucket" in failure


def test_a_name_that_is_no_text_is_told(world: World) -> None:
    world.write(a="1")
    os.rename(
        world.ml / "processing" / "out" / "a",
        os.fsencode(world.ml / "processing" / "out") + b"/\xff",
    )
    assert "not UTF-8" in str(asyncio.run(world.delivery().complete()))


def test_patience_ends() -> None:
    asked = []

    async def away() -> None:
        asked.append(1)
        raise StoreUnavailable("no answer")

    with pytest.raises(StoreUnavailable):
        asyncio.run(Patience(SystemClock(), 0).of(away))
    assert asked == [1]
