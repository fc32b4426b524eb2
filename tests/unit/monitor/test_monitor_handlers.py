"""Users' scripts, in real processes: what they are given, what they may return, what they break."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from modeltap.clock import SystemClock
from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.handler_process import Limits
from modeltap.monitor.handlers import Outcome, Preprocessor, postprocess
from modeltap.monitor.payloads import RecordRefused, rows_of
from modeltap.nouns import Document

SECRET = "4711-0815"
USUAL = Limits()
TIGHT = Limits(record_seconds_max=2.0)


def record(given: str = "1,2", output: str = "0.5\n") -> Document:
    return {
        "captureData": {
            "endpointInput": {
                "observedContentType": "text/csv",
                "mode": "INPUT",
                "data": given,
                "encoding": "CSV",
            },
            "endpointOutput": {
                "observedContentType": "text/csv; charset=utf-8",
                "mode": "OUTPUT",
                "data": output,
                "encoding": "CSV",
            },
        },
        "eventMetadata": {"eventId": "id-1", "inferenceTime": "2026-11-20T23:33:12Z"},
        "eventVersion": "0",
    }


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "preprocessor.py"


@contextmanager
def preprocessor(script: Path, text: str, limits: Limits = USUAL) -> Iterator[Preprocessor]:
    script.write_text(dedent(text))
    with Preprocessor(script, clock=SystemClock(), limits=limits) as entered:
        yield entered


def outcomes(script: Path, text: str, *records: Document, limits: Limits = USUAL) -> list[Any]:
    with preprocessor(script, text, limits) as entered:
        return list(entered.rows(records or [record()]))


def refused(outcome: Outcome) -> str:
    assert isinstance(outcome, RecordRefused)
    assert SECRET not in str(outcome)
    return outcome.reason


def fails(script: Path, text: str, *records: Document, limits: Limits = USUAL) -> str:
    with pytest.raises(AnalysisFailed) as failed:
        outcomes(script, text, *records, limits=limits)
    assert script.name in str(failed.value)
    return str(failed.value)


# ---------------------------------------------------------------- what it is given


def test_awss_own_example(script: Path) -> None:
    text = """
        def preprocess_handler(inference_record):
            input_data = inference_record.endpoint_input.data
            output_data = inference_record.endpoint_output.data.rstrip("\\n")
            data = output_data + "," + input_data
            return {str(i).zfill(20): d for i, d in enumerate(data.split(","))}
        """
    [rows] = outcomes(script, text)
    assert rows == [{"0".zfill(20): "0.5", "1".zfill(20): "1", "2".zfill(20): "2"}]


def test_every_attribute(script: Path) -> None:
    text = """
        def sides(r):
            return [r.endpoint_input, r.endpoint_output, r.batch_transform_output, r.ground_truth]

        def preprocess_handler(r):
            assert [side and side.data for side in sides(r)] == ["1,2", "0.5\\n", None, "1"]
            side = r.endpoint_output
            assert (side.encoding, side.mode) == ("CSV", "OUTPUT")
            assert side.observedContentType == "text/csv; charset=utf-8"
            assert r.event_data.endpointInput.data == "1,2"
            assert r.event_data.endpointOutput is side
            metadata = r.event_metadata
            assert (metadata.event_id, metadata.event_time) == ("id-1", "2026-11-20T23:33:12Z")
            assert metadata.custom_attribute is None
            assert r.event_version == "0"
            assert r.event_dict["eventMetadata"]["eventId"] == "id-1"
            side.data = "0.7"
            assert r.as_dict()["captureData"]["endpointOutput"] == {
                "encoding": "CSV", "data": "0.7", "observedContentType": side.observedContentType
            }
            assert str(r) == str(r.as_dict())
            return {"ok": True}
        """
    told = record() | {"groundTruthData": {"data": "1", "encoding": "CSV"}}
    assert outcomes(script, text, told) == [[{"ok": "true"}]]


def test_a_side_that_was_not_captured_is_none(script: Path) -> None:
    text = """
        def preprocess_handler(r):
            return {"none": r.endpoint_input is r.endpoint_output is r.event_metadata is None}
        """
    assert outcomes(script, text, {"captureData": {}}, {}) == [[{"none": "true"}]] * 2


def test_a_second_parameter_is_a_logger(script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = """
        def preprocess_handler(inference_record, logger):
            logger.debug("seen")
            return {"a": 1}
        """
    assert outcomes(script, text) == [[{"a": "1"}]]
    assert "seen" in capfd.readouterr().err


# ---------------------------------------------------------------- what it may return


@pytest.mark.parametrize(
    ("result", "rows"),
    [
        ("{'a': 1, 'b': 1.0, 'c': True, 'd': None, 'e': '', 'f': '1.50'}",
         [{"a": "1", "b": "1.0", "c": "true", "d": None, "e": "", "f": "1.50"}]),
        ("[{'a': 1}, {'a': 2}]", [{"a": "1"}, {"a": "2"}]),
        ("{i: x for i, x in enumerate('xy')}", [{"0": "x", "1": "y"}]),
        ("__import__('numpy').float64(0.25) and {'a': __import__('numpy').int64(3)}", [{"a": "3"}]),
        ("None", []),
        ("[]", []),
    ],
)  # fmt: skip
def test_rows_as_json_writes_them(script: Path, result: str, rows: list[Any]) -> None:
    assert outcomes(script, f"def preprocess_handler(r):\n  return {result}") == [rows]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ("{'a': [1]}", "not_flat"),
        ("{'a': {'b': 1}}", "not_flat"),
        ("{}", "empty"),
        ("{'a': float('nan')}", "not_a_number"),
        ("[{'a': float('inf')}]", "not_a_number"),
        ("{'a': '\\ud800'}", "malformed"),
        ("{'a': b'4711-0815'}", "preprocessor"),
        ("{('4711-0815',): 1}", "preprocessor"),
        ("'4711-0815'", "preprocessor"),
        ("[1]", "preprocessor"),
    ],
)
def test_what_is_no_flat_row_is_refused(script: Path, result: str, reason: str) -> None:
    text = f"""
        def preprocess_handler(r):
            return {result} if r.endpoint_input.data == "bad" else {{"a": 1}}
        """
    found, after = outcomes(script, text, record("bad"), record())
    assert refused(found) == reason
    assert after == [{"a": "1"}]


def test_the_record_itself_is_read_as_any_other(script: Path) -> None:
    text = """
        def preprocess_handler(inference_record, logger):
            inference_record.endpoint_output.data = "0.7"
            return inference_record
        """
    [outcome] = outcomes(script, text)
    assert rows_of(outcome)[0].texts == ("0.7", "1", "2")


# ---------------------------------------------------------------- what it may break


def test_an_exception_costs_its_record(script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = """
        def preprocess_handler(r):
            return {"a": float(r.endpoint_input.data)}
        """
    bad, good = outcomes(script, text, record("x,4711-0815"), record("1"))
    assert refused(bad) == "preprocessor"
    assert bad.detail == "ValueError"
    assert good == [{"a": "1.0"}]
    assert "Traceback" in capfd.readouterr().err


def test_a_log_is_no_place_for_a_million_tracebacks(
    script: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    outcomes(script, "def preprocess_handler(r): 1 / 0", *[record()] * 50)
    assert capfd.readouterr().err.count("ZeroDivisionError") == 10


def test_what_it_prints_goes_to_the_log(script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = """
        import os, subprocess, sys
        print("loaded")
        def preprocess_handler(r):
            print("printed")
            os.write(1, b"written\\n")
            subprocess.run(["sh", "-c", "echo of a child"], check=True)
            return {"a": sys.stdin.read()}
        """
    assert outcomes(script, text) == [[{"a": ""}]]
    captured = capfd.readouterr()
    assert captured.out == ""
    assert {"loaded", "printed", "written", "of a child"} <= set(captured.err.splitlines())


@pytest.mark.parametrize(
    ("act", "reason", "detail"),
    [
        ("os._exit(3)", "preprocessor_died", "exit status 3"),
        ("sys.exit(4)", "preprocessor_died", "exit status 4"),
        ("os.kill(os.getpid(), 11)", "preprocessor_died", "SIGSEGV"),
        ("os.closerange(3, 256)", "preprocessor_died", ""),
        ("bytearray(8 << 30)", "preprocessor", "MemoryError"),
        ("open('big', 'wb').truncate(2 << 30)", "preprocessor", "OSError"),
        ("[open('/dev/null') for _ in range(999)]", "preprocessor", "OSError"),
        ("time.sleep(3600)", "preprocessor_timeout", "no answer within 2 s"),
        ("while True: pass", "preprocessor_timeout", "no answer within 2 s"),
    ],
)
def test_whatever_it_does_costs_one_record(
    script: Path, act: str, reason: str, detail: str
) -> None:
    text = f"""
        import os, sys, time
        def preprocess_handler(r):
            if r.endpoint_input.data == "bad":
                {act}
            return {{"a": 1}}
        """
    limits = TIGHT if "timeout" in reason else Limits()
    before, bad, after = outcomes(script, text, record(), record("bad"), record(), limits=limits)
    assert before == after == [{"a": "1"}]
    assert refused(bad) == reason
    assert detail in bad.detail


def test_an_answer_that_is_none_costs_one_record(script: Path) -> None:
    text = """
        import os
        def preprocess_handler(r):
            if r.endpoint_input.data == "bad":
                for descriptor in range(3, 12):
                    try:
                        os.write(descriptor, b"no answer\\n")
                    except OSError:
                        pass
            return {"a": 1}
        """
    bad, after = outcomes(script, text, record("bad"), record())
    assert refused(bad) == "preprocessor_died"
    assert after == [{"a": "1"}]


@pytest.mark.parametrize("size", [200_000, 2_000_000])
def test_records_larger_than_a_pipe(script: Path, size: int) -> None:
    text = "def preprocess_handler(r): return {'a': r.endpoint_input.data}"
    assert outcomes(script, text, record("x" * size)) == [[{"a": "x" * size}]]


def test_what_is_too_large_costs_one_record(script: Path) -> None:
    text = """
        def preprocess_handler(r):
            return {"a": "x" * 200_000 if r.endpoint_input.data == "bad" else "y"}
        """
    limits = replace(Limits(), message_bytes_max=100_000)
    records = record("x" * 100_000), record("bad"), record()
    given, answered, after = outcomes(script, text, *records, limits=limits)
    assert refused(given) == refused(answered) == "too_large"
    assert after == [{"a": "y"}]


def test_ten_deaths_in_a_row_fail_the_analysis(script: Path) -> None:
    text = """
        import os
        def preprocess_handler(r):
            return {"a": 1} if r.endpoint_input.data == "good" else os._exit(7)
        """
    limits = replace(Limits(), deaths_max=3)
    bad, good = record("bad"), record("good")
    found = outcomes(script, text, bad, bad, good, bad, bad, limits=limits)
    assert [isinstance(each, RecordRefused) for each in found] == [True, True, False, True, True]
    assert "3 records in a row" in fails(script, text, good, bad, bad, bad, limits=limits)


def test_its_environment_and_its_rights_are_its_own(script: Path) -> None:
    text = """
        import os, resource
        def preprocess_handler(r):
            names = [n for n in os.environ if n != "LC_CTYPE"]
            open("made", "w").close()
            return {
                "names": " ".join(sorted(names)),
                "session": os.getsid(0) == os.getpid(),
                "mode": oct(os.stat("made").st_mode)[-3:],
                "core": resource.getrlimit(resource.RLIMIT_CORE)[1],
            }
        """
    script.write_text(dedent(text))
    given = {"dataset_format": "x"}
    with Preprocessor(script, clock=SystemClock(), environment=given) as entered:
        [rows] = entered.rows([record()])
    assert rows == [
        {
            "names": "LANG PATH dataset_format",
            "session": "true",
            "mode": "600",
            "core": "0",
        }
    ]


# ---------------------------------------------------------------- how it ends


def test_its_own_children_end_with_it(script: Path) -> None:
    text = """
        import subprocess
        def preprocess_handler(r):
            return {"pid": subprocess.Popen(["sleep", "3600"]).pid}
        """
    with preprocessor(script, text) as entered:
        rows: list[Any] = list(entered.rows([record()]))
        child = os.pidfd_open(int(rows[0][0]["pid"]))
    assert has_ended(child)


def has_ended(pidfd: int) -> bool:
    ended, _, _ = select.select([pidfd], [], [], 30)
    os.close(pidfd)
    return bool(ended)


def test_it_ends_with_us_whatever_it_is_doing(script: Path, tmp_path: Path) -> None:
    script.write_text(
        "import os\n"
        "def preprocess_handler(r):\n"
        "    os.write(2, b'%d\\n' % os.getpid())\n"
        "    while True: pass\n"
    )
    ours = (
        "import sys; from pathlib import Path\n"
        "from modeltap.clock import SystemClock\n"
        "from modeltap.monitor.handlers import Preprocessor\n"
        "with Preprocessor(Path(sys.argv[1]), clock=SystemClock()) as entered:\n"
        "    list(entered.rows([{}]))\n"
    )
    command = [sys.executable, "-c", ours, str(script)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        looping = os.pidfd_open(int(process.stderr.readline()))
        process.kill()
        assert has_ended(looping)


# ---------------------------------------------------------------- scripts that are none


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x = 1", "no function preprocess_handler: define preprocess_handler(inference_record)"),
        ("preprocess_handler = 1", "no function preprocess_handler"),
        ("def preprocess_handler(): pass", "takes other arguments: define"),
        ("def preprocess_handler(a, b, c): pass", "takes other arguments: define"),
        ("def preprocess_handler(", "SyntaxError: '(' was never closed (preprocessor.py, line 1)"),
        ("import pandas_of_old", "No module named 'pandas_of_old': mend or replace the script"),
        (f"raise ValueError('{SECRET}')", "cannot be loaded: ValueError: mend"),
        ("import os; os._exit(5)", "ended while it was loaded (exit status 5)"),
        ("import sys; sys.exit()", "ended while it was loaded (exit status 0)"),
        ("x = bytearray(8 << 30)", "cannot be loaded: MemoryError"),
        ("\x00", "cannot be loaded"),
    ],
)
def test_a_script_that_cannot_be_used_fails_the_analysis(
    script: Path, text: str, fault: str
) -> None:
    told = fails(script, text)
    assert fault in told
    assert SECRET not in told


def test_a_script_that_is_not_there(script: Path) -> None:
    with pytest.raises(AnalysisFailed, match="no such script"):
        Preprocessor(script, clock=SystemClock()).__enter__()


# ---------------------------------------------------------------- postprocess_handler


def post(script: Path, text: str, limits: Limits = USUAL) -> None:
    script.write_text(dedent(text))
    postprocess(script, clock=SystemClock(), limits=limits)


def test_postprocess(script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    post(script, "def postprocess_handler():\n  print('Hello from post-proc script!')\n  return 1")
    assert "Hello from post-proc script!" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("def postprocess_handler(): 1 / 0", "ZeroDivisionError"),
        ("import os\ndef postprocess_handler(): os._exit(9)", "exit status 9"),
        ("def postprocess_handler():\n  while True: pass", "no answer within 1 s"),
        ("def postprocess_handler(a): pass", "define postprocess_handler()"),
        ("def preprocess_handler(r): pass", "no function postprocess_handler"),
    ],
)
def test_a_postprocessor_that_fails_fails_the_analysis(script: Path, text: str, fault: str) -> None:
    with pytest.raises(AnalysisFailed) as failed:
        post(script, text, Limits(script_seconds_max=1))
    assert fault in str(failed.value)
    assert script.name in str(failed.value)
