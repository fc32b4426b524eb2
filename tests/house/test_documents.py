"""The documents are true: settings, dependencies, operations, decisions, glossary."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_every_setting_is_documented() -> None:
    """`modeltap settings > docs/settings.md` writes the page."""
    command = [sys.executable, "-m", "modeltap.cli", "settings"]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert (DOCS / "settings.md").read_text() == printed


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    names = {re.match(r"[A-Za-z0-9-]+", line).group() for line in asked}  # type: ignore[union-attr]
    listed = set(re.findall(r"^\| `([^`]+)`", (DOCS / "dependencies.md").read_text(), re.MULTILINE))
    assert names - listed == set()


def test_every_served_operation_is_listed() -> None:
    """`modeltap operations > docs/operations.md` writes the page."""
    command = [sys.executable, "-m", "modeltap.cli", "operations"]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    assert (DOCS / "operations.md").read_text() == printed


def test_every_link_of_the_documents_leads_somewhere() -> None:
    pages = [ROOT / "README.md", *DOCS.rglob("*.md")]
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert dead == []


def test_decisions_are_numbered_and_have_their_three_parts() -> None:
    for page in (DOCS / "decisions").glob("*.md"):
        assert re.match(r"\d{4}-[a-z0-9-]+\.md$", page.name), page
        text = page.read_text()
        assert all(part in text for part in ("Context", "Decision", "Consequence")), page
