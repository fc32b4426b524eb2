"""What an engine is asked, and which words run a container."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from modeltap.errors import LaunchFailed
from modeltap.hosting.containers import (
    Container,
    Containers,
    Engine,
    Limits,
    is_rootless,
    name_of,
    pull,
    removal,
    run,
    variables_file,
)

ENGINE = Engine("/usr/bin/docker", "1000:1000", False, Limits())
ML, VARIABLES = Path("/home/jobs/j/ml"), Path("/home/jobs/j/variables")


def words(container: Container, *arguments: str) -> list[str]:
    return list(run(container, "name", ML, VARIABLES, arguments))


def test_a_container_has_opt_ml_and_no_right_to_spare() -> None:
    assert words(Container(ENGINE, "my/monitor:1", (), isolated=False)) == [
        "/usr/bin/docker",
        "run",
        "--name=name",
        "--pull=never",
        "--log-driver=none",
        "--stop-timeout=0",
        "--user=1000:1000",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--volume=/home/jobs/j/ml:/opt/ml:Z",
        "--env-file=/home/jobs/j/variables",
        "--cpu-shares=110",
        "my/monitor:1",
    ]


def test_entrypoint_and_arguments_stand_as_docker_has_them() -> None:
    container = Container(ENGINE, "i", ("python3", "-u"), isolated=False)
    assert words(container, "a", "--b")[-5:] == ["--entrypoint=python3", "i", "-u", "a", "--b"]
    container = Container(ENGINE, "i", (), isolated=False)
    assert words(container, "a")[-2:] == ["i", "a"]


def test_no_word_of_a_request_is_a_flag() -> None:
    container = Container(ENGINE, "i", ("--privileged", "--x"), isolated=False)
    told = words(container, "--volume=/:/host")
    behind = told.index("i")
    assert "--entrypoint=--privileged" in told[:behind]
    assert told[behind + 1 :] == ["--x", "--volume=/:/host"]


def test_isolation_and_limits() -> None:
    engine = Engine("docker", "0:0", True, Limits(1024, 1.5))
    told = words(Container(engine, "i", (), isolated=True))
    assert {"--network=none", "--memory=1024", "--cpus=1.5", "--user=0:0"} < set(told)
    assert not any("shares" in word for word in told)  # a user's engine may have no such control


def test_containers_of_two_homes_have_two_names() -> None:
    one, two = name_of(Path("/a/jobs/j")), name_of(Path("/b/jobs/j"))
    assert one != two
    assert one.endswith("-j")
    assert removal(ENGINE, one) == ("/usr/bin/docker", "rm", "--force", "--volumes", one)


def test_a_variable_is_a_line() -> None:
    engine = Engine("docker", "0:0", True, Limits())
    text = variables_file({"A": ' "b" = $c # d\\', "B": ""}, engine)
    assert text == 'A= "b" = $c # d\\\nB=\nMODELTAP_ML_ROOT=/opt/ml\n'
    assert variables_file({}, ENGINE).startswith("HOME=/tmp\n")
    assert "HOME=/x\n" in variables_file({"HOME": "/x"}, ENGINE)


@pytest.mark.parametrize(
    ("told", "rootless"),
    [
        ({"SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}, True),
        ({"SecurityOptions": ["name=seccomp,profile=builtin"]}, False),
        ({"SecurityOptions": None}, False),
        ({"host": {"security": {"rootless": True}}}, True),
        ({"host": {"security": {"rootless": False}}}, False),
    ],
)
def test_a_rootless_engine_tells_of_it(told: dict[str, Any], rootless: bool) -> None:
    assert is_rootless(told) is rootless


# ---------------------------------------------------------------- asking


def program(folder: Path, script: str) -> str:
    """Make a stand-in for docker's program: what an engine says is not ours."""
    path = folder / "engine"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def refused(engine_program: str, image: str = "my/monitor:1") -> str:
    with pytest.raises(LaunchFailed) as failed:
        Containers(engine_program, Limits()).engine(image)
    return str(failed.value)


def test_without_an_engine_the_fix_is_told(tmp_path: Path) -> None:
    assert "container_program is empty" in refused("")
    assert "no program 'no-such-engine'" in refused("no-such-engine")
    said = refused(program(tmp_path, "echo 'is the daemon running?' >&2; exit 1"))
    assert "(is the daemon running?)" in said
    assert "Start its daemon" in said
    # An older client tells all it can without its daemon, and its status is 0.
    silent = json.dumps({"ServerVersion": "", "ServerErrors": ["refused"]})
    assert "(refused). Start its daemon" in refused(program(tmp_path, f"echo '{silent}'"))
    assert "Start its daemon" in refused(program(tmp_path, "echo no JSON"))


@pytest.mark.parametrize(
    "image",
    [
        *("", "--privileged", "-v", "a b", "a\n", "modeltap:x y", "Upper", "a@sha256:ab", "a:b:c"),
        *("dir:/etc", "oci:images", "docker-archive:/x.tar", "docker://a", "containers-storage:a"),
    ],
)
def test_what_is_no_reference_reaches_no_engine(tmp_path: Path, image: str) -> None:
    mark = tmp_path / "mark"
    assert "no reference" in refused(program(tmp_path, f"touch {mark}"), image)
    assert not mark.exists()


def test_an_engine_that_answers_is_given(tmp_path: Path) -> None:
    path = program(tmp_path, """echo '{"ServerVersion": "28", "SecurityOptions": null}'""")
    for image in (
        "nginx",
        "docker:24",
        "my/monitor@sha256:" + "ab" * 32,
        "registry.example.com:5000/a/b_c:V1.2-x",
        "156813124566.dkr.ecr.us-east-1.amazonaws.com/my-monitor:latest",
        "localhost/modeltap-test:1",
    ):
        engine = Containers(path, Limits(1, 2)).engine(image)
    assert (engine.program, engine.rootless, engine.limits) == (path, False, Limits(1, 2))


def test_an_image_that_cannot_be_pulled_is_told_with_the_engines_word(tmp_path: Path) -> None:
    path = program(tmp_path, "echo 'no basic auth credentials' >&2; exit 1")
    engine = Engine(path, "0:0", False, Limits())
    told: list[str] = []
    with pytest.raises(LaunchFailed, match="no basic auth credentials"):
        asyncio.run(pull(engine, "private/monitor", told.append))
    assert told == ["pulling private/monitor"]


def test_an_image_that_is_here_is_not_pulled(tmp_path: Path) -> None:
    path = program(tmp_path, 'test "$1" = image')
    told: list[str] = []
    asyncio.run(pull(Engine(path, "0:0", False, Limits()), "i", told.append))
    assert told == []
