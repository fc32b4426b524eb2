"""The house inspects itself: floors, sizes, bans."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
FUNCTION_LINES_MEDIAN_MAX = 10

CLOCK, STARTER = {"clock"}, {"house"}
BANNED_CALLS = {
    "time.time": CLOCK,
    "time.time_ns": CLOCK,
    "time.monotonic": CLOCK,
    "time.sleep": CLOCK | {"cli"},  # a person at a terminal waits for the next line
    "datetime.now": CLOCK,
    "datetime.utcnow": CLOCK,
    "uuid.uuid4": CLOCK,
    "random.random": CLOCK,
    "threading.Thread": STARTER,
    "multiprocessing.Process": STARTER,
    "asyncio.create_task": STARTER | {"gateway", "link"},  # tasks that end with their connection
}
"""Where time, chance and identity come from, and who starts things (`docs/architecture.md`)."""

NAMES_BANNED = {"utils", "util", "helpers", "common", "misc"}


def test_rooms_look_down_only() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_module_is_large() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in SOURCES}
    assert {path: count for path, count in lines.items() if count > MODULE_LINES_MAX} == {}


def test_no_module_is_a_drawer() -> None:
    assert [path for path in SOURCES if path.stem in NAMES_BANNED] == []


def functions() -> Iterator[tuple[str, int]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
                yield name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_functions_are_small() -> None:
    found = dict(functions())
    assert {name: lines for name, lines in found.items() if lines > FUNCTION_LINES_MAX} == {}
    assert median(found.values()) <= FUNCTION_LINES_MEDIAN_MAX


HOUSE = [path for path in SOURCES if path.is_relative_to(ROOT / "src/modeltap")]


@pytest.mark.parametrize("path", HOUSE, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_no_banned_call(path: Path) -> None:
    room = path.relative_to(ROOT / "src/modeltap").parts[0].removesuffix(".py")
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    found = [
        f"{name}, line {call.lineno}"
        for call in calls
        if room not in BANNED_CALLS.get(name := ast.unparse(call.func), {room})
    ]
    assert found == []


def test_no_mock_in_the_tests() -> None:
    words = ("unittest" + ".mock", "monkeypatch" + ".setattr")
    tests = (ROOT / "tests").rglob("*.py")
    assert [path for path in tests if any(word in path.read_text() for word in words)] == []


def test_nothing_is_left_to_do() -> None:
    words = ("TO" + "DO", "FIX" + "ME")
    assert [path for path in SOURCES if any(word in path.read_text() for word in words)] == []


def test_no_lock_names_an_index() -> None:
    folders = (ROOT / "requirements", ROOT / "benchmarks" / "requirements")
    locks = [lock for folder in folders for lock in folder.glob("*.txt")]
    assert [path for path in locks if "://" in path.read_text()] == []
