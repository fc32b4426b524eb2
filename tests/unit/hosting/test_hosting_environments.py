"""Environments are built for real, from the package index, and kept."""

import asyncio
import json
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hosting_workshop import bench, calling, order, pack

from modeltap.errors import LaunchFailed
from modeltap.hosting.environments import Environments
from modeltap.hosting.images import KNOWN, ModelImage, resolve
from modeltap.hosting.launcher import LaunchOrder
from modeltap_worker.frames import Call

OLD = resolve("683313688378.dkr.ecr.us-east-1.amazonaws.com/xgboost:0.90-1-cpu-py3")
CHURN = Path(__file__).parents[4] / "shared" / "data" / "churn"

TRAIN = """
import collections, collections.abc, pickle, sys
collections.Mapping = collections.abc.Mapping
import numpy, xgboost
rows = numpy.random.RandomState(1).rand(300, 4)
labels = (rows[:, 0] + rows[:, 1] > 1).astype(int)
told = {"objective": "binary:logistic", "max_depth": 3, "silent": 1, "nthread": 1}
booster = xgboost.train(told, xgboost.DMatrix(rows, label=labels), 5)
if sys.argv[2] == "pickle":
    pickle.dump(booster, open(sys.argv[1], "wb"))
else:
    booster.save_model(sys.argv[1])
asked = numpy.array([[0.9, 0.8, 0.5, 0.5], [0.1, 0.2, 0.5, 0.5]])
print(*booster.predict(xgboost.DMatrix(asked)).tolist())
"""
ROWS = b"0.9,0.8,0.5,0.5\n0.1,0.2,0.5,0.5\n"


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Environments:
    return Environments(tmp_path_factory.mktemp("home") / "environments")


@pytest.fixture(scope="module")
def python(environments: Environments) -> Path:
    """The environment of AWS's demo image, built by two builders at once."""
    lines: list[str] = []
    found: list[Path] = []
    builders = [
        threading.Thread(target=lambda: found.append(environments.ensure(OLD, lines.append)))
        for _ in range(2)
    ]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    first, second = found
    assert first == second
    assert lines.count("building the environment of xgboost:0.90-1 (first use; it is kept)") == 1
    assert lines[-1] == "the environment of xgboost:0.90-1 is ready"
    assert any("xgboost" in line and "0.90" in line for line in lines)
    return first


def trained(python: Path, folder: Path, how: str) -> list[str]:
    """Train in the image's own environment; give the model's own scores of `ROWS`."""
    command = [str(python), "-W", "ignore", "-c", TRAIN, str(folder / "xgboost-model"), how]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[-1].split()


def answers(given: LaunchOrder, folder: Path, bodies: list[bytes], accept: str = "") -> list[str]:
    """Launch what is ordered, and give its answers to CSV bodies."""

    async def scenario() -> list[str]:
        instance = await made.launcher.launch(given)
        async with calling(instance) as caller:
            replies = [
                await caller.call(Call("text/csv", accept or None, None, body)) for body in bodies
            ]
        assert [reply.status for reply in replies] == [200] * len(bodies)
        return [reply.body.decode() for reply in replies]

    with bench(folder / "instances") as made:
        return asyncio.run(scenario())


def ordered(image: ModelImage, python: Path, archive: Path) -> LaunchOrder:
    return replace(order(archive), image=image, python=python)


def test_a_model_pickled_by_0_90_is_scored_by_0_90(python: Path, tmp_path: Path) -> None:
    expected = trained(python, tmp_path, "pickle")
    archive = pack(
        tmp_path / "model.tar.gz", {"xgboost-model": (tmp_path / "xgboost-model").read_bytes()}
    )
    (body,) = answers(ordered(OLD, python, archive), tmp_path, [ROWS], "application/json")
    assert body == ",".join(expected)


