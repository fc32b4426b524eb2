"""A store that takes connections and never answers: who waits for it, and who does not."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Server, new_server
from .deployed import (
    await_in_service,
    await_records,
    capture,
    create_endpoint,
    create_model,
    invoke,
    totals,
    until,
    upload,
)
from .training import XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance

BESIDE_SECONDS_MAX = 20.0
"""For what goes elsewhere: less than the 30 s for which a silent store is waited."""
STOP_SECONDS_MAX = 30.0
"""For the whole house: less than the 45 s after which a shipper alone is killed."""


class SilentStore:
    """Takes connections and reads what is sent; later, it may be told to pass them on."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.callers: list[socket.socket] = []
        self.target: int | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            self.callers.append(caller)
            if self.target is not None:
                other = socket.create_connection(("127.0.0.1", self.target))
                for pair in ((caller, other), (other, caller)):
                    threading.Thread(target=_copy, args=pair, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for caller in self.callers:
            caller.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    target.close()


@pytest.fixture
def silent() -> Iterator[SilentStore]:
    store = SilentStore()
    yield store
    store.close()


@pytest.fixture
def beside(tmp_path: Path, silent: SilentStore) -> Iterator[Server]:
    """Serve with the bucket `silent` on the silent store, which is called with our own keys."""
    server = new_server(tmp_path / "home")
    server.client("s3").create_bucket(Bucket="silent")
    found = server.environment()
    server.stop()
    bucket = {
        "endpoint": f"http://127.0.0.1:{silent.port}",
        "access_key_id": found["AWS_ACCESS_KEY_ID"],
        "secret_access_key": found["AWS_SECRET_ACCESS_KEY"],
        "allow_http": True,
    }
    server.settings["external_buckets"] = json.dumps({"silent": bucket})
    yield server.start()
    server.stop()


def test_a_silent_store_holds_up_neither_others_nor_the_end(
    beside: Server, silent: SilentStore, tmp_path: Path
) -> None:
    server = beside
    (tmp_path / "model").mkdir()
    folder = trained(XGBOOST_0_90, server.home / "environments", tmp_path / "model")
    row = (folder / "inputs.csv").read_text().splitlines(keepends=True)[0]
    create_model(server, "beside", upload(server, folder / "model.tar.gz"))
    create_endpoint(server, "waiting", "beside", capture(bucket="silent"))
    create_endpoint(server, "going", "beside", capture())
    await_in_service(server, "waiting", "going")
    runtime = server.client("sagemaker-runtime")

    for _ in range(5):
        invoke(runtime, "waiting", row)
    assert until(lambda: bool(silent.callers))  # the shipper hangs in it now
    for _ in range(5):
        invoke(runtime, "going", row)
    assert until(lambda: totals(server)["delivered"] == 5, BESIDE_SECONDS_MAX)

    invoke(runtime, "waiting", row)  # one that is sealed while the house ends
    server.stop(STOP_SECONDS_MAX)
    assert totals(server) == {"sampled": 11, "delivered": 5, "pending": 6, "dropped": 0}

    silent.target = server.port + 1
    server.start()
    assert until(lambda: totals(server)["pending"] == 0)
    assert totals(server) == {"sampled": 11, "delivered": 11, "pending": 0, "dropped": 0}
    assert len(await_records(server, "waiting", 6, bucket="silent")) == 6
