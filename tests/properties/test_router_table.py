"""The routing table survives its file, and nothing else is taken for one."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeltap.errors import UnreadableTable
from modeltap.nouns import CapturePlan, Instance, Route, RoutingTable, Variant
from modeltap.router.table import decode, encode

names = st.text(min_size=1, max_size=12)
types = st.frozensets(names, max_size=3)
plans = st.builds(
    CapturePlan,
    sampling_percentage=st.integers(0, 100),
    destination=names,
    input=st.booleans(),
    output=st.booleans(),
    csv_types=types,
    json_types=types,
    kms_key_id=st.none() | names,
)
variants = st.builds(
    Variant,
    name=names,
    weight=st.floats(0, 1e6, allow_nan=False),
    instances=st.lists(st.builds(Instance, id=names, address=names), max_size=3).map(tuple),
)
routes = st.builds(
    Route,
    endpoint=names,
    variants=st.lists(variants, max_size=3).map(tuple),
    capture=st.none() | plans,
)
tables = st.builds(
    RoutingTable,
    generation=st.integers(0, 2**53),
    routes=st.lists(routes, max_size=3).map(lambda rs: {r.endpoint: r for r in rs}),
)


@given(tables)
def test_a_table_survives_its_file(table: RoutingTable) -> None:
    assert decode(encode(table)) == table


@given(tables)
def test_the_order_of_routes_does_not_show(table: RoutingTable) -> None:
    turned = RoutingTable(table.generation, dict(reversed(list(table.routes.items()))))
    assert encode(turned) == encode(table)


@given(st.binary(max_size=60))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableTable):
        decode(data)


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"version": 2, "generation": 1, "routes": []},
        {"version": 1, "generation": "1", "routes": []},
        {"version": 1, "generation": 1, "routes": [{"endpoint": "e"}]},
        {"version": 1, "generation": 1, "routes": None},
    ],
)
def test_another_shape_is_refused(document: object) -> None:
    with pytest.raises(UnreadableTable):
        decode(orjson.dumps(document))