def test_a_pickle_of_another_version_fails_naming_file_and_version(
    python: Path, tmp_path: Path
) -> None:
    trained(python, tmp_path, "pickle")
    (tmp_path / "xgboost-model").rename(tmp_path / "old-model")
    archive = pack(tmp_path / "model.tar.gz", {"old-model": (tmp_path / "old-model").read_bytes()})
    with pytest.raises(LaunchFailed) as failed:
        answers(order(archive), tmp_path, [])
    reason = str(failed.value)
    assert "old-model cannot be loaded by XGBoost 3.0.5: pickle load error: " in reason
    assert "; XGBoost load error: " in reason
    assert "Stack trace" not in reason


@pytest.mark.skipif(not CHURN.is_dir(), reason="AWS's churn model is not beside the repository")
def test_the_demo_model_of_aws_gives_the_printed_digits(python: Path, tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes((CHURN / "xgb-churn-prediction-model.tar.gz").read_bytes())
    samples = [json.loads(line) for line in (CHURN / "seed_samples.jsonl").read_text().splitlines()]
    bodies = [sample["request_body"].encode() for sample in samples]
    assert answers(ordered(OLD, python, archive), tmp_path, bodies) == [
        sample["expected_output_data"] for sample in samples
    ]


def test_an_environment_is_reused_and_a_half_built_one_is_built_anew(
    environments: Environments, python: Path
) -> None:
    lines: list[str] = []
    assert environments.ensure(OLD, lines.append) == python
    assert environments.ensure(resolve("sagemaker-xgboost:0.90-2"), lines.append) == python
    assert lines == []
    ready = python.parents[1] / "ready"
    ready.unlink()
    (python.parents[1] / "half").touch()
    assert environments.ensure(OLD, lines.append) == python
    assert ready.exists()
    assert not (python.parents[1] / "half").exists()
    assert lines


def test_a_build_that_fails_tells_why_and_leaves_nothing_ready(environments: Environments) -> None:
    broken = replace(OLD, version="0.0.1", packages=("xgboost==0.0.1",))
    for _ in range(2):
        with pytest.raises(LaunchFailed) as failed:
            environments.ensure(broken, lambda line: None)
        reason = str(failed.value)
        assert "environment of image xgboost:0.90-1 could not be built (xgboost==0.0.1" in reason
        assert "xgboost==0.0.1" in reason.split("):", 1)[1]
        assert "Then create the endpoint or job again." in reason
        assert len(reason) <= 1024


def test_close_ends_a_build_and_those_who_wait_for_one(tmp_path: Path) -> None:
    folder = tmp_path / "environments"
    builds, waits = Environments(folder), Environments(folder)
    reasons: list[str] = []

    def build(progress: str) -> None:
        if reasons:
            return
        waiter.start()
        waits.close()
        waiter.join()  # the lock is ours: it gave up, or this hangs
        builds.close()

    def wait() -> None:
        with pytest.raises(LaunchFailed) as failed:
            waits.ensure(OLD, reasons.append)
        reasons.append(str(failed.value))

    waiter = threading.Thread(target=wait)
    with pytest.raises(LaunchFailed) as failed:
        builds.ensure(OLD, build)
    reasons.append(str(failed.value))
    assert len(reasons) == 2 and all("modeltap was stopped" in reason for reason in reasons)
    assert [path.name for path in folder.glob("*/ready")] == []


@pytest.mark.long
@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("how", ["pickle", "native"])
def test_every_image_answers_a_model_saved_by_its_own_version(
    environments: Environments, tmp_path: Path, name: str, how: str
) -> None:
    image = resolve(name)
    own = environments.ensure(image, lambda line: None)
    expected = trained(own, tmp_path, how)
    archive = pack(
        tmp_path / "model.tar.gz", {"xgboost-model": (tmp_path / "xgboost-model").read_bytes()}
    )
    (body,) = answers(ordered(image, own, archive), tmp_path, [ROWS])
    lines = "".join(f"{score}\n" for score in expected)
    assert body == (lines if image.rules.honours_accept else ",".join(expected))
