"""When lines were written: marks, offsets over cuts, what a kill or a loss of power leaves."""

import os
from pathlib import Path

import pytest

from modeltap.logbook import Logbook, Stream, stream
from modeltap.logbook.marks import RECORD, Marks, decode

GROUP, NAME = "/aws/sagemaker/ProcessingJobs", "job/algo-1-1"
NS = 1_000_000_000


def write(path: Path, data: bytes, second: int) -> None:
    with path.open("ab") as file:
        file.write(data)
    os.utime(path, (second, second))


def told(book: Logbook, second: int = 0) -> list[tuple[int, str]]:
    """Give the seconds and texts of all lines, with one reading."""
    with book.reading(GROUP, second * NS) as streams:
        assert streams is not None
        return [
            (entry.time // 1000, entry.text)
            for each in streams
            for entry in each.entries(each.first, each.marks.noted)
        ]


def read(book: Logbook) -> Stream:
    with book.reading(GROUP, 0) as streams:
        assert streams is not None
        (found,) = streams
        return found


def test_a_line_has_the_time_at_which_it_was_first_seen_and_keeps_it(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    path = book.path(GROUP, NAME)
    write(path, b"one\ntwo\n", 10)
    book.keep(10 * NS)
    write(path, b"three\n", 12)
    assert told(book) == [(10, "one"), (10, "two"), (12, "three")]
    write(path, b"four\n", 15)
    assert told(Logbook(tmp_path)) == [(10, "one"), (10, "two"), (12, "three"), (15, "four")]


def test_times_never_fall_when_the_clock_is_set_back(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    for second in (20, 5, 21):
        write(book.path(GROUP, NAME), b"%d\n" % second, second)
        book.keep(0)
    assert told(book) == [(20, "20"), (20, "5"), (21, "21")]


def test_an_unfinished_line_waits_for_its_end_or_a_silence(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    path = book.path(GROUP, NAME)
    write(path, b"whole\nha", 10)
    assert told(book, 11) == [(10, "whole")]
    write(path, b"lf\nlast", 12)
    assert told(book, 13) == [(10, "whole"), (12, "half")]
    assert told(book, 17) == [(10, "whole"), (12, "half"), (12, "last")]
    write(path, b" words\n", 30)  # no line that was told changes
    assert told(book, 31)[2:] == [(12, "last"), (30, " words")]


def test_who_ends_a_stream_ends_its_last_line(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    write(book.path(GROUP, NAME), b"died of", 10)
    assert told(book, 10) == []
    book.ended(GROUP, NAME, 10 * NS)
    assert len(told(book, 10)) == 1


def test_an_endless_line_is_told_in_pieces(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    write(book.path(GROUP, NAME), b"x" * 150_000, 1)
    assert [len(text) for _, text in told(book)] == [65_536, 65_536, 18_928]


def test_offsets_go_on_over_cuts(tmp_path: Path) -> None:
    book = Logbook(tmp_path, stream_bytes_max=10)
    path = book.path(GROUP, NAME)
    for second in range(4):
        write(path, b"line %d a\nline %d b\n" % (second, second), second)
        book.keep(0)
    write(path, b"last\n", 9)
    assert told(book) == [(3, "line 3 a"), (3, "line 3 b"), (9, "last")]
    found = read(book)
    assert (found.first, found.marks.base, found.marks.noted) == (54, 72, 77)
    assert found.marks.ends == (72, 77)  # marks of what is gone are gone
    assert {each.stat().st_mode & 0o777 for each in path.parent.iterdir()} == {0o600}


def test_a_cut_that_was_killed_before_the_base_moved_is_mended(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    path = book.path(GROUP, NAME)
    write(path, b"one\ntwo\n", 1)
    book.keep(0)
    times = path.with_name(f"{path.name}.times")
    before = times.read_bytes()
    stream.cut(path)
    times.write_bytes(before)
    write(path, b"x\n", 2)
    assert told(Logbook(tmp_path)) == [(1, "one"), (1, "two"), (2, "x")]
    assert read(Logbook(tmp_path)).marks.base == 8


def test_a_stream_that_was_emptied_by_hand_goes_on(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    path = book.path(GROUP, NAME)
    write(path, b"one\ntwo\n", 1)
    book.keep(0)
    os.truncate(path, 0)
    write(path, b"new\n", 2)
    assert told(book)[-1] == (2, "new")


def test_streams_from_before_there_were_marks_have_the_times_of_their_files(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    path = book.path(GROUP, NAME)
    write(path, b"new\n", 9)
    write(path.with_name(f"{path.name}.1"), b"old\n", 3)
    assert told(book) == [(3, "old"), (9, "new")]
    write(path, b"newer\n", 11)
    assert told(book) == [(3, "old"), (9, "new"), (11, "newer")]


@pytest.mark.parametrize("junk", [b"\0" * 7, b"\0" * 16, b"\xff" * 16, b"\xff" * 21])
def test_marks_that_a_loss_of_power_spoilt_are_passed_over(tmp_path: Path, junk: bytes) -> None:
    book = Logbook(tmp_path)
    path = book.path(GROUP, NAME)
    write(path, b"one\n", 1)
    book.keep(0)
    with path.with_name(f"{path.name}.times").open("ab") as file:
        file.write(junk)
    write(path, b"two\n", 2)
    assert told(Logbook(tmp_path)) == [(1, "one"), (2, "two")]
    assert told(Logbook(tmp_path)) == [(1, "one"), (2, "two")]


def test_a_stream_whose_marks_were_lost_is_marked_anew(tmp_path: Path) -> None:
    book = Logbook(tmp_path)
    path = book.path(GROUP, NAME)
    write(path, b"one\n", 1)
    book.keep(0)
    path.with_name(f"{path.name}.times").write_bytes(b"")
    write(path, b"two\n", 2)
    assert told(Logbook(tmp_path)) == [(2, "one"), (2, "two")]


def test_a_forgotten_stream_leaves_nothing(tmp_path: Path) -> None:
    book = Logbook(tmp_path, streams_max=1)
    for second, name in enumerate("ab"):
        write(book.path(GROUP, name), b"x\n", second)
        book.keep(0)
    assert {each.name for each in book.path(GROUP, "b").parent.iterdir()} == {
        "b.log",
        "b.log.times",
    }
    assert book.groups() == [GROUP]


def test_an_unknown_group_is_none(tmp_path: Path) -> None:
    with Logbook(tmp_path / "logs").reading("nothing", 0) as streams:
        assert streams is None
    assert Logbook(tmp_path / "logs").groups() == []


def test_marks_come_back_from_their_bytes() -> None:
    marks = Marks(3, 1).marked(5, 10).marked(9, 12)
    assert decode(marks.encode(), 6) == marks
    assert marks.encode().endswith(marks.newest())
    assert decode(marks.encode()[: RECORD.size - 1], 6) is None
    assert (marks.time(4), marks.time(5), marks.next(5), marks.last(8)) == (10, 12, 9, 5)
    assert (marks.since(10), marks.since(11), marks.since(13)) == (0, 5, 9)
