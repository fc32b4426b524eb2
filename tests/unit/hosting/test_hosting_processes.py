"""Instances as real worker processes, spoken to over their real sockets."""

import asyncio
import json
import os
import pickle
import signal
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import xgboost
from hosting_workshop import (
    Bench,
    RunsAtLoad,
    bench,
    calling,
    csv_of,
    order,
    pack,
    rows,
    run,
    train,
    until,
)

from modeltap.clock import SystemClock
from modeltap.errors import LaunchFailed
from modeltap.hosting.launcher import Adopted
from modeltap.hosting.processes import ProcessLauncher
from modeltap.nouns import Instance
from modeltap_worker import frames
from modeltap_worker.frames import Call


@pytest.fixture(scope="module")
def booster() -> xgboost.Booster:
    return train()


@pytest.fixture
def archive(tmp_path: Path, booster: xgboost.Booster) -> Path:
    return pack(tmp_path / "model.tar.gz", {"xgboost-model": pickle.dumps(booster)})


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path / "run" / "instances") as made:
        yield made


@pytest.fixture(scope="module")
def instance(
    tmp_path_factory: pytest.TempPathFactory, booster: xgboost.Booster
) -> Iterator[Instance]:
    """One running instance for the tests that only call it."""
    folder = tmp_path_factory.mktemp("serving")
    archive = pack(folder / "model.tar.gz", {"xgboost-model": pickle.dumps(booster)})
    with bench(folder / "instances") as made:
        yield asyncio.run(made.launcher.launch(order(archive, MAX_CONTENT_LENGTH="2000000")))


def malicious(tmp_path: Path, statement: str) -> Path:
    return pack(tmp_path / "model.tar.gz", {"m": pickle.dumps(RunsAtLoad(statement))})


def pid_of(at: Bench, instance: str = "i-1") -> int:
    return int((at.instances / instance / "lock").read_text())


def csv(body: bytes, accept: str | None = None) -> Call:
    return Call("text/csv", accept, None, body)


def test_an_instance_answers_with_the_digits_of_its_model(
    instance: Instance, booster: xgboost.Booster
) -> None:
    async def scenario() -> None:
        expected = booster.predict(xgboost.DMatrix(rows(3))).tolist()
        async with calling(instance) as caller:
            lines = await caller.call(csv(csv_of(rows(3))))
            scores = await caller.call(csv(csv_of(rows(3)), "application/json"))
        assert lines.body == "".join(f"{value!r}\n" for value in expected).encode()
        assert lines.content_type == "text/csv; charset=utf-8"
        told = {"predictions": [{"score": value} for value in expected]}
        assert (scores.content_type, json.loads(scores.body)) == ("application/json", told)

    run(scenario())


def test_many_calls_are_in_flight_on_one_connection(
    instance: Instance, booster: xgboost.Booster
) -> None:
    data = rows(40)
    wanted = booster.predict(xgboost.DMatrix(data)).tolist()
    long = b"\n".join([csv_of(data)] * 100)
    assert len(long) > 2 * frames.PART_BYTES_MAX

    async def scenario() -> None:
        async with calling(instance) as caller:
            first, *rest = frames.encode_call(999, csv(long))
            caller.send(first)
            for number in range(40):
                one = csv(csv_of(data[number : number + 1]))
                caller.send(b"".join(frames.encode_call(number, one)))
            caller.send(b"".join(rest))
            replies = dict([await caller.reply() for _ in range(41)])
        for number, value in enumerate(wanted):
            assert replies[number].body == f"{value!r}\n".encode()
        assert replies[999].body == "".join(f"{value!r}\n" for value in wanted * 100).encode()

    run(scenario())


