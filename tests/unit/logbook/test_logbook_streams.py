"""Log groups and streams: names, lines, following, bounds."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeltap.logbook import LINE_BYTES_MAX, Line, Logbook

GROUP = "/aws/sagemaker/Endpoints/churn"


def write(path: Path, data: bytes, second: int = 0) -> None:
    with path.open("ab") as file:
        file.write(data)
    os.utime(path, (second, second))


def test_lines_come_back_stream_by_stream_the_last_written_last(tmp_path: Path) -> None:
    book = Logbook(tmp_path / "logs")
    write(book.path(GROUP, "AllTraffic/i-2"), b"two\r\nhalf", 2)
    write(book.path(GROUP, "AllTraffic/i-1"), b"one\n", 1)
    assert book.streams(GROUP) == ["AllTraffic/i-1", "AllTraffic/i-2"]
    assert list(book.lines(GROUP)) == [
        Line("AllTraffic/i-1", "one"),
        Line("AllTraffic/i-2", "two"),
        Line("AllTraffic/i-2", "half"),
    ]


def test_an_unknown_group_is_empty(tmp_path: Path) -> None:
    book = Logbook(tmp_path / "logs")
    assert book.streams("nothing") == []
    assert list(book.lines("nothing")) == []
    assert list(book.tail("nothing").read()) == []
    book.keep(0)


def test_our_own_lines_stay_lines(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    book.append(GROUP, "AllTraffic/setup", "building\nan environment")
    book.append(GROUP, "AllTraffic/setup", "done")
    assert [line.text for line in book.lines(GROUP)] == ["building an environment", "done"]


def test_only_the_owner_reads(tmp_path: Path) -> None:
    path = Logbook(tmp_path / "logs").path(GROUP, "a")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_no_name_leaves_the_folder(
    tmp_path_factory: pytest.TempPathFactory, group: str, stream: str
) -> None:
    group, stream = (text.encode(errors="replace").decode() for text in (group, stream))
    root = tmp_path_factory.mktemp("logs")
    book = Logbook(root)
    path = book.path(group, stream)
    assert path.parent.parent == path.resolve().parent.parent == root.resolve()
    assert book.streams(group) == [stream]


@pytest.mark.parametrize("name", [".", "..", "../../etc/passwd", "/", "a\0b"])
def test_hostile_names_are_only_names(tmp_path: Path, name: str) -> None:
    book = Logbook(tmp_path)
    book.append(name, name, "line")
    assert list(book.lines(name)) == [Line(name, "line")]


def test_what_a_model_prints_does_not_drive_the_terminal(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    write(book.path(GROUP, "a"), b"\x1b]0;title\x07\ttab \xff\xc2\x9b1m\n")
    (line,) = book.lines(GROUP)
    assert line.text == "\\x1b]0;title\\x07\ttab �\\x9b1m"


def test_a_tail_gives_whole_lines_once(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    tail = book.tail(GROUP)
    path = book.path(GROUP, "a")
    write(path, b"one\ntw")
    assert list(tail.read()) == [Line("a", "one")]
    assert list(tail.read()) == []
    write(path, b"o\n")
    book.append(GROUP, "b", "other")
    assert set(tail.read()) == {Line("a", "two"), Line("b", "other")}


def test_an_endless_line_is_read_in_pieces(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    write(book.path(GROUP, "a"), b"x" * (LINE_BYTES_MAX + 5))
    assert [len(line.text) for line in book.lines(GROUP)] == [LINE_BYTES_MAX, 5]


def test_a_stream_keeps_its_newest_parts(tmp_path: Path) -> None:
    book = Logbook(tmp_path, stream_bytes_max=10)
    path = book.path(GROUP, "a")
    tail = book.tail(GROUP)
    with path.open("ab", buffering=0) as writer:  # as a worker holds it
        for number in range(4):
            writer.write(b"line %d\n" % (number * 2) + b"line %d\n" % (number * 2 + 1))
            assert len(list(tail.read())) == 2
            book.keep(0)
            list(tail.read())
        writer.write(b"last\n")
    assert [line.text for line in book.lines(GROUP)] == ["line 6", "line 7", "last"]
    assert [line.text for line in tail.read()] == ["last"]
    assert path.stat().st_size == 5
    assert {each.stat().st_mode & 0o777 for each in path.parent.iterdir()} == {0o600}


def test_a_group_keeps_its_newest_streams(tmp_path: Path) -> None:
    book = Logbook(tmp_path, streams_max=2)
    for second in range(5):
        write(book.path(GROUP, f"s{second}"), b"x\n", second)
    book.keep(0)
    assert book.streams(GROUP) == ["s3", "s4"]
