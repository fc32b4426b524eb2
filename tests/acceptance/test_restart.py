"""`kill -9` of the supervisor with endpoints in every status: the next start ends the same."""

import os
import pickle
import signal
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Server, new_server
from .deployed import await_in_service, create_endpoint, create_model, invoke, until, upload
from .training import XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance

ROLES = ("store", "control", "shipper", "spooler", "gateway")


class LoadsOnceLetGo:
    """A model that does not load before a file is there: its endpoint stays as it is until then."""

    def __init__(self, gate: Path, model: bytes) -> None:
        self._statement = (
            "import os, time, pickle\n"
            f"while not os.path.exists({str(gate)!r}): time.sleep(0.05)\n"
            f"loaded = pickle.loads({model!r})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (
            f"(lambda scope: (exec({self._statement!r}, scope), scope['loaded'])[1])({{}})",
        )


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[tuple[Server, str]]:
    """Serve endpoints in every status and kill the supervisor; give the server and a row."""
    server = new_server(tmp_path / "home", invocation_seconds_max="2", stop_seconds_max="10")
    try:
        yield server, furnished(server, tmp_path)
    finally:
        server.stop()
        for pid in server.processes("worker"):  # stopped ones, if the test failed
            os.kill(pid, signal.SIGKILL)


def furnished(server: Server, tmp_path: Path) -> str:
    folder = trained(XGBOOST_0_90, server.home / "environments", tmp_path)
    create_model(server, "good", upload(server, folder / "model.tar.gz", "good.tar.gz"))
    slow = LoadsOnceLetGo(tmp_path / "gate", (folder / "xgboost-model").read_bytes())
    (tmp_path / "slow").write_bytes(pickle.dumps(slow))
    with tarfile.open(tmp_path / "slow.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "slow", "xgboost-model")
    create_model(server, "slow", upload(server, tmp_path / "slow.tar.gz", "slow.tar.gz"))
    create_model(server, "unknown", "s3://acceptance/good.tar.gz", "nobody/knows:1")
    for name in ("steady", "stopped", "updating", "deleting"):
        create_endpoint(server, name, "good")
    await_in_service(server, "steady", "stopped", "updating", "deleting")
    create_endpoint(server, "creating", "slow")
    create_endpoint(server, "failed", "unknown")
    sagemaker = server.client("sagemaker")
    sagemaker.update_endpoint(EndpointName="updating", EndpointConfigName="creating")
    assert until(lambda: status(server, "failed") == "Failed")
    assert until(lambda: len(server.processes("worker")) == 6)
    os.kill(worker_of(server, "stopped"), signal.SIGSTOP)  # it cannot see the end of the house
    os.kill(worker_of(server, "deleting"), signal.SIGSTOP)  # it cannot end yet
    sagemaker.delete_endpoint(EndpointName="deleting")
    found = {name: status(server, name) for name in ("deleting", "creating", "updating")}
    assert found == {"creating": "Creating", "updating": "Updating", "deleting": "Deleting"}
    (gateway,) = server.processes("gateway")
    os.kill(gateway, signal.SIGSTOP)  # it takes its time to end, and holds the port
    kill(server)
    return (folder / "inputs.csv").read_text().splitlines(keepends=True)[0]


def status(server: Server, name: str) -> str | None:
    try:
        found = server.client("sagemaker").describe_endpoint(EndpointName=name)
    except ClientError as error:
        assert "Could not find endpoint" in error.response["Error"]["Message"]
        return None
    return str(found["EndpointStatus"])


def worker_of(server: Server, endpoint: str) -> int:
    (folder,) = (
        spec.parent
        for spec in (server.home / "run" / "instances").glob("*/spec.json")
        if f'"endpoint": "{endpoint}"' in spec.read_text()
    )
    return int((folder / "lock").read_text())


def kill(server: Server) -> None:
    """Kill the supervisor alone, as the kernel does when memory ends."""
    assert server.process is not None and server.process.stdout is not None
    server.process.kill()
    server.process.wait()
    server.process.stdout.close()
    server.process = None


def let_go(server: Server) -> None:
    """Let the gateway of the killed house go on."""
    (gateway,) = server.processes("gateway")
    os.kill(gateway, signal.SIGCONT)


def answers(server: Server, name: str, row: str) -> bool:
    try:
        return bool(invoke(server.client("sagemaker-runtime"), name, row))
    except ClientError:
        return False


def test_the_next_start_ends_the_same(killed: tuple[Server, str], tmp_path: Path) -> None:
    server, row = killed
    before = server.processes("worker")
    threading.Timer(3.0, let_go, (server,)).start()
    server.start()  # at once: what is left of the killed house is waited for
    assert [len(server.processes(role)) for role in ROLES] == [1] * len(ROLES)
    assert until(lambda: status(server, "deleting") is None)
    assert status(server, "creating") == "Creating"
    assert status(server, "updating") == "Updating"
    assert status(server, "failed") == "Failed"
    for name in ("steady", "stopped", "updating"):
        assert until(lambda name=name: answers(server, name, row))  # type: ignore[misc]
    (tmp_path / "gate").touch()
    await_in_service(server, "creating", "updating", "steady", "stopped")
    assert answers(server, "creating", row) and answers(server, "updating", row)
    server.client("sagemaker").delete_endpoint(EndpointName="failed")
    assert until(lambda: status(server, "failed") is None)
    assert until(lambda: len(server.processes("worker")) == 4)
    assert not set(before) & set(server.processes("worker"))
    assert len(list((server.home / "run" / "instances").iterdir())) == 4
    os.kill(worker_of(server, "stopped"), signal.SIGSTOP)
    hung = worker_of(server, "stopped")
    assert until(lambda: not Path(f"/proc/{hung}").exists(), 60)
    assert until(lambda: answers(server, "stopped", row))
    os.kill(worker_of(server, "steady"), signal.SIGSTOP)
    server.stop()
    assert server.processes("worker") == []


def test_a_kill_leaves_no_process_but_what_cannot_run(killed: tuple[Server, str]) -> None:
    """Two workers are stopped: they end when they go on, and are ended by the next start."""
    server, _ = killed
    let_go(server)
    assert until(lambda: not any(server.processes(role) for role in ROLES))
    assert until(lambda: len(server.processes("worker")) == 2)
    for pid in server.processes("worker"):
        os.kill(pid, signal.SIGCONT)
    assert until(lambda: server.processes("worker") == [])
