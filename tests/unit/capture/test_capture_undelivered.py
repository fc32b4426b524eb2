"""What is still to come of a window, wherever it is on its way."""

from pathlib import Path

from capture_world import World, exchange
from modeltap.capture.frame import HOUR_NS
from modeltap.capture.inventory import Inventory
from modeltap.capture.undelivered import ask_seal, undelivered
from modeltap.objects.simulated import Fault, SimulatedStore

SECOND = 10**9


class Looked:
    """A world, and looks at it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.inventory = Inventory(world.spool)
        self.now_ns = world.clock.now_ns()

    def offer(self, number: int, ago: float = 0, endpoint: str = "churn") -> None:
        received_ns = self.now_ns - int(ago * SECOND)
        self.world.offer(exchange(number, endpoint=endpoint, received_ns=received_ns))

    def count(self, since: float = 3600, until: float = -1, endpoint: str = "churn") -> int:
        """Count what is to come of the window that began and ended so many seconds ago."""
        start_ns, end_ns = (self.now_ns - int(each * SECOND) for each in (since, until))
        return undelivered(self.inventory, [self.world.fd], endpoint, start_ns, end_ns)


def test_a_record_is_met_wherever_it_is(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        looked = Looked(world)
        assert looked.count() == 0
        world.capture.offer(exchange(1, received_ns=looked.now_ns))
        assert looked.count() == 1  # in the gateway
        world.end_turn()
        assert looked.count() == 1  # in the ring
        world.turn()
        assert looked.count() == 1  # in an open segment
        world.turn(61)
        assert looked.count() == 1  # in a sealed one
        assert looked.count(endpoint="other") == 0
        world.ship()
        assert looked.count() == 0
        assert len(world.records()) == 1


def test_what_lies_outside_of_the_window_does_not_count(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        looked = Looked(world)
        looked.offer(1, ago=10)
        assert looked.count(until=20) == 0
        assert looked.count(until=5) == 1
        world.turn()
        assert looked.count(until=20) == 0
        assert looked.count(until=5) == 1
        assert looked.count(since=9 * 3600, until=8 * 3600) == 0
        world.deliver()
        assert looked.count(until=5) == 0


def test_a_dead_bucket_leaves_it_to_come(tmp_path: Path) -> None:
    store = SimulatedStore()
    with World(tmp_path, store=store) as world:
        looked = Looked(world)
        store.fault = lambda _: Fault.DOWN
        looked.offer(1)
        world.deliver()
        assert looked.count() == 1
        store.fault = lambda _: None
        world.pass_time(120)
        world.ship()
        assert looked.count() == 0


def test_whoever_asks_has_all_sealed_at_once(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        looked = Looked(world)
        looked.offer(1)
        looked.offer(2, ago=HOUR_NS / SECOND)
        looked.offer(3, endpoint="other")
        world.turn()
        assert world.ship() == 0
        ask_seal([world.fd])
        world.turn(0.01)  # sooner than the next sync is due
        world.ship()
        assert looked.count() == 0
        assert len(world.records()) == 3
        looked.offer(4)
        world.turn()
        world.ship()
        assert looked.count() == 1  # it was asked once


def test_a_spooler_that_starts_again_is_asked_anew(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        looked = Looked(world)
        ask_seal([world.fd])
        world.kill_spooler()
        world.start_spooler()
        looked.offer(1)
        world.turn()
        world.ship()
        assert looked.count() == 1
        ask_seal([world.fd])
        world.turn()
        world.ship()
        assert looked.count() == 0
