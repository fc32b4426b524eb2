"""What a job in a container finds and leaves, by every engine that answers on this machine.

The promises are those of `test_job_launcher.py`, as far as a container can keep them by itself. The
image is made of programs of this machine, so no registry is needed. Where no engine answers, each
test is skipped: Docker's or Podman's is installed and started by whoever wants to see them.
"""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from containers_here import IMAGE, NAMES, engine_of, imported
from modeltap.errors import LaunchFailed
from modeltap.hosting.containers import Container, Engine, name_of, pull
from modeltap.hosting.jobs import JobLauncher, JobOrder, Stand
from modeltap_worker.jobspec import Cause, Exit

JOB = "Job-1"
STOP_SECONDS_MAX = 1.0


@dataclass
class Bench:
    """A launcher with a life pipe of its own, and what a job printed."""

    folder: Path
    engine: Engine
    life: int
    end_of_life: int | None
    isolated: bool = True
    launchers: list[JobLauncher] = field(default_factory=list)

    def launcher(self) -> JobLauncher:
        """Give what a new control would have."""
        jobs, stop = self.folder / "jobs", STOP_SECONDS_MAX
        made = JobLauncher(jobs, life=self.life, stop_seconds_max=stop, private=False)
        self.launchers.append(made)
        return made

    async def begin(
        self,
        launcher: JobLauncher,
        *entrypoint: str,
        arguments: tuple[str, ...] = (),
        seconds_max: float = 60,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        await launcher.start(
            JobOrder(
                JOB,
                arguments,
                variables or {},
                Path("/nowhere"),
                self.folder / "job.log",
                seconds_max,
                Container(self.engine, IMAGE, entrypoint, self.isolated),
            )
        )

    async def start(self, *entrypoint: str, seconds_max: float = 60) -> JobLauncher:
        launcher = self.launcher()
        await launcher.furnish(JOB)
        await self.begin(launcher, *entrypoint, seconds_max=seconds_max)
        return launcher

    async def run(self, *entrypoint: str, seconds_max: float = 60) -> Exit:
        return await ended(await self.start(*entrypoint, seconds_max=seconds_max))

    def said(self) -> str:
        return (self.folder / "job.log").read_text()

    def end(self) -> None:
        """End the house."""
        if self.end_of_life is not None:
            os.close(self.end_of_life)
            self.end_of_life = None

    def is_there(self) -> bool:
        """Tell whether the engine has the job's container, running or not."""
        name = name_of(self.folder / "jobs" / JOB)
        command = [self.engine.program, "container", "inspect", name]
        return subprocess.run(command, capture_output=True).returncode == 0


async def ended(launcher: JobLauncher) -> Exit:
    await until_not(launcher, Stand.RUNNING)
    assert launcher.stand(JOB) is Stand.ENDED
    return launcher.exit(JOB)


async def until_not(launcher: JobLauncher, stand: Stand) -> None:
    async with asyncio.timeout(60):
        while launcher.stand(JOB) is stand:
            await asyncio.sleep(0.01)


async def until_said(bench: Bench, text: str) -> None:
    async with asyncio.timeout(60):
        while text not in bench.said():
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module", params=NAMES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with imported(engine_of(request.param)) as made:
        yield made


@pytest.fixture
def bench(tmp_path: Path, engine: Engine) -> Iterator[Bench]:
    life, end_of_life = os.pipe()
    made = Bench(tmp_path, engine, life, end_of_life)
    yield made
    made.end()
    psutil.wait_procs(psutil.Process().children(), 30)
    for launcher in made.launchers:
        launcher.stand(JOB)  # a parent that asks reaps
    os.close(life)


def test_a_program_finds_its_inputs_and_leaves_its_outputs(bench: Bench) -> None:
    async def scenario() -> None:
        launcher = bench.launcher()
        ml = await launcher.furnish(JOB)
        (ml / "processing").mkdir()
        (ml / "processing" / "in").write_text("what came in")
        script = 'tr a-z A-Z < "$1" > "$target"; echo "$MODELTAP_ML_ROOT"'
        await bench.begin(
            launcher,
            "/bin/sh",
            "-c",
            arguments=(script, "sh", "/opt/ml/processing/in"),
            variables={"target": "/opt/ml/processing/out"},
        )
        assert await ended(launcher) == Exit(0, Cause.ITSELF), bench.said()
        out = ml / "processing" / "out"
        assert out.read_text() == "WHAT CAME IN"
        assert out.stat().st_uid == os.getuid()
        assert bench.said() == "/opt/ml\n"
        assert not bench.is_there()

    asyncio.run(scenario())


def test_variables_come_as_they_are_given_and_none_of_ours(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret of ours")
    given = {
        "PLAIN": "b",
        "ODD": " \"q\" 's' $HOME # = \\n * ü",
        "EMPTY": "",
        "LAST": "a trailing blank ",
        "DOCKER_HOST": "tcp://elsewhere",
        "LD_PRELOAD": "",
    }

    async def scenario() -> None:
        launcher = bench.launcher()
        await launcher.furnish(JOB)
        await bench.begin(launcher, "/bin/env", variables=given)
        assert (await ended(launcher)).status == 0, bench.said()

    asyncio.run(scenario())
    told = dict(line.split("=", 1) for line in bench.said().splitlines())
    assert {name: told[name] for name in given} == given
    assert "AWS_SECRET_ACCESS_KEY" not in told


def test_a_container_has_no_capability_and_no_network_if_isolated(bench: Bench) -> None:
    script = "cat /proc/self/status /proc/net/dev; id -u"
    assert asyncio.run(bench.run("/bin/sh", "-c", script)).status == 0
    said = bench.said()
    assert re.search(r"CapEff:\s+0+\n", said)
    assert re.search(r"CapBnd:\s+0+\n", said)
    assert re.search(r"NoNewPrivs:\s+1\n", said)
    assert re.findall(r"(\w+):(?:\s+\d+){16}", said) == ["lo"]
    assert said.splitlines()[-1] == bench.engine.user.partition(":")[0]


def test_a_container_that_is_not_isolated_has_a_network(bench: Bench) -> None:
    bench.isolated = False
    assert asyncio.run(bench.run("/bin/cat", "/proc/net/dev")).status == 0
    assert len(re.findall(r"(\w+):(?:\s+\d+){16}", bench.said())) > 1


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("exit 137", -signal.SIGKILL)])
def test_the_end_is_told(bench: Bench, script: str, status: int) -> None:
    assert asyncio.run(bench.run("/bin/sh", "-c", script)) == Exit(status, Cause.ITSELF)


