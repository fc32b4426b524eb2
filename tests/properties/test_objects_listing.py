"""A listing page by page equals the naive one: sort, filter, roll up."""

from hypothesis import given, settings
from hypothesis import strategies as st

from modeltap.objects.index import Object
from modeltap.objects.listing import behind, walk

TEXT = st.text(alphabet="ab/-\x01é\U0001f600", max_size=6)
KEYS = st.sets(TEXT.filter(bool), max_size=25)


def row(key: str) -> Object:
    return Object(key, "content", 1, "etag", 0, 0, {})


def naive(keys: set[str], prefix: str, delimiter: str) -> list[str]:
    """Give the names of all entries, in order; a common prefix once."""
    names: list[str] = []
    for key in sorted(keys, key=str.encode):
        if key.startswith(prefix):
            rest = key[len(prefix) :]
            head, found, _ = rest.partition(delimiter) if delimiter else (rest, "", "")
            name = prefix + head + found
            if not names or names[-1] != name:
                names.append(name)
    return names


def paged(keys: set[str], prefix: str, delimiter: str, limit: int, by_marker: bool) -> list[str]:
    rows = [row(key) for key in sorted(keys, key=str.encode)]

    def page(position: bytes, count: int) -> list[Object]:
        return [each for each in rows if each.key.encode() >= position][:count]

    names: list[str] = []
    start = b""
    while True:
        listing = walk(page, prefix=prefix, delimiter=delimiter, start=start, limit=limit)
        found = [each.key for each in listing.objects] + list(listing.prefixes)
        assert len(found) <= limit
        names += sorted(found, key=str.encode)
        if listing.position is None:
            return names
        assert listing.last is not None
        start = behind(listing.last, prefix, delimiter) if by_marker else listing.position


@given(
    keys=KEYS,
    prefix=TEXT,
    delimiter=st.sampled_from(["", "/", "a", "-/"]),
    limit=st.integers(1, 5),
    by_marker=st.booleans(),
)
@settings(max_examples=500, deadline=None)
def test_pages_add_up_to_the_naive_listing(
    keys: set[str], prefix: str, delimiter: str, limit: int, by_marker: bool
) -> None:
    whole = naive(keys, prefix, delimiter)
    assert paged(keys, prefix, delimiter, limit, by_marker) == whole
