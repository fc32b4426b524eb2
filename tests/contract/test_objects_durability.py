"""An acknowledged write is there after `kill -9`, whatever was under way."""

import contextlib
import hashlib
import threading
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from store_process import Store, running

BUCKET = "durable-bucket"
WRITERS = 3
PUTS_A_ROUND = 40
KEYS = 25  # of a writer: they are overwritten, so that old blobs go while the kill comes


def body_of(writer: int, number: int) -> bytes:
    seed = hashlib.sha256(f"{writer}/{number}".encode()).digest()
    return seed * (1 + number % 7 * 1000)


def write(store: Store, writer: int, start: int, acknowledged: dict[str, int]) -> None:
    """Put until the store dies; note the last number that was acknowledged, by key."""
    client = store.client()
    with contextlib.suppress(BotoCoreError, ClientError):
        for number in range(start, start + 100_000):
            key = f"{writer}/{number % KEYS}"
            client.put_object(Bucket=BUCKET, Key=key, Body=body_of(writer, number))
            acknowledged[key] = number


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    acknowledged: dict[str, int] = {}
    for round_number in range(3):
        with running(tmp_path) as store:
            store.client().create_bucket(Bucket=BUCKET)
            before = len(acknowledged) and max(acknowledged.values()) + 1
            threads = [
                threading.Thread(target=write, args=(store, writer, before, acknowledged))
                for writer in range(WRITERS)
            ]
            for thread in threads:
                thread.start()
            enough = before + PUTS_A_ROUND
            while max(acknowledged.values(), default=0) < enough:
                threads[0].join(0.01)
            store.process.kill()
            for thread in threads:
                thread.join()
        assert len(acknowledged) == WRITERS * KEYS, round_number

    with running(tmp_path) as store:
        client = store.client()
        for key, number in acknowledged.items():
            found = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            writer = int(key.partition("/")[0])
            # The next number of this key may have been written and its answer lost.
            assert found in (body_of(writer, number), body_of(writer, number + KEYS))
        blobs = [path for path in (tmp_path / "buckets/blobs").rglob("*") if path.is_file()]
        listed = client.list_objects_v2(Bucket=BUCKET)["Contents"]
        assert len(blobs) == len(listed) == WRITERS * KEYS  # the orphans were swept
