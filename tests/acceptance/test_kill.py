"""`kill -9` of each process under load: who fails, who does not, and that no record is lost."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from .conftest import Server, new_server
from .deployed import (
    await_in_service,
    await_records,
    capture,
    capturez,
    create_endpoint,
    create_model,
    invoke,
    records,
    totals,
    until,
    upload,
)
from .training import XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance


class Load:
    """Threads that invoke without pause; they keep the request ids, and what went wrong."""

    def __init__(self, server: Server, endpoint: str, row: str) -> None:
        self.request_ids: list[str] = []
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        runtime = server.client("sagemaker-runtime", max_pool_connections=8)
        self.threads = [
            threading.Thread(target=self._send, args=(runtime, endpoint, row)) for _ in range(4)
        ]

    @property
    def answered(self) -> int:
        return len(self.request_ids)

    def _send(self, runtime: Any, endpoint: str, row: str) -> None:
        while not self._stop.is_set():
            try:
                answer = runtime.invoke_endpoint(
                    EndpointName=endpoint, ContentType="text/csv", Body=row
                )
                answer["Body"].read()
            except (ClientError, BotoCoreError) as error:
                with self._lock:
                    self.failures.append(str(error))
            else:
                with self._lock:
                    self.request_ids.append(answer["ResponseMetadata"]["RequestId"])

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self.threads:
            thread.join()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """Serve one endpoint, `loaded`, captured at 100 %; give the server and a row."""
    server = new_server(tmp_path_factory.mktemp("kill"))
    folder = trained(XGBOOST_0_90, server.home / "environments", tmp_path_factory.mktemp("model"))
    create_model(server, "loaded", upload(server, folder / "model.tar.gz"))
    create_endpoint(server, "loaded", "loaded", capture())
    await_in_service(server, "loaded")
    yield server, (folder / "inputs.csv").read_text().splitlines(keepends=True)[0]
    server.stop()


def kill(server: Server, role: str) -> int:
    """Kill the one process of a role; give its id."""
    (pid,) = server.processes(role)
    os.kill(pid, signal.SIGKILL)
    return pid


def replaced(server: Server, role: str, dead: int) -> bool:
    """Wait until another process plays the role."""
    return until(lambda: (found := server.processes(role)) != [] and dead not in found)


def progressed(load: Load, count: int = 200) -> bool:
    """Wait until the load has brought so many more answers."""
    before = load.answered
    return until(lambda: load.answered >= before + count)


TOTAL = {"answered": 0}

KILLS = 30
ROLES = ("gateway", "spooler", "shipper", "control", "store")
PAUSE_SECONDS = 0.8
"""Between two kills, at most: who was killed before may be starting still, or resting."""


@pytest.mark.parametrize("role", ["control", "store", "spooler", "shipper"])
def test_no_invocation_fails_and_no_record_is_lost(loaded: tuple[Server, str], role: str) -> None:
    server, row = loaded
    with Load(server, "loaded", row) as load:
        assert progressed(load)
        for _ in range(2):
            dead = kill(server, role)
            assert replaced(server, role, dead)
            assert progressed(load)
    assert load.failures == []
    TOTAL["answered"] += load.answered
    assert until(lambda: totals(server)["pending"] == 0)
    found = await_records(server, "loaded", TOTAL["answered"])
    ids = [event_id(record) for record in found]
    assert len(ids) == TOTAL["answered"]
    assert len(set(ids)) == len(ids)


def test_a_dead_model_is_replaced(loaded: tuple[Server, str]) -> None:
    server, row = loaded
    with Load(server, "loaded", row) as load:
        assert progressed(load)
        (dead,) = server.processes("worker")
        os.kill(dead, signal.SIGKILL)
        assert replaced(server, "worker", dead)
        assert progressed(load)
    TOTAL["answered"] += load.answered
    assert await_records(server, "loaded", TOTAL["answered"])


def test_a_dead_gateway_loses_no_record_of_its_ring(loaded: tuple[Server, str]) -> None:
    """Calls in flight at its death fail or go uncaptured: one a thread and death at most."""
    server, row = loaded
    assert until(lambda: totals(server)["pending"] == 0)
    before = totals(server)
    known = {event_id(record) for record in records(server, "loaded")}
    with Load(server, "loaded", row) as load:
        assert progressed(load)
        for _ in range(3):
            assert replaced(server, "gateway", kill(server, "gateway"))
            assert progressed(load)
    assert until(lambda: totals(server)["pending"] == 0)
    after = totals(server)
    assert after["sampled"] == after["delivered"] + after["dropped"]
    assert after["dropped"] == after.get("crash", 0)  # sampled, and not yet in the ring
    captured = after["delivered"] - before["delivered"]
    in_flight = len(load.threads) * 3
    assert load.answered - in_flight <= captured <= load.answered + len(load.failures)
    assert len(load.failures) <= in_flight
    found = [event_id(record) for record in await_records(server, "loaded", after["delivered"])]
    assert len(found) == len(set(found)) == after["delivered"]
    assert len(set(found) - known) == captured
    TOTAL["answered"] += captured


def test_control_adopts_the_workers_of_its_predecessor(loaded: tuple[Server, str]) -> None:
    server, row = loaded
    workers = server.processes("worker")
    assert replaced(server, "control", kill(server, "control"))
    described = server.client("sagemaker").describe_endpoint(EndpointName="loaded")
    assert described["EndpointStatus"] == "InService"
    assert float(invoke(server.client("sagemaker-runtime"), "loaded", row))
    assert server.processes("worker") == workers


def test_a_restart_brings_the_endpoints_back(loaded: tuple[Server, str]) -> None:
    server, row = loaded
    workers = server.processes("worker")
    server.stop()
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    server.start()
    await_in_service(server, "loaded")
    runtime = server.client("sagemaker-runtime")

    def answers() -> bool:
        try:
            return bool(invoke(runtime, "loaded", row))
        except ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503
            return False

    assert until(answers)


def kill_often(server: Server, load: Load, chance: random.Random) -> Counter[str]:
    """Kill one process after another, at any moment of its life; tell how often each role."""
    killed: Counter[str] = Counter()
    served = load.answered
    while killed.total() < KILLS:
        time.sleep(chance.random() * PAUSE_SECONDS)
        role = chance.choice(ROLES)
        if role == "gateway" and load.answered < served + 100:
            continue  # its successor starts or rests: it would never serve
        for pid in server.processes(role):
            os.kill(pid, signal.SIGKILL)
            killed[role] += 1
        if role == "gateway":
            served = load.answered
    return killed


def nothing_pends(server: Server) -> bool:
    """Ask control: what waits in a ring for a spooler that rests, the command line cannot see."""
    try:
        return not any(each["pending"] for each in capturez(server)["variants"])
    except OSError:
        return False  # it rests, too


def test_thirty_kills_at_any_moment_leave_nothing_uncounted(loaded: tuple[Server, str]) -> None:
    """Also of those that are starting, and of several at once (F2)."""
    server, row = loaded
    create_endpoint(server, "often", "loaded", capture())
    await_in_service(server, "often")
    assert until(lambda: totals(server)["pending"] == 0)
    before = Counter(totals(server))
    with Load(server, "often", row) as load:
        killed = kill_often(server, load, random.Random(4))
    assert until(lambda: nothing_pends(server))
    counted = Counter(totals(server))
    counted.subtract(before)
    found = [event_id(record) for record in records(server, "often")]
    print(killed, counted, f"answered={load.answered} failed={len(load.failures)}")
    assert killed.keys() == set(ROLES)
    assert len(found) == len(set(found)) == counted["delivered"]
    assert counted["sampled"] == counted["delivered"] + counted["dropped"]
    assert counted["dropped"] == counted["crash"]
    # A call is sampled once its answer has left: a kill between the two finds it in nobody's count.
    between = len(load.threads) * killed["gateway"]
    assert len(set(load.request_ids) - set(found)) <= counted["dropped"] + between
    assert len(set(found) - set(load.request_ids)) <= len(load.failures)


def event_id(record: dict[str, Any]) -> str:
    return str(record["eventMetadata"]["eventId"])
