"""modeltap beside the others: one core each, one model, one row a request, 1 and 32 connections.

Each contender is started anew for its turn in every round, so that nobody's idle work is on the
core of the one that is measured, and start-up is measured as often as speed.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks import load, machine
from benchmarks.contender import Contender, running
from benchmarks.contenders import (
    aws,
    bentoml,
    fastapi,
    floors,
    kserve,
    litserve,
    mlserver,
    modeltap,
    rayserve,
)
from benchmarks.environments import Unavailable
from benchmarks.results import Bar, Cell, Plan, Reach, Section, Spread, Table

FEW, MANY = 1, 32
WARM_SECONDS = 1.0
SIGNED, PLAIN = "modeltap-signed-100", "modeltap-plain-100"
OTHERS = (fastapi, aws, mlserver, bentoml, litserve, kserve, rayserve)
PYTHON_SERVERS = ("mlserver", "bentoml", "litserve", "kserve", "rayserve")
FLOORS = ("nginx", "echo")

TEXT = """\
XGBoost, 69 features, 100 trees, depth 5; one row a request. The whole process tree of a contender
has one core, `wrk` the other. modeltap captures 100 % of input and output, everyone else nothing.
*Signed* is a pool of 1,024 different requests, made by boto3 right before, each verified in full
every time. *Not verified* is the same server with a gateway whose `verify` answers yes (a patch of
the benchmark; there is no such setting), asked with requests as short as the others'. Memory is
PSS after the load; start-up ends with the first right answer. modeltap's memory and start-up are
those of the whole house: gateway, control, store, spooler, shipper, model.
"""


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contender did in one round."""

    few: load.Slice
    many: load.Slice
    pss_bytes: int
    ready_seconds: float


Round = dict[str, Turn]


def contenders(plan: Plan) -> list[Contender]:
    """List who takes part, ours first."""
    home = modeltap.deployed(plan.folder / "peers", plan.model, [100])
    return [
        home.contender(100),
        replace(home.contender(100, verified=False, plain=True), name=PLAIN),
        *(module.contender(plan.model) for module in OTHERS),
        floors.nginx(),
        floors.echo(),
    ]


def run(plan: Plan) -> Section:
    """Measure all contenders in turn, round by round."""
    taking_part = contenders(plan)
    reasons: dict[str, str] = {}
    rounds: list[Round] = []
    for number in range(plan.rounds):
        rounds.append({})
        for contender in taking_part:
            if contender.name in reasons:
                continue
            print(f"round {number + 1}: {contender.title}", file=sys.stderr)
            try:
                rounds[-1][contender.name] = _turn(plan, contender)
            except Unavailable as unavailable:
                reasons[contender.name] = str(unavailable)
    return Section(
        title="Beside other servers",
        text=TEXT,
        tables=[_speeds(taking_part, rounds, reasons), _costs(taking_part, rounds)],
        reaches=_reaches(rounds),
        bars=_bars(taking_part, rounds),
        bars_title="Requests/s on one core, 32 connections",
    )


def _turn(plan: Plan, contender: Contender) -> Turn:
    with running(contender, plan.model, machine.server_core()) as server:
        pool = server.pool(plan.model)
        load.closed_loop(server.pid, server.port, pool, MANY, WARM_SECONDS)
        few, many = (
            load.closed_loop(server.pid, server.port, pool, connections, plan.seconds)
            for connections in (FEW, MANY)
        )
        for measured in (few, many):
            if measured.refused or measured.broken or not measured.requests:
                raise Unavailable(
                    f"under load {measured.refused} of {measured.requests} requests were refused "
                    f"and {measured.broken} got no answer"
                )
        return Turn(few, many, machine.pss_bytes(server.pid), server.ready_seconds)


# ---------------------------------------------------------------- what is made of it


def _turns(rounds: Sequence[Round], name: str) -> list[Turn]:
    return [each[name] for each in rounds if name in each]


