"""The hot modules run compiled, and keep to what compiles into the same behaviour."""

import ast
import importlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HOT = [
    (package, module)
    for package, modules in PROJECT["tool"]["modeltap"]["compiled"].items()
    for module in modules
]
ids = ["/".join(each) for each in HOT]


@pytest.mark.skipif("MODELTAP_PURE" in os.environ, reason="asked for what is not compiled")
@pytest.mark.parametrize(("package", "module"), HOT, ids=ids)
def test_what_is_tested_is_what_is_compiled(package: str, module: str) -> None:
    found = importlib.import_module(f"{package}.{module.replace('/', '.')}")
    assert str(found.__file__).endswith(".so")


@pytest.mark.skipif("MODELTAP_PURE" in os.environ, reason="asked for what is not compiled")
def test_the_annex_brings_nothing_of_the_house_into_a_models_process() -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import sys, modeltap_worker.server; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not [name for name in told.stdout.split() if name.split(".")[0] == "modeltap"]


@pytest.mark.parametrize(("package", "module"), HOT, ids=ids)
def test_nothing_is_suspended_with_an_exception_in_hand(package: str, module: str) -> None:
    """A compiled coroutine or generator that handles an exception leaves it as the thread's own."""
    tree = ast.parse((ROOT / "src" / package / f"{module}.py").read_text())
    assert not [node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]
    handling = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Try | ast.With) and any(map(_yields, ast.walk(node)))
    ]
    assert handling == []


@pytest.mark.parametrize(("package", "module"), HOT, ids=ids)
def test_no_dataclass_is_made_anew_with_slots(package: str, module: str) -> None:
    """`slots=True` makes a second class, which would not be the compiled one."""
    tree = ast.parse((ROOT / "src" / package / f"{module}.py").read_text())
    assert [keyword for keyword in _keywords(tree) if keyword.arg == "slots"] == []


def _keywords(tree: ast.AST) -> Iterator[ast.keyword]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for decorator in node.decorator_list:
                yield from decorator.keywords if isinstance(decorator, ast.Call) else ()


def _yields(node: ast.AST) -> bool:
    return isinstance(node, ast.Yield | ast.YieldFrom)
