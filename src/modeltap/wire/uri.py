"""Request URIs of the REST protocols: `/{Bucket}/{Key+}?uploads`, matched and taken apart.

S3 decodes the path before it is split, as its signature does (`auth.sigv4`, rule 3): what is signed
and what is acted upon are the same text. The others split first and decode each label.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl, unquote

from modeltap.errors import InvalidArgument, ModeltapError, SerializationException

QUERY_FIELDS_MAX = 1_000
FORM_FIELDS_MAX = 50_000  # a PutMetricData has a thousand metrics of some ten fields each

_LABEL = re.compile(r"\{(\w+)(\+?)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A `requestUri` of the model, ready to match."""

    path: re.Pattern[str]
    labels: tuple[str, ...]
    constants: Mapping[str, str]  # literal query fields; an empty value asks for the name only
    literals: int  # characters outside labels: more is more specific

    def matches(self, path: str, query: Mapping[str, str]) -> bool:
        """Tell whether a path and query fields are of this URI."""
        return all(
            name in query and value in ("", query[name]) for name, value in self.constants.items()
        ) and bool(self.path.fullmatch(path))


@lru_cache(maxsize=1024)
def template(request_uri: str) -> Template:
    """Compile a `requestUri`."""
    path, _, query = request_uri.partition("?")
    return Template(
        path=re.compile(_expression(path), re.DOTALL),
        labels=tuple(match[1] for match in _LABEL.finditer(path)),
        constants=dict(parse_qsl(query, keep_blank_values=True)),
        literals=len(_LABEL.sub("", path)),
    )


def _expression(path: str) -> str:
    parts, end = [], 0
    for match in _LABEL.finditer(path):
        parts += [re.escape(path[end : match.start()]), "(.+)" if match[2] else "([^/]+)"]
        end = match.end()
    # S3 takes a bucket with and without a slash behind it (DuckDB sends one).
    tail = "/?" if path == "/{Bucket}" else re.escape(path[end:])
    return "".join(parts) + tail


def split_path(protocol: str, path: bytes) -> str:
    """Give the path in the form that `Template.matches` takes: decoded already for rest-xml."""
    text = path.decode("ascii", "surrogateescape")
    return _decoded(protocol, text) if protocol == "rest-xml" else text


def labels(protocol: str, request_uri: str, path: bytes) -> dict[str, str]:
    """Read the labels of a path that matches. Raise a malformed-request error on bad UTF-8."""
    form = template(request_uri)
    match = form.path.fullmatch(split_path(protocol, path))
    values = match.groups() if match else ()
    if protocol != "rest-xml":
        values = tuple(_decoded(protocol, value) for value in values)
    return dict(zip(form.labels, values, strict=False))


def query_fields(protocol: str, query: bytes) -> list[tuple[str, str]]:
    """Read a query string, or a form of the query protocol; `+` is a space, as in the signature."""
    fields_max = FORM_FIELDS_MAX if protocol == "query" else QUERY_FIELDS_MAX
    try:
        return parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=fields_max,
        )
    except ValueError as error:
        raise malformed(protocol, "The query string is malformed.") from error


def malformed(protocol: str, message: str) -> ModeltapError:
    """Give the protocol's own error for a request that cannot be read."""
    return (InvalidArgument if protocol == "rest-xml" else SerializationException)(message)


def _decoded(protocol: str, text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except ValueError as error:
        raise malformed(protocol, "The path is not UTF-8.") from error