def test_a_body_over_the_limit_is_413_and_a_cancelled_call_is_silent(instance: Instance) -> None:
    async def scenario() -> None:
        async with calling(instance) as caller:
            first, *_ = frames.encode_call(5, csv(b"1" * 2_000_000))
            caller.send(first + frames.encode_cancel(5))
            caller.send(b"".join(frames.encode_call(6, csv(b"1" * 2_000_001))))
            number, reply = await caller.reply()
        assert (number, reply.status) == (6, 413)
        assert b"<title>413 Request Entity Too Large</title>" in reply.body

    run(scenario())


def test_bytes_that_are_no_frames_close_their_connection_only(instance: Instance) -> None:
    async def scenario() -> None:
        async with calling(instance) as good, calling(instance) as bad:
            bad.send(b"GET / HTTP/1.1\r\nHost: model\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                await bad.frame()
            assert (await good.call(csv(csv_of(rows(1))))).status == 200

    run(scenario())


def test_the_log_tells_of_failures_without_payload(at: Bench, archive: Path) -> None:
    the_order = order(archive)

    async def scenario() -> None:
        instance = await at.launcher.launch(the_order)
        async with calling(instance) as caller:
            assert (await caller.call(csv(b"canary,1"))).status == 415

    run(scenario())
    log = the_order.log.read_text()
    assert "model loaded" in log
    assert "invocation answered 415" in log
    assert "canary" not in log
    assert stat.S_IMODE(the_order.log.stat().st_mode) == 0o600


# ---------------------------------------------------------------- what a guest is given


def test_a_guest_inherits_nothing_of_ours(
    at: Bench, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("MODELTAP_HOME", "home")

    run(_launched(at.launcher, archive, MY_VARIABLE="mine", PYTHONPATH="/elsewhere"))

    process = psutil.Process(pid_of(at))
    variables = process.environ()
    assert variables["MY_VARIABLE"] == "mine"
    assert variables["PYTHONPATH"] == str(at.instances / "i-1" / "annex")
    assert not [name for name in variables if name.startswith(("AWS_", "MODELTAP_"))]
    assert os.getsid(process.pid) == process.pid
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert "Umask:\t0077" in status
    assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
    assert os.listdir(at.instances / "i-1" / "annex") == ["modeltap_worker"]


async def _launched(launcher: ProcessLauncher, archive: Path, **environment: str) -> None:
    await launcher.launch(order(archive, **environment))


def test_a_home_may_lie_deep(tmp_path: Path, archive: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100) / "instances"

    async def scenario(launcher: ProcessLauncher) -> None:
        instance = await launcher.launch(order(archive))
        async with calling(instance) as caller:
            assert (await caller.call(csv(csv_of(rows(1))))).status == 200

    with bench(deep) as made:
        run(scenario(made.launcher))


# ---------------------------------------------------------------- what does not come up


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"xgboost-model": b"not a model"}, "xgboost-model cannot be loaded by XGBoost 3.0.5"),
        ({"model/xgboost-model": b""}, "holds no model file at its top level"),
        ({".hidden": b""}, "holds no model file at its top level"),
        ({"m": pickle.dumps({"a": 1})}, "m is a pickle of dict, not of xgboost.Booster"),
    ],
)
def test_a_model_that_does_not_load_is_told_in_one_line(
    at: Bench, tmp_path: Path, files: dict[str, bytes], says: str
) -> None:
    archive = pack(tmp_path / "model.tar.gz", files)
    with pytest.raises(LaunchFailed) as failed:
        run(_launched(at.launcher, archive))
    reason = str(failed.value)
    assert reason.startswith(
        "The primary container for production variant AllTraffic did not pass the ping health "
        "check. Please check CloudWatch logs for this endpoint. "
    )
    assert says in reason
    assert reason.endswith(" See: modeltap logs churn")
    assert "\n" not in reason
    assert list(at.instances.iterdir()) == []


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("import os; os.kill(os.getpid(), 11)", "ended by SIGSEGV while the model loaded"),
        ("import os; os._exit(7)", "ended with status 7 while the model loaded"),
        ("raise SystemExit(4)", "ended with status 4 while the model loaded"),
    ],
)
def test_a_model_that_dies_at_load_is_told(
    at: Bench, tmp_path: Path, statement: str, says: str
) -> None:
    with pytest.raises(LaunchFailed, match=says):
        run(_launched(at.launcher, malicious(tmp_path, statement)))
    assert list(at.instances.iterdir()) == []


