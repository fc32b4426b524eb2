"""Upload without end: `python -m benchmarks.uploading HOME URL`, until stdin ends.

Eight threads, each its own client, put objects of 100 MB again and again, as boto3 does.
"""

import os
import sys
from pathlib import Path
from threading import Thread

from benchmarks.contenders.modeltap import BUCKET
from benchmarks.signing import client

CONCURRENT = 8
BYTES = 100_000_000


def upload(home: Path, url: str, key: str, body: bytes) -> None:
    s3 = client("s3", home, url)
    while True:
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)


if __name__ == "__main__":
    payload = os.urandom(BYTES)
    for number in range(CONCURRENT):
        words = (Path(sys.argv[1]), sys.argv[2], f"upload-{number}", payload)
        Thread(target=upload, args=words, daemon=True).start()
    print("uploading", flush=True)
    sys.stdin.read()
    os._exit(0)  # threads in the middle of an upload are not waited for
