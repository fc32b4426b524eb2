"""What the round trips of wire share: the served operations, and documents drawn from the model."""

import string
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from modeltap.house.served import SERVED

PROTOCOLS = {"cloudwatch": ("json", "query")}
"""Of services that are asked in more than one; "": the one that botocore's model names."""

OPERATIONS = [
    (service, protocol, name)
    for service, names in SERVED.items()
    for protocol in PROTOCOLS.get(service, ("",))
    for name in names
]
"""From the tables that serve: an operation that is not in the round trips is not served."""

_TOKEN = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=8)
_VISIBLE = st.text(string.ascii_letters + string.digits + "/+=&%~:,;\"'", min_size=1, max_size=12)
_SEGMENT = st.text(string.ascii_letters + string.digits + " -._~%+é", min_size=1, max_size=12)
_ANY = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff"
    ),
    max_size=12,
)


def documents(
    shape: Any, *, coarse: bool, filled: bool, form: bool = False
) -> st.SearchStrategy[dict[str, Any]]:
    """Draw documents of a structure.

    `coarse` times have whole seconds (what botocore's serializers send); `filled` lists are never
    empty (XML and forms cannot tell an empty list from none), nor are structures within a `form`.
    """
    return _Drawing(coarse, filled, form).structure(shape)


class _Drawing:
    def __init__(self, coarse: bool, filled: bool, form: bool) -> None:
        self._coarse = coarse
        self._filled = filled
        self._form = form

    def structure(self, shape: Any) -> st.SearchStrategy[dict[str, Any]]:
        payload = shape.serialization.get("payload")
        drawn = {name: self._member(member) for name, member in shape.members.items()}
        if shape.is_tagged_union:
            return st.one_of([st.fixed_dictionaries({name: drawn[name]}) for name in drawn])
        required = {n: s for n, s in drawn.items() if n in shape.required_members or n == payload}
        optional = {n: s for n, s in drawn.items() if n not in required}
        return st.fixed_dictionaries(required, optional=optional)

    def _member(self, shape: Any) -> st.SearchStrategy[Any]:
        match shape.serialization.get("location"):
            case "uri":
                return _SEGMENT
            case "header" | "headers":
                return self._value(shape, _VISIBLE, time_is_coarse=True)
        return self._value(shape, _ANY, time_is_coarse=self._coarse)

    def _value(
        self, shape: Any, text: st.SearchStrategy[str], *, time_is_coarse: bool
    ) -> st.SearchStrategy[Any]:
        match shape.type_name:
            case "structure":
                return self.structure(shape).filter(bool) if self._form else self.structure(shape)
            case "list":
                item = self._value(shape.member, text, time_is_coarse=time_is_coarse)
                return st.lists(item, min_size=int(self._filled), max_size=2)
            case "map":
                value = self._value(shape.value, text, time_is_coarse=time_is_coarse)
                return st.dictionaries(_TOKEN, value, min_size=1, max_size=2)
            case "string":
                return st.sampled_from(shape.enum) if shape.enum else text
            case "timestamp":
                return _times(coarse=time_is_coarse or "timestampFormat" in shape.serialization)
        return _SCALARS[shape.type_name]


_SCALARS: Mapping[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "blob": st.binary(max_size=16),
}


def _times(*, coarse: bool) -> st.SearchStrategy[datetime]:
    step_ms = 1_000 if coarse else 1
    return st.integers(0, 4_000_000_000_000 // step_ms).map(
        lambda steps: datetime.fromtimestamp(steps * step_ms / 1_000, UTC)
    )