def test_a_model_that_hangs_and_ignores_sigterm_is_killed(at: Bench, tmp_path: Path) -> None:
    statement = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    archive = malicious(tmp_path, f"{statement}print(os.getpid(), flush=True); time.sleep(1000)")
    log = order(archive).log
    launcher = ProcessLauncher(
        at.instances,
        life=at.life,
        clock=_LeapsOnceDeaf(log),
        stop_seconds_max=0.2,
        batch_rows_max=1,
    )
    with pytest.raises(LaunchFailed, match=r"It did not answer within 60 s\."):
        run(_launched(launcher, archive))
    assert list(at.instances.iterdir()) == []
    assert not psutil.pid_exists(int(log.read_text()))


class _LeapsOnceDeaf:
    """A clock that passes the start-up deadline once the worker has become deaf."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def monotonic(self) -> float:
        deaf = self._log.exists() and self._log.read_text().endswith("\n")
        return time.monotonic() + (1000.0 if deaf else 0.0)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def now_ns(self) -> int:
        return time.time_ns()

    def random(self) -> float:
        return 0.5

    def uuid4(self) -> str:
        return "00000000-0000-4000-8000-000000000000"


def test_no_artifact_and_no_python_are_told(at: Bench, tmp_path: Path, archive: Path) -> None:
    bare = replace(order(archive), artifact=None)
    with pytest.raises(LaunchFailed, match="holds no model file"):
        asyncio.run(at.launcher.launch(bare))
    lost = replace(order(archive), python=tmp_path / "bin" / "python")
    with pytest.raises(LaunchFailed, match="could not be started"):
        asyncio.run(at.launcher.launch(lost))
    with pytest.raises(LaunchFailed, match="embedded null byte"):
        asyncio.run(at.launcher.launch(order(archive, VARIABLE="a\0b")))
    assert list(at.instances.iterdir()) == []


def test_a_cancelled_launch_leaves_nothing(at: Bench, tmp_path: Path) -> None:
    archive = malicious(tmp_path, "import time; time.sleep(1000)")

    async def scenario() -> None:
        launching = asyncio.ensure_future(at.launcher.launch(order(archive)))
        await until(lambda: at.launcher.alive("i-1"))
        launching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await launching
        assert list(at.instances.iterdir()) == []

    run(scenario())


@pytest.mark.parametrize("instance", ["", "../i", "a/b", "a" * 64, "-a", "i_1"])
def test_an_id_is_a_plain_folder_name(at: Bench, instance: str) -> None:
    with pytest.raises(ValueError, match="no id of an instance"):
        at.launcher.alive(instance)


# ---------------------------------------------------------------- life and death


def test_a_killed_worker_is_seen_dead(at: Bench, archive: Path) -> None:
    async def scenario() -> None:
        await at.launcher.launch(order(archive))
        assert at.launcher.alive("i-1")
        assert await at.launcher.probe("i-1", 5.0)
        os.kill(pid_of(at), signal.SIGKILL)
        await until(lambda: not at.launcher.alive("i-1"))
        assert not await at.launcher.probe("i-1", 5.0)
        await at.launcher.stop("i-1")
        await at.launcher.stop("i-1")
        assert not (at.instances / "i-1").exists()

    run(scenario())


def test_stop_lets_a_call_that_has_begun_finish(at: Bench, archive: Path) -> None:
    body = csv_of(rows(1))
    call = csv(body.ljust(frames.PART_BYTES_MAX) + b" ")

    async def scenario() -> None:
        instance = await at.launcher.launch(order(archive))
        async with calling(instance) as caller:
            first, last = frames.encode_call(1, call)
            caller.send(first + frames.encode_ping(2))
            assert (await caller.frame()).id == 2
            stopping = asyncio.ensure_future(at.launcher.stop("i-1"))
            await until(lambda: not (at.instances / "i-1" / "socket").exists())
            assert at.launcher.alive("i-1")
            caller.send(last)
            assert (await caller.reply())[1].status == 200
            with pytest.raises(ConnectionResetError):
                await caller.frame()
            await stopping
        assert not (at.instances / "i-1").exists()

    the_order = order(archive)
    run(scenario())
    assert the_order.log.read_text().endswith("stopped\n")


def test_the_end_of_the_life_pipe_ends_a_worker(at: Bench, archive: Path) -> None:
    async def scenario() -> None:
        await at.launcher.launch(order(archive))
        os.dup2(os.open(os.devnull, os.O_WRONLY), at.end_of_life)
        await until(lambda: not at.launcher.alive("i-1"))

    run(scenario())


def test_a_new_launcher_adopts_what_answers_and_ends_the_rest(
    at: Bench, archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    hanging = malicious(tmp_path / "other", "import time; time.sleep(1000)")

    async def scenario() -> None:
        instance = await at.launcher.launch(order(archive))
        await at.launcher.launch(order(archive, "i-2"))
        os.kill(pid_of(at, "i-2"), signal.SIGKILL)
        launching = asyncio.ensure_future(at.launcher.launch(order(hanging, "i-3")))
        await until(lambda: at.launcher.alive("i-3") and not at.launcher.alive("i-2"))

        after = at.another_launcher()
        assert await after.adopt() == [Adopted(instance, "churn", "AllTraffic", "fleet-1")]
        assert os.listdir(at.instances) == ["i-1"]
        assert after.alive("i-1")
        async with calling(instance) as caller:
            assert (await caller.call(csv(csv_of(rows(1))))).status == 200
        await after.stop("i-1")
        with pytest.raises(LaunchFailed, match="SIGTERM"):
            await launching
        await at.launcher.stop("i-1")
        await at.launcher.stop("i-2")

    run(scenario())


def test_a_silent_worker_may_be_busy_for_a_new_control_but_not_for_a_new_house(
    at: Bench, archive: Path, tmp_path: Path
) -> None:
    async def scenario() -> None:
        instance = await at.launcher.launch(order(archive))
        pid = pid_of(at)
        os.kill(pid, signal.SIGSTOP)
        assert not await at.launcher.probe("i-1", 0.2)
        found = await at.another_launcher().adopt()
        assert found == [Adopted(instance, "churn", "AllTraffic", "fleet-1")]
        life, end_of_life = os.pipe()
        house = ProcessLauncher(
            at.instances, life=life, clock=SystemClock(), stop_seconds_max=1000.0, batch_rows_max=1
        )
        async with asyncio.timeout(30):  # it is not asked first
            assert await house.adopt() == []
        assert not at.launcher.alive("i-1")
        assert os.listdir(at.instances) == []
        await at.launcher.stop("i-1")
        os.close(life)
        os.close(end_of_life)

    run(scenario())


def test_an_instance_whose_model_left_a_fork_behind_is_dead(at: Bench, tmp_path: Path) -> None:
    statement = "import os, time; os.fork() or (time.sleep(3), os._exit(0)); os._exit(7)"
    with pytest.raises(LaunchFailed, match="ended with status 7"):
        run(_launched(at.launcher, malicious(tmp_path, statement)))


def test_a_lock_that_names_a_stranger_harms_nobody(at: Bench, archive: Path) -> None:
    async def scenario() -> None:
        await at.launcher.launch(order(archive))
        pid = pid_of(at)
        (at.instances / "i-1" / "lock").write_text(f"{os.getpid()}\n")
        await at.another_launcher().stop("i-1")
        assert psutil.pid_exists(pid)
        await at.launcher.stop("i-1")

    run(scenario())
