"""What the command line prints, and that a reader may stop reading."""

import subprocess
import sys
from pathlib import Path

from modeltap.cli.documents import LINES
from modeltap.house.served import SERVED
from modeltap.logbook import Logbook
from modeltap.nouns import PROCESSING_LOG_GROUP, TRANSFORM_LOG_GROUP, endpoint_log_group

MODELTAP = [sys.executable, "-m", "modeltap.cli"]


def test_every_line_is_of_an_operation_that_is_served() -> None:
    assert {service: set(lines) for service, lines in LINES.items()} == {
        service: set(names) for service, names in SERVED.items()
    }


def test_logs_are_printed_with_their_streams(tmp_path: Path) -> None:
    Logbook(tmp_path / "logs").append(endpoint_log_group("e"), "AllTraffic/i-1", "hello")
    command = [*MODELTAP, "logs", "e", "--home", str(tmp_path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout == "AllTraffic/i-1  hello\n"
    unknown = subprocess.run([*command[:-3], "f", *command[-2:]], capture_output=True, text=True)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "endpoint f has no log" in unknown.stderr


def test_a_jobs_log_is_its_own_streams(tmp_path: Path) -> None:
    for stream in ("train/algo-1-1", "train-2/algo-1-1"):
        Logbook(tmp_path / "logs").append(PROCESSING_LOG_GROUP, stream, f"of {stream}")
    command = [*MODELTAP, "logs", "--home", str(tmp_path)]
    done = subprocess.run([*command, "--job", "train"], check=True, stdout=subprocess.PIPE)
    assert done.stdout == b"train/algo-1-1  of train/algo-1-1\n"
    Logbook(tmp_path / "logs").append(TRANSFORM_LOG_GROUP, "score/i-1", "scored")
    done = subprocess.run([*command, "--job", "score"], check=True, stdout=subprocess.PIPE)
    assert done.stdout == b"score/i-1  scored\n"
    for words, refusal in (
        (["--job", "tra"], "job tra has no log"),
        ([], "name one endpoint, or one job with --job"),
        (["e", "--job", "train"], "name one endpoint, or one"),
    ):
        refused = subprocess.run([*command, *words], capture_output=True, text=True)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refusal in refused.stderr


def test_a_reader_may_stop_reading(tmp_path: Path) -> None:
    logbook = Logbook(tmp_path / "logs")
    for _ in range(3):
        logbook.append(endpoint_log_group("e"), "s", "x" * 100_000)  # more than a pipe holds
    command = [*MODELTAP, "logs", "e", "--home", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
