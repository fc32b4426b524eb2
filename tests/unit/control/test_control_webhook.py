"""The loop of the webhook, over a simulated clock, killed at any step."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from stepped import stepped

from modeltap.clock import SimulatedClock
from modeltap.control.webhook import BEAT_SECONDS, Webhook
from modeltap.control.webhook_families import WebhookFamilies
from modeltap.state import outbox
from modeltap.state.outbox import Notice, Outbox
from modeltap.state.store import Store

KEY = b"k" * 32
ATTEMPTS_MAX = 20


class Receiver:
    """Answers as it is told; remembers what came, and when."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.answers: list[str | None] = []  # why not, one a post; then all is taken
        self.came: list[tuple[str, float]] = []
        self.taken: list[str] = []
        self._clock = clock

    async def post(self, headers: Mapping[str, str], body: bytes) -> str | None:
        assert headers["webhook-timestamp"] == str(self._clock.now_ns() // 10**9)
        self.came.append((headers["webhook-id"], self._clock.monotonic()))
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if self.answers else None
        if answer is None:
            self.taken.append(headers["webhook-id"])
        await asyncio.sleep(0)  # its answer is on the way
        return answer


class World:
    def __init__(self, folder: Path) -> None:
        self.clock = SimulatedClock(seed=7)
        self.path = folder / "state.db"
        self.store = Store.open(self.path, busy_seconds_max=0.01)
        self.outbox = Outbox(self.store)
        self.receiver = Receiver(self.clock)

    def add(self, *ids: str) -> None:
        now_ns = self.clock.now_ns()
        with self.store.writing() as connection:
            outbox.add(connection, [Notice(each, "{}", now_ns) for each in ids])

    def webhook(self) -> Webhook:
        """Begin a life of control."""
        return Webhook(self.outbox, self.receiver.post, KEY, self.clock, ATTEMPTS_MAX)

    def turn(self, webhook: Webhook, seconds: float = 0.0) -> None:
        """Let beats go by for so many seconds."""
        asyncio.run(webhook.turn())
        beats = 0.0
        while beats < seconds:
            self.clock.advance(BEAT_SECONDS)
            beats += BEAT_SECONDS
            asyncio.run(webhook.turn())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def test_a_notice_is_posted_once(world: World) -> None:
    world.add("a", "b")
    webhook = world.webhook()
    world.turn(webhook, 5)
    assert world.receiver.taken == ["a", "b"]
    assert (webhook.counts["delivered"], world.outbox.waiting()) == (2, 0)


def test_what_is_refused_comes_again_later_and_later(world: World) -> None:
    world.receiver.answers = ["status 500"] * 4
    world.add("a")
    webhook = world.webhook()
    world.turn(webhook, 300)
    times = [at for _, at in world.receiver.came]
    pauses = [after - before for before, after in pairwise(times)]
    longest = (5, 15, 45, 135)
    assert len(pauses) == 4
    for pause, most in zip(pauses, longest, strict=True):
        assert most / 2 <= pause <= most + 2 * BEAT_SECONDS
    assert (webhook.counts["refused"], webhook.counts["delivered"]) == (4, 1)


def test_one_that_is_refused_holds_up_no_other(world: World) -> None:
    world.receiver.answers = ["no answer within 10 s"]
    world.add("a", "b")
    world.turn(world.webhook())
    assert world.receiver.taken == ["b"]


def test_past_the_limit_it_is_given_up_and_counted(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.receiver.answers = ["status 500"] * 1000
    world.add("a")
    webhook = world.webhook()
    while world.outbox.waiting():
        world.turn(webhook)
        world.clock.advance(60)
    assert 36 * 3600 < world.clock.monotonic() < 72 * 3600  # what docs/monitor.md says
    assert webhook.counts["given_up"] == 1
    assert len(world.receiver.came) == ATTEMPTS_MAX
    assert "NoticeGivenUp" in capsys.readouterr().out


def test_a_clock_that_was_set_back_does_not_silence_it(world: World) -> None:
    world.receiver.answers = ["status 500"]
    world.clock.step(365 * 24 * 3600)
    world.add("a")
    webhook = world.webhook()
    world.turn(webhook)
    world.clock.step(-365 * 24 * 3600)
    world.turn(webhook, 10)
    assert world.receiver.taken == ["a"]


class Mortal:
    def __init__(self, steps: int) -> None:
        self.steps: int | None = steps
        self.dead = False

    def die(self) -> None:
        self.dead = True


def test_it_is_taken_at_least_once_wherever_control_is_killed(world: World) -> None:
    async def live(life: Mortal, work: Coroutine[Any, Any, None]) -> None:
        await asyncio.get_running_loop().create_task(stepped(life, work))

    for steps in range(1, 100):
        name = f"n{steps}"
        world.add(name)
        life = Mortal(steps)
        asyncio.run(live(life, world.webhook().turn()))
        world.turn(world.webhook())
        assert 1 <= world.receiver.taken.count(name) <= 2
        assert world.outbox.waiting() == 0
        if not life.dead:
            break
    else:
        raise AssertionError("no life was long enough")
    assert steps > 3
    assert any(world.receiver.taken.count(f"n{each}") == 2 for each in range(1, steps))


def test_while_nothing_can_be_written_it_tells_the_same_again_but_seldom(world: World) -> None:
    world.add("a")
    other = sqlite3.connect(world.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def live() -> None:
        running = asyncio.get_running_loop().create_task(world.webhook().run())
        await until(lambda: world.clock.monotonic() > 60)
        assert 3 <= len(world.receiver.taken) <= 6
        other.close()
        await until(lambda: world.outbox.waiting() == 0)
        world.add("b")
        await until(lambda: world.receiver.taken[-1] == "b")
        running.cancel()

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():
                world.clock.advance(BEAT_SECONDS)
                await asyncio.sleep(0.02)

    asyncio.run(live())
    assert world.receiver.taken.count("b") == 1


def test_prometheus_is_told(world: World) -> None:
    world.receiver.answers = ["status 500"]
    world.add("a", "b")
    webhook = world.webhook()
    world.turn(webhook)
    registry = CollectorRegistry()
    registry.register(WebhookFamilies(webhook))
    text = generate_latest(registry).decode()
    assert 'modeltap_webhook_attempts_total{outcome="delivered"} 1.0' in text
    assert 'modeltap_webhook_attempts_total{outcome="refused"} 1.0' in text
    assert "modeltap_webhook_given_up_total 0.0" in text
    assert "modeltap_webhook_waiting 1.0" in text
