"""Laws of pages: whatever is written, kept and cut, each line is told once, in order, unchanged."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeltap.front import log_pages
from modeltap.logbook import Entry, Logbook, Stream

GROUP, NAME = "g", "s"

WRITES = st.lists(
    st.tuples(
        st.binary(max_size=12).map(lambda raw: raw.replace(b"\r", b"x")),
        st.integers(0, 3),  # seconds that pass
        st.booleans(),  # whether the logbook looks
    ),
    max_size=12,
)


def written(folder: Path, writes: list[tuple[bytes, int, bool]], bytes_max: int) -> Logbook:
    book = Logbook(folder, stream_bytes_max=bytes_max)
    path, second = book.path(GROUP, NAME), 10
    for data, seconds, looked in writes:
        second += seconds
        with path.open("ab") as file:
            file.write(data)
        os.utime(path, (second, second))
        if looked:
            book.keep(second * 10**9)
    book.ended(GROUP, NAME, second * 10**9)
    return book


def opened(book: Logbook) -> Stream:
    with book.reading(GROUP, 0) as streams:
        assert streams is not None
        return streams[0]


@given(WRITES, st.integers(1, 4), st.sampled_from([16, 1 << 20]))
def test_pages_of_both_directions_and_searches_tell_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    writes: list[tuple[bytes, int, bool]],
    limit: int,
    bytes_max: int,
) -> None:
    stream = opened(written(tmp_path_factory.mktemp("logs"), writes, bytes_max))
    span = stream.within(0, None)
    expected = [entry for entry in stream.entries(*span) if entry.text]
    assert [entry.time for entry in expected] == sorted(entry.time for entry in expected)

    forwards, token = [], None
    while True:
        page = log_pages.page(stream, span, limit, token, from_head=True)
        forwards += page.entries
        if token == log_pages.forward_token(page):
            break
        token = log_pages.forward_token(page)
    assert forwards == expected

    backwards: list[Entry] = []
    token = None
    while True:
        page = log_pages.page(stream, span, limit, token, from_head=False)
        backwards = page.entries + backwards
        if token == log_pages.backward_token(page):
            break
        token = log_pages.backward_token(page)
    assert backwards == expected

    found, token = [], None
    while True:
        part = log_pages.search([stream], (0, None), lambda text: True, limit, token)
        found += [entry for _, entry in part.entries]
        if part.next is None:
            break
        token = log_pages.sealed(part.next)
    assert found == expected


@given(WRITES)
def test_looking_more_often_loses_and_adds_nothing(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[bytes, int, bool]]
) -> None:
    stream = opened(written(tmp_path_factory.mktemp("logs"), writes, 1 << 20))
    raw = b"".join(data for data, _, _ in writes)
    assert stream.within(0, None) == (0, len(raw))
    ends = [entry.end for entry in stream.entries(0, len(raw))]
    assert ends == sorted(ends)
    assert ends[-1:] == [len(raw)][: len(raw)]
    for cut in {10, 11, 13}:
        before = list(stream.entries(*stream.within(0, cut * 1000)))
        behind = list(stream.entries(*stream.within(cut * 1000, None)))
        assert all(entry.time < cut * 1000 for entry in before)
        assert all(entry.time >= cut * 1000 for entry in behind)
        assert before + behind == list(stream.entries(0, len(raw)))
