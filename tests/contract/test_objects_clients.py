"""What boto3 wrote, read by the other clients that a user of modeltap has: obstore and DuckDB."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import duckdb
import pytest
from store_process import Store, running

BUCKET = "clients-bucket"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with running(tmp_path_factory.mktemp("home")) as store:
        client = store.client()
        client.create_bucket(Bucket=BUCKET)
        client.put_object(Bucket=BUCKET, Key="in/x y.csv", Body=b"a,b\n1,2\n3,4\n")
        client.put_object(Bucket=BUCKET, Key="in/z.csv", Body=b"a,b\n5,6\n")
        yield store


READER = f"""
import obstore
from obstore.store import S3Store
store = S3Store("{BUCKET}")
keys = [meta["path"] for meta in obstore.list(store, "in").collect()]
print(keys, obstore.get(store, "in/z.csv").bytes().to_bytes())
"""


def test_obstore_finds_us_by_its_environment(served: Store) -> None:
    environment = {
        "AWS_ENDPOINT_URL_S3": served.url,
        "AWS_ACCESS_KEY_ID": served.key_id,
        "AWS_SECRET_ACCESS_KEY": served.secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    said = subprocess.run(
        [sys.executable, "-c", READER],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "['in/x y.csv', 'in/z.csv'] b'a,b\\n5,6\\n'\n"


@pytest.mark.parametrize("secure", [False, True])
def test_duckdb_reads_and_writes(served: Store, secure: bool) -> None:
    package = Path(str(files("duckdb_extension_httpfs")))
    extension = next(package.rglob("*.duckdb_extension"))
    with duckdb.connect() as database:
        database.execute(f"LOAD '{extension}'")
        if secure:
            database.execute(f"SET ca_cert_file = '{served.bundle}'")
        port = served.https if secure else served.http
        database.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{served.key_id}', SECRET '{served.secret}', "
            f"REGION 'us-east-1', ENDPOINT '127.0.0.1:{port}', URL_STYLE 'path', USE_SSL {secure})"
        )
        rows = database.execute(f"SELECT * FROM 's3://{BUCKET}/in/*.csv' ORDER BY a").fetchall()
        assert rows == [(1, 2), (3, 4), (5, 6)]
        out = f"s3://{BUCKET}/out/{secure}.parquet"
        database.execute(f"COPY (SELECT range AS n FROM range(1000)) TO '{out}'")
        assert database.execute(f"SELECT sum(n) FROM '{out}'").fetchone() == (499_500,)
