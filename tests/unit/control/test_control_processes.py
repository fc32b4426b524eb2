"""Control over the real launcher: a real model, served by real worker processes."""

import asyncio
import io
import os
import signal
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import xgboost
from control_workshop import Bucket, Control, Home, ids

from modeltap.clock import SystemClock
from modeltap.hosting.processes import ProcessLauncher
from modeltap.nouns import EndpointStatus as Status
from modeltap.nouns import endpoint_log_group


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.close()


@pytest.fixture
def life() -> Iterator[int]:
    """Give the read end of a life pipe; at its end every worker ends."""
    reader, writer = os.pipe()
    yield reader
    os.close(writer)
    os.close(reader)


def archive(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("xgboost-model")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def booster() -> bytes:
    data = np.random.default_rng(0).random((50, 3))
    matrix = xgboost.DMatrix(data, label=(data[:, 0] > 0.5).astype(int))
    trained = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 2)
    return bytes(trained.save_raw("json"))


def kill(home: Home, instance: str) -> None:
    """End a worker as an operator's `kill -9` does, by the process that holds its lock."""
    inode = (home.folder / "workers" / instance / "lock").stat().st_ino
    with open("/proc/locks") as locks:
        held = [line.split() for line in locks if line.split()[5].endswith(f":{inode}")]
    os.kill(int(held[0][4]), signal.SIGKILL)


def test_an_endpoint_lives_through_a_killed_worker_and_a_new_control(home: Home, life: int) -> None:
    async def walk() -> None:
        control = life_of_control()
        home.create("Live", home.fleet(archive(booster()), a=2))
        await control.turns()
        assert home.endpoint("Live").status is Status.IN_SERVICE
        first, second = sorted(ids(home.routed("Live")))
        home.clock.advance(60)
        kill(home, first)
        while launcher.alive(first):
            await asyncio.sleep(0.01)
        await control.turns()
        replaced = ids(home.routed("Live"))
        assert len(replaced) == 2 and first not in replaced and second in replaced
        await control.die()
        control = life_of_control()
        await control.reconciler.adopt()
        await control.turns()
        assert ids(home.routed("Live")) == replaced
        assert [await launcher.probe(each, 5.0) for each in replaced] == [True, True]
        home.delete("Live")
        await control.turns()
        assert home.store.get("endpoint", "Live") is None
        assert list((home.folder / "workers").iterdir()) == []

    def life_of_control() -> Control:
        return Control(home, launcher=launcher, python=Path(sys.executable))

    launcher = ProcessLauncher(
        home.folder / "workers",
        life=life,
        clock=SystemClock(),
        stop_seconds_max=5.0,
        batch_rows_max=1,
    )
    asyncio.run(walk())


def test_a_model_that_does_not_load_says_so(home: Home, life: int) -> None:
    launcher = ProcessLauncher(
        home.folder / "workers",
        life=life,
        clock=SystemClock(),
        stop_seconds_max=5.0,
        batch_rows_max=1,
    )
    control = Control(home, launcher=launcher, python=Path(sys.executable))
    home.create("Live", home.fleet(archive(b"no model"), AllTraffic=1))
    home.create("Torn", home.fleet(b"no archive"))
    asyncio.run(control.turns())
    loaded, torn = home.endpoint("Live"), home.endpoint("Torn")
    assert loaded.status is torn.status is Status.FAILED
    assert str(loaded.failure).startswith(
        "The primary container for production variant AllTraffic did not pass the ping health "
        "check. Please check CloudWatch logs for this endpoint."
    )
    lines = [line.text for line in home.logbook.lines(endpoint_log_group("Live"))]
    assert lines[-1] == loaded.failure
    assert "Model data at s3://bucket/" in str(torn.failure) and "gzip" in str(torn.failure)


def test_a_launch_that_nobody_foresaw_fails_its_endpoint_and_not_control(home: Home) -> None:
    class Odd(Bucket):
        async def fetch(self, uri: str, path: Path) -> None:
            raise ZeroDivisionError("odd")

    home.bucket = Odd()
    home.create("Live", home.fleet())
    asyncio.run(Control(home).turns())
    endpoint = home.endpoint("Live")
    assert endpoint.status is Status.FAILED
    assert endpoint.failure == "This machine could not start an instance: odd."
