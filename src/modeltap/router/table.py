"""The routing table's file: what control writes and every gateway serves from.

Control writes it beside the old one and renames it, so that a reader sees one whole table or the
other. The format carries its version: a gateway refuses a file it does not know, and goes on
serving from the table that it has.

    {"version": 1, "generation": 7, "routes": [
      {"endpoint": "churn",
       "variants": [{"name": "AllTraffic", "weight": 1.0,
                     "instances": [{"id": "i-1", "address": "unix:/…/socket"}]}],
       "capture": null | {"sampling_percentage": 100, "destination": "s3://bucket/prefix",
                          "input": true, "output": true, "csv_types": ["text/csv"],
                          "json_types": [], "kms_key_id": null,
                          "durability": "besteffort"}}]}
"""

from typing import Any

import orjson

from modeltap.errors import UnreadableTable
from modeltap.nouns import CapturePlan, Durability, Instance, Route, RoutingTable, Variant

VERSION = 1


def encode(table: RoutingTable) -> bytes:
    """Write a table as its file's bytes; equal tables give equal bytes."""
    routes = [_route_document(table.routes[name]) for name in sorted(table.routes)]
    return orjson.dumps({"version": VERSION, "generation": table.generation, "routes": routes})


def decode(data: bytes) -> RoutingTable:
    """Read a table from its file's bytes; raise `UnreadableTable` on anything else."""
    try:
        document = orjson.loads(data)
        if document["version"] != VERSION:
            raise UnreadableTable(f"routing table of version {document['version']!r}")
        routes = [_route(route) for route in document["routes"]]
        return RoutingTable(
            generation=_integer(document["generation"]),
            routes={route.endpoint: route for route in routes},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableTable(f"not a routing table: {type(error).__name__}") from error


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("not an integer")
    return value


# ---------------------------------------------------------------- noun → document


def _route_document(route: Route) -> dict[str, Any]:
    return {
        "endpoint": route.endpoint,
        "variants": [_variant_document(variant) for variant in route.variants],
        "capture": None if route.capture is None else _plan_document(route.capture),
    }


def _variant_document(variant: Variant) -> dict[str, Any]:
    return {
        "name": variant.name,
        "weight": variant.weight,
        "instances": [{"id": one.id, "address": one.address} for one in variant.instances],
    }


def _plan_document(plan: CapturePlan) -> dict[str, Any]:
    return {
        "sampling_percentage": plan.sampling_percentage,
        "destination": plan.destination,
        "input": plan.input,
        "output": plan.output,
        "csv_types": sorted(plan.csv_types),
        "json_types": sorted(plan.json_types),
        "kms_key_id": plan.kms_key_id,
        "durability": plan.durability.value,
    }


# ---------------------------------------------------------------- document → noun


def _route(document: dict[str, Any]) -> Route:
    capture = document["capture"]
    return Route(
        endpoint=document["endpoint"],
        variants=tuple(_variant(variant) for variant in document["variants"]),
        capture=None if capture is None else _plan(capture),
    )


def _variant(document: dict[str, Any]) -> Variant:
    return Variant(
        name=document["name"],
        weight=float(document["weight"]),
        instances=tuple(Instance(one["id"], one["address"]) for one in document["instances"]),
    )


def _plan(document: dict[str, Any]) -> CapturePlan:
    return CapturePlan(
        sampling_percentage=document["sampling_percentage"],
        destination=document["destination"],
        input=document["input"],
        output=document["output"],
        csv_types=frozenset(document["csv_types"]),
        json_types=frozenset(document["json_types"]),
        kms_key_id=document["kms_key_id"],
        # A table of before: it may be all that a gateway has, while control is down.
        durability=Durability(document.get("durability", Durability.BESTEFFORT)),
    )
