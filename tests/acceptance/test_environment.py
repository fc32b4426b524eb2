"""`modeltap env` and `run`: every client of a shell is led here, over HTTP, TLS and the proxy."""

import importlib.resources
import os
import socket
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import duckdb
import obstore
import pytest
from obstore.store import S3Store

from .conftest import MODELTAP, Server

pytestmark = pytest.mark.acceptance


def command(server: Server, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*MODELTAP, *words, "--home", str(server.home)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def run(server: Server, code: str, *options: str, **environment: str) -> str:
    """Run Python code under `modeltap run`; give what it printed."""
    words = ["run", "--home", str(server.home), *options, "--", sys.executable, "-c", code]
    return subprocess.run(
        [*MODELTAP, *words],
        env=os.environ | environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def test_env_prints_what_clients_need(server: Server) -> None:
    found = server.environment()
    assert found["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{server.port}"
    assert found["AWS_ENDPOINT_URL_S3"] == f"http://127.0.0.1:{server.port + 1}"
    assert found["AWS_DEFAULT_REGION"] == "us-east-1"
    assert found["HTTPS_PROXY"] == f"http://127.0.0.1:{server.port + 1}"
    assert "127.0.0.1" in found["NO_PROXY"].split(",")
    assert Path(found["AWS_CA_BUNDLE"]).exists()
    assert len(found["AWS_ACCESS_KEY_ID"]) == 20
    assert len(found["AWS_SECRET_ACCESS_KEY"]) == 40


def test_env_clears_what_would_lead_elsewhere(server: Server) -> None:
    elsewhere = {
        "AWS_PROFILE": "work",
        "AWS_SESSION_TOKEN": "t",
        "AWS_SECURITY_TOKEN": "t",
        "AWS_ENDPOINT_URL_SAGEMAKER": "http://127.0.0.1:4566",
    }
    printed = command(server, "env", no_proxy="x", **elsewhere)
    for name in elsewhere:
        assert f"unset {name}\n" in printed.stdout
    assert "export no_proxy=" in printed.stdout


def test_env_fails_while_no_server_answers(tmp_path: Path) -> None:
    words = [*MODELTAP, "env", "--home", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"no server runs on {tmp_path}" in done.stderr


def test_a_second_server_on_the_home_or_the_port_is_refused(server: Server, tmp_path: Path) -> None:
    same_home = command(server, "serve")
    assert same_home.returncode == 1
    assert "another `modeltap serve` runs on" in same_home.stderr
    words = [*MODELTAP, "serve", "--home", str(tmp_path / "h"), "--port", str(server.port)]
    same_port = subprocess.run(words, capture_output=True, text=True)
    assert same_port.returncode == 1
    assert f"port {server.port}" in same_port.stderr


def test_a_bad_setting_is_named(tmp_path: Path) -> None:
    words = [*MODELTAP, "serve", "--home", str(tmp_path), "--port", "70000"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1
    assert "port" in done.stderr


def test_run_passes_the_status_on(server: Server) -> None:
    words = ["run", "--home", str(server.home), "--", "sh", "-c", "exit 7"]
    assert subprocess.run([*MODELTAP, *words]).returncode == 7


IDENTITY = "import boto3; print(boto3.client('sts'{}).get_caller_identity()['Arn'])"
AWS_STS = ", endpoint_url='https://sts.us-east-1.amazonaws.com'"


@pytest.mark.parametrize("options", [(), ("--https",)])
def test_sts_is_here_by_variable_and_by_its_own_name(
    server: Server, options: tuple[str, ...]
) -> None:
    role = "arn:aws:sts::000000000000:assumed-role/ModeltapExecutionRole/modeltap\n"
    assert run(server, IDENTITY.format(""), *options) == role
    assert run(server, IDENTITY.format(AWS_STS), *options) == role


WITHOUT_ENDPOINT_VARIABLES = """
import os, boto3
for name in [name for name in os.environ if name.startswith("AWS_ENDPOINT")]:
    del os.environ[name]
s3 = boto3.client("s3")
s3.create_bucket(Bucket="by-name")
s3.put_object(Bucket="by-name", Key="a/b c.txt", Body=b"over tls")
print(s3.get_object(Bucket="by-name", Key="a/b c.txt")["Body"].read().decode())
print(boto3.client("sagemaker").list_endpoints(NameContains="nothing-is-named-so")["Endpoints"])
"""


def test_the_proxy_alone_leads_s3_and_sagemaker_here(server: Server) -> None:
    assert run(server, WITHOUT_ENDPOINT_VARIABLES) == "over tls\n[]\n"


UPLOAD = """
import io, boto3
s3 = boto3.resource("s3")
s3.create_bucket(Bucket="uploads")
data = bytes(range(256)) * 4096 * 12
s3.Bucket("uploads").Object("big").upload_fileobj(io.BytesIO(data))
s3.Bucket("uploads").Object("small").upload_fileobj(io.BytesIO(b"small"))
back = io.BytesIO()
s3.Bucket("uploads").Object("big").download_fileobj(back)
print(back.getvalue() == data, s3.Object("uploads", "small").get()["Body"].read())
"""


@pytest.mark.parametrize("options", [(), ("--https",)])
def test_uploads_of_today_s_boto3(server: Server, options: tuple[str, ...]) -> None:
    assert run(server, UPLOAD, *options) == "True b'small'\n"


def test_obstore_and_duckdb_read_the_bucket(server: Server) -> None:
    found = server.environment()
    boto: Any = boto3.client(
        "s3",
        endpoint_url=found["AWS_ENDPOINT_URL_S3"],
        region_name="us-east-1",
        aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
    )
    boto.create_bucket(Bucket="lake")
    boto.put_object(Bucket="lake", Key="t.csv", Body=b"a,b\n1,2\n3,4\n")
    store = S3Store(
        "lake",
        endpoint=found["AWS_ENDPOINT_URL_S3"],
        region="us-east-1",
        access_key_id=found["AWS_ACCESS_KEY_ID"],
        secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
        client_options={"allow_http": True},
    )
    assert bytes(obstore.get(store, "t.csv").bytes()) == b"a,b\n1,2\n3,4\n"
    obstore.put(store, "u.csv", b"a,b\n5,6\n")
    assert duck(found).execute("select sum(a) from 's3://lake/*.csv'").fetchone() == (9,)


def duck(found: dict[str, str]) -> Any:
    """Open DuckDB with its S3 extension, led to the embedded buckets."""
    connection = duckdb.connect()
    package = Path(str(importlib.resources.files("duckdb_extension_httpfs")))
    connection.load_extension(str(next(package.rglob("*.duckdb_extension"))))
    host = found["AWS_ENDPOINT_URL_S3"].removeprefix("http://")
    connection.execute(
        f"create secret (type s3, key_id '{found['AWS_ACCESS_KEY_ID']}', "
        f"secret '{found['AWS_SECRET_ACCESS_KEY']}', endpoint '{host}', "
        "url_style 'path', use_ssl false, region 'us-east-1')"
    )
    return connection


def test_other_hosts_are_tunnelled_unread(server: Server) -> None:
    """The shell's other traffic goes through: bytes arrive as they were sent."""
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        port = elsewhere.getsockname()[1]
        with socket.create_connection(("127.0.0.1", server.port + 1), timeout=10) as client:
            client.sendall(f"CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert client.recv(1024).startswith(b"HTTP/1.1 200")
            taken, _ = elsewhere.accept()
            with taken:
                client.sendall(b"\x00\x01 not http")
                assert taken.recv(64) == b"\x00\x01 not http"
                taken.sendall(b"pong")
                assert client.recv(64) == b"pong"


@pytest.mark.parametrize("offset", [0, 1])
def test_both_ports_speak_tls_under_the_local_ca(server: Server, offset: int) -> None:
    bundle = server.environment()["AWS_CA_BUNDLE"]
    context = ssl.create_default_context(cafile=bundle)
    raw = socket.create_connection(("127.0.0.1", server.port + offset), timeout=10)
    with context.wrap_socket(raw, server_hostname="127.0.0.1") as tls:
        assert tls.version() in ("TLSv1.2", "TLSv1.3")


def test_health_needs_no_signature(server: Server) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/ping", timeout=10) as answer:
        assert answer.status == 200
