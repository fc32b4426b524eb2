"""Compile the hot modules with mypyc: the same Python, made into C (`docs/decisions/0004`).

All else about the package, and which modules these are, stands in `pyproject.toml`. MODELTAP_PURE=1
compiles nothing: all runs as it stands, at half the speed. Each package has one library of its own,
because a model's process loads the annex's and must not meet the house.
"""

import os
import tomllib
from pathlib import Path

from mypyc.build import mypycify
from setuptools import setup


def _extensions() -> list[object]:
    project = tomllib.loads(Path("pyproject.toml").read_text())
    hot: dict[str, list[str]] = project["tool"]["modeltap"]["compiled"]
    groups = [
        ([f"src/{package}/{module}.py" for module in modules], f"{package}._native")
        for package, modules in hot.items()
    ]
    files = [file for group, _ in groups for file in group]
    given = ["--config-file", "mypyc.ini", *files]
    return mypycify(given, opt_level="3", debug_level="0", separate=groups)


setup(ext_modules=[] if os.environ.get("MODELTAP_PURE") else _extensions())
