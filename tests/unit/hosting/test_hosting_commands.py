"""Which programs of this machine jobs may name as images."""

from pathlib import Path

import pytest

from modeltap.errors import LaunchFailed
from modeltap.hosting.commands import Commands


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b", "deeper/c"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    (tmp_path / "data").write_text("no program")
    (tmp_path / "link").symlink_to("/bin/sh")
    return tmp_path


def refused(commands: Commands, uri: str) -> str:
    with pytest.raises(LaunchFailed) as failed:
        commands.program(uri)
    return str(failed.value)


def test_a_program_that_is_listed_may_run(folder: Path) -> None:
    commands = Commands([folder / "a"])
    assert commands.program(f"modeltap://command{folder}/a") == folder / "a"
    assert "does not list it" in refused(commands, f"modeltap://command{folder}/b")


def test_a_folder_stands_for_what_is_directly_in_it(folder: Path) -> None:
    commands = Commands([folder])
    for name in ("a", "b", "link"):
        assert commands.program(f"modeltap://command{folder}/{name}") == folder / name
    assert "does not list it" in refused(commands, f"modeltap://command{folder}/deeper/c")


def test_no_way_leads_around_the_list(folder: Path) -> None:
    commands = Commands([folder / "deeper"])
    for uri in (
        f"modeltap://command{folder}/deeper/../a",
        f"modeltap://command{folder}/deeper/../deeper/c",
        "modeltap://command//bin/sh",
        "modeltap://command/bin/sh\0",
    ):
        assert "There is no" not in refused(commands, uri)


def test_nothing_is_told_of_what_is_not_listed() -> None:
    there, not_there = (
        refused(Commands([]), f"modeltap://command{path}") for path in ("/bin/sh", "/bin/s_")
    )
    assert there.replace("/bin/sh", "/bin/s_") == not_there
    assert "job_commands" in there


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone", ("There is no program", "Install it")),
        ("data", ("cannot be run", "chmod +x")),
        ("deeper", ("There is no program",)),
    ],
)
def test_cause_and_fix_are_told(folder: Path, name: str, words: tuple[str, ...]) -> None:
    text = refused(Commands([folder]), f"modeltap://command{folder}/{name}")
    assert f"{folder}/{name}" in text
    assert all(word in text for word in words)


@pytest.mark.parametrize(
    "uri", ["modeltap://", "modeltap://command", "modeltap://command/", "modeltap://other/bin/sh"]
)
def test_what_names_no_program_is_refused(uri: str) -> None:
    assert "modeltap" in refused(Commands([Path("/bin")]), uri)
