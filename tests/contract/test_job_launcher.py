"""What a job finds and leaves, whichever way `/opt/ml` is made true for it (`hosting/jobs.py`).

Each promise is kept with a real shim and a real program, once with a private view of the file
system and once by rewritten paths.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from modeltap.hosting.jobs import JobLauncher, JobOrder, Stand, placed
from modeltap_worker.jobspec import Cause, Exit

STOP_SECONDS_MAX = 1.0
ML = "/opt/ml"


@dataclass
class Bench:
    """A launcher with a life pipe of its own, and what a job printed."""

    folder: Path
    private: bool
    life: int
    end_of_life: int | None

    def launcher(self) -> JobLauncher:
        """Give what a new control would have."""
        return JobLauncher(
            self.folder / "jobs",
            life=self.life,
            stop_seconds_max=STOP_SECONDS_MAX,
            private=self.private,
        )

    @property
    def log(self) -> Path:
        return self.folder / "logs" / "job.log"

    async def start(self, *command: str, seconds_max: float = 60, **variables: str) -> JobLauncher:
        launcher = self.launcher()
        await launcher.furnish("Job-1")
        await self.begin(launcher, *command, seconds_max=seconds_max, **variables)
        return launcher

    async def begin(
        self, launcher: JobLauncher, *command: str, seconds_max: float = 60, **variables: str
    ) -> None:
        programs = Path(sys.executable).parent
        order = JobOrder("Job-1", command, variables, programs, self.log, seconds_max)
        await launcher.start(order)

    async def run(self, *command: str, **given: Any) -> Exit:
        return await ended(await self.start(*command, **given))

    def said(self) -> str:
        return self.log.read_text()

    def end(self) -> None:
        """End the house."""
        if self.end_of_life is not None:
            os.close(self.end_of_life)
            self.end_of_life = None


async def ended(launcher: JobLauncher) -> Exit:
    await until_not(launcher, Stand.RUNNING)
    assert launcher.stand("Job-1") is Stand.ENDED
    return launcher.exit("Job-1")


async def until_not(launcher: JobLauncher, stand: Stand) -> None:
    async with asyncio.timeout(30):
        while launcher.stand("Job-1") is stand:
            await asyncio.sleep(0.01)


async def until_said(bench: Bench, text: str) -> None:
    async with asyncio.timeout(30):
        while text not in bench.said():
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def kernel_allows(tmp_path_factory: pytest.TempPathFactory) -> bool:
    folder = tmp_path_factory.mktemp("probe") / "jobs"
    return asyncio.run(JobLauncher(folder, life=0, stop_seconds_max=1).probe())


@pytest.fixture(params=["private", "rewritten"])
def bench(request: pytest.FixtureRequest, tmp_path: Path, kernel_allows: bool) -> Iterator[Bench]:
    private = request.param == "private"
    if private and not kernel_allows:
        pytest.skip("this kernel gives no mount namespace to this user")
    life, end_of_life = os.pipe()
    made = Bench(tmp_path, private, life, end_of_life)
    yield made
    made.end()
    os.close(life)


def test_a_program_finds_its_inputs_and_leaves_its_outputs(bench: Bench) -> None:
    async def scenario() -> None:
        launcher = bench.launcher()
        ml = await launcher.furnish("Job-1")
        (ml / "processing").mkdir()
        (ml / "processing" / "in").write_text("what came in")
        script = (
            "import os, sys; "
            "source, target = sys.argv[1], os.environ['target']; "
            "open(target, 'w').write(open(source).read().upper()); "
            "root = os.environ['MODELTAP_ML_ROOT']; "
            "assert os.path.samefile(source, root + '/processing/in')"
        )
        await bench.begin(
            launcher, "python3", "-c", script, f"{ML}/processing/in", target=f"{ML}/processing/out"
        )
        assert await ended(launcher) == Exit(0, Cause.ITSELF), bench.said()
        assert (ml / "processing" / "out").read_text() == "WHAT CAME IN"
        assert not Path(ML, "processing").exists() or not bench.private

    asyncio.run(scenario())


def test_a_program_has_none_of_our_variables_and_descriptors(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret of ours")
    script = (
        "import json, os; fds = os.listdir('/proc/self/fd'); "
        "print(json.dumps({'names': sorted(os.environ), 'fds': len(fds), "
        "'cwd': os.getcwd(), 'home': os.environ['HOME'], "
        "'umask': os.umask(0), 'group': os.getpgid(0) == os.getpid()}))"
    )
    assert asyncio.run(bench.run("python3", "-c", script, A="b")).status == 0
    told = json.loads(bench.said())
    names = set(told["names"]) - {"LC_CTYPE"}
    assert names == {
        "A",
        "HOME",
        "LANG",
        "MODELTAP_ML_ROOT",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONNOUSERSITE",
        "PYTHONUNBUFFERED",
        "TMPDIR",
    }
    assert told["fds"] == 4  # 0, 1, 2, and the one that lists
    assert told["cwd"] == told["home"] == str(bench.folder / "jobs" / "Job-1" / "work")
    assert told["umask"] == 0o077
    assert told["group"]


@pytest.mark.parametrize(("script", "status"), [("exit 7", 7), ("kill -9 $$", -9)])
def test_the_end_is_told(bench: Bench, script: str, status: int) -> None:
    assert asyncio.run(bench.run("sh", "-c", script)) == Exit(status, Cause.ITSELF)


def test_a_program_that_is_not_there_is_told_by_its_name(bench: Bench) -> None:
    told = asyncio.run(bench.run("no-such-program"))
    assert (told.cause, told.status) == (Cause.UNSTARTED, 127)
    assert "No such file" in told.error


def test_sigterm_is_passed_on(bench: Bench) -> None:
    async def scenario() -> None:
        launcher = await bench.start("sh", "-c", "trap 'exit 5' TERM; echo on; sleep 60 & wait")
        await until_said(bench, "on")
        launcher.end("Job-1")
        launcher.end("Job-1")
        assert await ended(launcher) == Exit(5, Cause.STOPPED)

    asyncio.run(scenario())


def test_who_does_not_obey_is_killed(bench: Bench) -> None:
    async def scenario() -> None:
        launcher = await bench.start("sh", "-c", "trap '' TERM; echo on; while :; do sleep 1; done")
        await until_said(bench, "on")
        launcher.end("Job-1")
        assert await ended(launcher) == Exit(-signal.SIGKILL, Cause.STOPPED)

    asyncio.run(scenario())


def test_a_program_runs_for_its_time_at_most(bench: Bench) -> None:
    told = asyncio.run(bench.run("sleep", "60", seconds_max=0.2))
    assert told == Exit(-signal.SIGTERM, Cause.TIME)


def test_what_a_program_leaves_running_ends_with_it(bench: Bench) -> None:
    script = "sleep 60 & setsid sleep 60 & echo $!; exit 0"
    assert asyncio.run(bench.run("sh", "-c", script)) == Exit(0, Cause.ITSELF)
    assert not psutil.pid_exists(int(bench.said()))


def test_the_end_of_the_house_is_the_end_of_its_jobs(bench: Bench) -> None:
    async def scenario() -> None:
        launcher = await bench.start("sh", "-c", "trap '' TERM; echo on; while :; do sleep 1; done")
        await until_said(bench, "on")
        bench.end()
        assert (await ended(launcher)).cause is Cause.HOUSE

    asyncio.run(scenario())


def test_a_killed_shim_takes_its_program_along_and_is_known_as_lost(bench: Bench) -> None:
    async def scenario() -> None:
        launcher = await bench.start("sh", "-c", "echo $$; exec sleep 60")
        await until_said(bench, "\n")
        program = psutil.Process(int(bench.said()))
        shim = program.parent()
        assert shim is not None
        shim.kill()
        await until_not(launcher, Stand.RUNNING)
        assert launcher.stand("Job-1") is Stand.LOST
        program.wait(30)

    asyncio.run(scenario())


def test_another_launcher_reads_how_a_job_stands_and_can_end_it(bench: Bench) -> None:
    async def scenario() -> None:
        assert bench.launcher().stand("Job-1") is Stand.ABSENT
        first = await bench.start("sh", "-c", "echo on; sleep 60")
        await until_said(bench, "on")
        other = bench.launcher()
        assert other.folders() == ["Job-1"]
        assert other.stand("Job-1") is Stand.RUNNING
        other.end("Job-1")
        await ended(first)  # its parent reaps it
        assert (await ended(other)).cause is Cause.STOPPED
        await other.clear("Job-1")
        assert (other.folders(), other.stand("Job-1")) == ([], Stand.ABSENT)

    asyncio.run(scenario())


def test_the_lock_of_a_start_that_never_was_is_no_start(bench: Bench) -> None:
    async def scenario() -> None:
        launcher = bench.launcher()
        ml = await launcher.furnish("Job-1")
        (ml.parent / "lock").touch()
        assert launcher.stand("Job-1") is Stand.ABSENT

    asyncio.run(scenario())


def test_furnishing_again_begins_anew(bench: Bench) -> None:
    async def scenario() -> None:
        launcher = bench.launcher()
        ml = await launcher.furnish("Job-1")
        (ml / "half").touch()
        assert list((await launcher.furnish("Job-1")).iterdir()) == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ("/opt/ml", "/x"),
        ("/opt/ml/processing/in", "/x/processing/in"),
        ("--data=/opt/ml/a:/opt/ml/b", "--data=/x/a:/x/b"),
        ('{"path": "/opt/ml"}', '{"path": "/x"}'),
        ("/opt/mlflow", "/opt/mlflow"),
        ("/home/opt/ml/a", "/home/opt/ml/a"),
        ("s3://b/opt/ml/a", "s3://b/opt/ml/a"),
        ("/opt/ml.txt", "/opt/ml.txt"),
        ("no path", "no path"),
    ],
)
def test_only_paths_that_begin_there_are_rewritten(text: str, there: str) -> None:
    assert placed(text, "/x") == there
