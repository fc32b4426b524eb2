"""Latency at fixed rates, with capture and without: small bodies, and bodies of 1 MB."""

from collections.abc import Callable, Sequence

from benchmarks import load, machine, openloop
from benchmarks.contender import Running, running
from benchmarks.contenders import modeltap
from benchmarks.contenders.modeltap import Home
from benchmarks.openloop import Stream, Told
from benchmarks.results import Cell, Plan, Reach, Section, Spread, Table

PERCENTAGES = (0, 100)
SMALL_PER_SECOND = 3000.0
LARGE_PER_SECOND = 100.0
LARGE_BYTES = 1_000_000
LARGE_POOL = 16
"""Different 1 MB bodies; each is a megabyte of memory in the load's process."""

SATURATING = 8
PING_SECONDS = 0.005

TEXT = """\
An open loop: latency counts from the time at which a request was to leave, so a stall is not hidden
by fewer requests during it. The loop's stall is the p99 of `GET /ping`, asked each 5 ms on a
connection of its own beside the load. A rate above what this server can do on one core shows as
latencies of seconds: those of a growing queue.
"""

Found = dict[int, list[dict[str, Told]]]
"""By percentage: what came of `calls` and of `ping`, round by round."""


def small(plan: Plan) -> Section:
    """Measure 3,000 requests/s of one row."""
    home = modeltap.deployed(plan.folder / "fixed", plan.model, PERCENTAGES)
    with running(home.contender(0), plan.model, machine.server_core()) as server:
        found = _alternating(plan, server, home, plan.model.rows, SMALL_PER_SECOND, 32)
    ratio = _ratio(found)
    text = "fixed 3,000 req/s: p99 with capture 100 % : without"
    return Section(
        title="A fixed rate",
        text=TEXT,
        tables=[_table("3,000 req/s of one row, 32 connections", found)],
        reaches=[Reach(text, 1.1, False, ratio)],
    )


def large(plan: Plan) -> Section:
    """Measure 1 MB bodies, at 100 requests/s and at saturation."""
    home = modeltap.deployed(plan.folder / "bodies", plan.model, PERCENTAGES)
    padded, full = _padded(plan.model.rows), _full(plan.model.rows)
    with running(home.contender(0), plan.model, machine.server_core()) as server:
        found = _alternating(plan, server, home, padded, LARGE_PER_SECOND, 16)
        slices = {
            "one row, padded": _saturated(plan, server, home, padded),
            "1 MB of rows": _saturated(plan, server, home, full),
        }
    stall = Spread.of([each["ping"].p99 for each in found[100]])
    return Section(
        title="Bodies of 1 MB",
        text=f"{TEXT}\n{LARGE_TEXT}",
        tables=[
            _table(f"{LARGE_PER_SECOND:.0f} req/s of one padded row, 16 connections", found),
            _saturation(slices),
        ],
        reaches=[
            Reach("1 MB at 100 req/s: p99 with capture 100 % : without", 1.2, False, _ratio(found)),
            Reach("1 MB at 100 req/s: loop stall p99, ms", 10, False, stall),
            *(
                Reach(f"1 MB ({name}) at saturation: req/s, capture : none", 0.5, True, _kept(each))
                for name, each in slices.items()
            ),
        ],
    )


LARGE_TEXT = """\
A megabyte of rows is 4,950 of them, whose parsing and prediction alone fill a core at some tens of
requests/s. So that the data plane is what is measured, the fixed rate sends one row padded with
blanks to a megabyte (the container strips them); saturation is measured with both.
"""


def _padded(rows: Sequence[str]) -> list[str]:
    return [row.ljust(LARGE_BYTES) for row in rows[:LARGE_POOL]]


def _full(rows: Sequence[str]) -> list[str]:
    """Join rows to bodies of `LARGE_BYTES`, each starting at another row."""
    count = LARGE_BYTES // (len(rows[0]) + 1)
    many = [*rows] * (count // len(rows) + 2)
    return ["\n".join(many[start : start + count]) for start in range(LARGE_POOL)]


def _alternating(
    plan: Plan, server: Running, home: Home, bodies: Sequence[str], rate: float, connections: int
) -> Found:
    found: Found = {percentage: [] for percentage in PERCENTAGES}
    for _ in range(plan.rounds):
        for percentage in PERCENTAGES:
            pool = list(home.signed(server.port, percentage, bodies))
            streams = [
                Stream("calls", server.port, pool, rate, connections),
                Stream("ping", server.port, [modeltap.PING], 1 / PING_SECONDS, 1),
            ]
            found[percentage].append(openloop.fixed_rate(streams, plan.seconds))
    return found


def _saturated(
    plan: Plan, server: Running, home: Home, bodies: Sequence[str]
) -> dict[int, list[load.Slice]]:
    slices: dict[int, list[load.Slice]] = {percentage: [] for percentage in PERCENTAGES}
    for _ in range(plan.rounds):
        for percentage in PERCENTAGES:
            pool = list(home.signed(server.port, percentage, bodies))
            slices[percentage].append(
                load.closed_loop(server.pid, server.port, pool, SATURATING, plan.seconds)
            )
    return slices


def _ratio(found: Found) -> Spread:
    pairs = zip(found[100], found[0], strict=True)
    return Spread.of([on["calls"].p99 / off["calls"].p99 for on, off in pairs])


def _table(title: str, found: Found) -> Table:
    columns = ("capture", "p50, ms", "p99, ms", "p99.9, ms", "not 200", "stall p99, ms", "worst")
    return Table(title, columns, [_row(percentage, told) for percentage, told in found.items()])


def _row(percentage: int, told: list[dict[str, Told]]) -> list[Cell]:
    def spread(stream: str, pick: Callable[[Told], float]) -> Spread:
        return Spread.of([pick(each[stream]) for each in told])

    return [
        f"{percentage} %",
        spread("calls", lambda each: each.p50),
        spread("calls", lambda each: each.p99),
        spread("calls", lambda each: each.p999),
        float(sum(each["calls"].refused for each in told)),
        spread("ping", lambda each: each.p99),
        spread("ping", lambda each: each.worst),
    ]


def _kept(slices: dict[int, list[load.Slice]]) -> Spread:
    pairs = zip(slices[100], slices[0], strict=True)
    return Spread.of([on.per_second / off.per_second for on, off in pairs])


def _saturation(found: dict[str, dict[int, list[load.Slice]]]) -> Table:
    rows: list[list[Cell]] = [
        [
            name,
            f"{percentage} %",
            Spread.of([each.per_second for each in measured]),
            Spread.of([each.p99 for each in measured]),
            Spread.of([each.cpu_us / 1000 for each in measured]),
        ]
        for name, slices in found.items()
        for percentage, measured in slices.items()
    ]
    columns = ("body", "capture", "req/s", "p99, ms", "CPU ms/request")
    return Table(f"As fast as it goes, {SATURATING} connections", columns, rows)