@pytest.mark.parametrize("word", ["/no/such/program", "--privileged"])
def test_a_program_that_is_not_there_is_told_in_the_log(bench: Bench, word: str) -> None:
    told = asyncio.run(bench.run(word))
    assert told.status > 0, told
    assert word in bench.said()
    assert not bench.is_there()


def test_sigterm_is_passed_on(bench: Bench) -> None:
    async def scenario() -> None:
        script = "trap 'exit 5' TERM; echo on; sleep 60 & wait"
        launcher = await bench.start("/bin/sh", "-c", script)
        await until_said(bench, "on")
        launcher.end(JOB)
        launcher.end(JOB)
        assert await ended(launcher) == Exit(5, Cause.STOPPED)

    asyncio.run(scenario())


def test_who_does_not_obey_is_killed(bench: Bench) -> None:
    async def scenario() -> None:
        script = "trap '' TERM; echo on; while :; do sleep 1; done"
        launcher = await bench.start("/bin/sh", "-c", script)
        await until_said(bench, "on")
        launcher.end(JOB)
        assert await ended(launcher) == Exit(-signal.SIGKILL, Cause.STOPPED)
        assert not bench.is_there()

    asyncio.run(scenario())


def test_a_container_runs_for_its_time_at_most(bench: Bench) -> None:
    told = asyncio.run(bench.run("/bin/sleep", "60", seconds_max=2))
    assert told == Exit(-signal.SIGKILL, Cause.TIME)  # the first process of a container heeds no
    assert not bench.is_there()  # SIGTERM that it has not asked for


def test_the_end_of_the_house_is_the_end_of_its_containers(bench: Bench) -> None:
    async def scenario() -> None:
        launcher = await bench.start("/bin/sh", "-c", "echo on; sleep 60")
        await until_said(bench, "on")
        bench.end()
        assert (await ended(launcher)).cause is Cause.HOUSE
        assert not bench.is_there()

    asyncio.run(scenario())


def test_what_a_killed_shim_leaves_is_removed_by_who_clears_its_folder(bench: Bench) -> None:
    async def scenario() -> None:
        words = ["x" * 256] * 300  # more than any request has
        launcher = await bench.start("/bin/sh", "-c", "echo on; sleep 60", *words)
        await until_said(bench, "on")
        os.kill(int((bench.folder / "jobs" / JOB / "lock").read_text()), signal.SIGKILL)
        await until_not(launcher, Stand.RUNNING)
        assert launcher.stand(JOB) is Stand.LOST
        assert bench.is_there()
        await bench.launcher().clear(JOB)
        assert not bench.is_there()
        assert launcher.folders() == []

    asyncio.run(scenario())


def test_another_launcher_reads_how_a_container_stands_and_can_end_it(bench: Bench) -> None:
    async def scenario() -> None:
        script = "trap 'exit 0' TERM; echo on; sleep 60 & wait"
        first = await bench.start("/bin/sh", "-c", script)
        await until_said(bench, "on")
        other = bench.launcher()
        assert other.stand(JOB) is Stand.RUNNING
        other.end(JOB)
        await ended(first)  # its parent reaps it
        assert await ended(other) == Exit(0, Cause.STOPPED)

    asyncio.run(scenario())


def test_an_image_is_here_or_the_reason_is_told(engine: Engine) -> None:
    told: list[str] = []
    asyncio.run(pull(engine, IMAGE, told.append))
    assert told == []
    with pytest.raises(LaunchFailed, match="could not be pulled"):
        asyncio.run(pull(engine, "127.0.0.1:1/nothing:1", told.append))