def _ratio(rounds: Sequence[Round], one: str, other: str, connections: int) -> Spread | None:
    """Divide requests/s of two contenders, round by round."""
    ratios = [
        _per_second(each[one], connections) / _per_second(each[other], connections)
        for each in rounds
        if one in each and other in each
    ]
    return Spread.of(ratios) if ratios else None


def _per_second(turn: Turn, connections: int) -> float:
    return (turn.few if connections == FEW else turn.many).per_second


def _speeds(
    taking_part: Sequence[Contender], rounds: Sequence[Round], reasons: dict[str, str]
) -> Table:
    rows: list[list[Cell]] = []
    for contender in taking_part:
        turns = _turns(rounds, contender.name)
        if not turns:
            rows.append([contender.title, reasons[contender.name], *[""] * 6])
            continue
        rows.append([contender.title])
        for pick in ("few", "many"):
            slices = [getattr(turn, pick) for turn in turns]
            against = _ratio(rounds, contender.name, "fastapi", FEW if pick == "few" else MANY)
            rows[-1] += [
                Spread.of([each.per_second for each in slices]),
                f"{_median(slices, 'p50'):.2f} / {_median(slices, 'p99'):.2f}",
                against or "",
            ]
    heads = [(f"{n}: req/s", "p50 / p99, ms", "to FastAPI") for n in (FEW, MANY)]
    return Table("1 and 32 connections", ("", *heads[0], *heads[1]), rows)


def _median(slices: Sequence[load.Slice], name: str) -> float:
    return Spread.of([getattr(each, name) for each in slices]).median


def _costs(taking_part: Sequence[Contender], rounds: Sequence[Round]) -> Table:
    rows: list[list[Cell]] = []
    for contender in taking_part:
        turns = _turns(rounds, contender.name)
        if turns:
            rows.append(
                [
                    contender.title,
                    Spread.of([turn.few.cpu_us for turn in turns]),
                    Spread.of([turn.many.cpu_us for turn in turns]),
                    Spread.of([turn.pss_bytes / 2**20 for turn in turns]),
                    Spread.of([turn.ready_seconds for turn in turns]),
                ]
            )
    columns = ("", "CPU µs/request, 1", "CPU µs/request, 32", "memory, MiB", "start-up, s")
    return Table("What it costs, of the whole process tree", columns, rows)


def _reaches(rounds: Sequence[Round]) -> list[Reach]:
    wanted: list[tuple[str, float, bool, Spread | None]] = [
        ("32 connections, signed: FastAPI", 12, True, _ratio(rounds, SIGNED, "fastapi", MANY)),
        ("same: AWS container's stack", 26, True, _ratio(rounds, SIGNED, "aws", MANY)),
        ("same: best of the Python model servers", 20, True, _to_best(rounds)),
        ("32 connections, unsigned: FastAPI", 18, True, _ratio(rounds, PLAIN, "fastapi", MANY)),
        ("1 connection, signed: FastAPI", 2.8, True, _ratio(rounds, SIGNED, "fastapi", FEW)),
        ("p99, 32 connections, signed: FastAPI's", 0.1, False, _p99(rounds)),
    ]
    return [Reach(text, bound, least, found) for text, bound, least, found in wanted if found]


def _to_best(rounds: Sequence[Round]) -> Spread | None:
    found = [_ratio(rounds, SIGNED, name, MANY) for name in PYTHON_SERVERS]
    return min((ratio for ratio in found if ratio), key=lambda ratio: ratio.median, default=None)


def _p99(rounds: Sequence[Round]) -> Spread | None:
    both = [each for each in rounds if SIGNED in each and "fastapi" in each]
    ratios = [each[SIGNED].many.p99 / each["fastapi"].many.p99 for each in both]
    return Spread.of(ratios) if ratios else None


def _bars(taking_part: Sequence[Contender], rounds: Sequence[Round]) -> list[Bar]:
    return [
        Bar(
            contender.title,
            Spread.of([turn.many.per_second for turn in turns]),
            _is_ours(contender),
        )
        for contender in taking_part
        if (turns := _turns(rounds, contender.name)) and contender.name not in FLOORS
    ]


def _is_ours(contender: Contender) -> bool:
    return contender.name.startswith("modeltap")
