"""A damaged ledger stops nobody (guarantee G6): counts may go, records and service may not."""

import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from capture_world import World, exchange
from modeltap.capture.account import account
from modeltap.capture.counters import Drop
from modeltap.capture.ledger import Delivery, Ledger, LedgerReader, Total
from modeltap.errors import LedgerUnreadable

ROW = Delivery("w", 1, 1, 9, "churn", "A", "s3://b/k", "e", 100, 8, 1, 5, "1-8", "corrupt")


def overwrite(data: bytes) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.write_bytes(data)

    return damage


def foreign(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE delivery (other TEXT)")
    connection.close()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = {
    "junk": overwrite(b"junk" * 1000),
    "head": overwrite(b"SQLite format 3\0" + b"\xff" * 8000),
    "foreign": foreign,
    "folder": folder,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_ledger_is_set_aside(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ledger.db"
    for spell in range(2):  # the second meets what the first has put aside
        Ledger(path).close()
        DAMAGES[name](path)
        ledger = Ledger(path)
        ledger.add(ROW)
        assert ledger.totals() == {("churn", "A"): Total(8, {Drop.CORRUPT: 1})}
        ledger.close()
        assert capfd.readouterr().out.count("LedgerSetAside") == 1, spell
        assert (tmp_path / "ledger.damaged" / "ledger.db").exists()


def test_rows_before_the_damage_are_taken_over(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger(path)
    for first in range(1, 1001):
        numbers = str(first)
        ledger.add(
            Delivery(
                "w", 1, first, first, "churn", "A", "s3://b/k", "e", 9, 1, 0, first, numbers, ""
            )
        )
    ledger.close()
    data = bytearray(path.read_bytes())
    pages = len(data) // 4096
    assert pages > 10
    data[(pages - 5) * 4096 : (pages - 4) * 4096] = b"\xff" * 4096
    path.write_bytes(data)
    ledger = Ledger(path)  # its first pages are good: the damage is met when it is read
    delivered = ledger.delivered("churn", "A")
    assert 0 < delivered < 1000
    assert "LedgerSetAside" in capfd.readouterr().out
    ledger.add(ROW)
    ledger.close()


BEFORE = """
CREATE TABLE delivery (
    writer TEXT NOT NULL, slot INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    endpoint TEXT NOT NULL, variant TEXT NOT NULL,
    uri TEXT NOT NULL, etag TEXT NOT NULL, bytes INTEGER NOT NULL,
    records INTEGER NOT NULL, corrupt INTEGER NOT NULL, delivered_ns INTEGER NOT NULL,
    PRIMARY KEY (writer, slot, first)
) STRICT, WITHOUT ROWID
"""


def ledger_of_before(path: Path, *rows: tuple[int, int, int, int]) -> None:
    """Write a ledger as it was before it knew numbers; rows are first, last, records, corrupt."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(BEFORE)
    for first, last, records, corrupt in rows:
        connection.execute(
            "INSERT INTO delivery VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ("w", 1, first, last, "churn", "A", "s3://b/k", "e", 9, records, corrupt, first),
        )
    connection.close()


def test_a_ledger_of_before_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger_of_before(path, (1, 9, 9, 0), (10, 19, 8, 2), (20, 20, 1, 0), (30, 0, 0, 4))
    with pytest.raises(LedgerUnreadable), LedgerReader(path) as reader:
        reader.totals()  # until its writer has opened it
    for _ in range(2):
        ledger = Ledger(path)
        assert ledger.totals() == {("churn", "A"): Total(18, {Drop.CORRUPT: 6})}
        rows = ledger.deliveries()
        assert [(row.numbers, row.reason) for row in rows] == [
            ("1-9", ""),
            ("", "corrupt"),
            ("20", ""),
            ("", "corrupt"),
        ]
        assert (rows[0].first, rows[0].last, rows[0].records, rows[0].delivered_ns) == (1, 9, 9, 1)
        ledger.close()
    assert not (tmp_path / "ledger.damaged").exists()


def test_a_damaged_ledger_of_before_gives_the_rows_that_it_can(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger_of_before(path, *((first, first, 1, 0) for first in range(1, 1001)))
    data = bytearray(path.read_bytes())
    pages = len(data) // 4096
    data[(pages - 5) * 4096 : (pages - 4) * 4096] = b"\xff" * 4096
    path.write_bytes(data)
    ledger = Ledger(path)
    assert 0 < ledger.delivered("churn", "A") < 1000
    assert ledger.deliveries()[0].numbers == "1"
    ledger.close()
    assert (tmp_path / "ledger.damaged" / "ledger.db").exists()


def test_what_another_holds_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger(path)
    ledger._connection.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        ledger.add(ROW)
    other.execute("ROLLBACK")
    other.close()
    ledger.add(ROW)
    assert not (tmp_path / "ledger.damaged").exists()
    ledger.close()


def test_a_reader_neither_makes_nor_mends(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with pytest.raises(LedgerUnreadable):
        LedgerReader(path)
    path.write_bytes(b"junk" * 1000)
    with LedgerReader(path) as ledger, pytest.raises(LedgerUnreadable):
        ledger.totals()
    assert path.read_bytes() == b"junk" * 1000


def test_the_shipper_goes_on_when_its_ledger_is_damaged(tmp_path: Path) -> None:
    with World(tmp_path) as world:
        world.offer(exchange(0))
        world.deliver()
        world.ledger.close()
        world.spool.ledger.write_bytes(b"junk" * 1000)
        world.start_shipper()
        world.offer(exchange(1))
        world.deliver()
        assert len(world.records()) == 2
        assert world.count().delivered == 1  # the row of the first went with its ledger


def test_the_spooler_waits_with_the_dead_until_the_ledger_is_mended(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with World(tmp_path) as world:
        world.offer(exchange(0))
        world.deliver()
        world.disk.write_faults = [None, None, errno.EIO]  # the mirror takes two
        world.offer(exchange(1))  # dies in the ring
        world.turn()
        world.kill_all()
        good = world.spool.ledger.read_bytes()
        world.spool.ledger.write_bytes(b"junk" * 1000)
        world.start_ring()
        world.start_gateway()
        world.start_spooler()
        with pytest.raises(LedgerUnreadable):
            account(world.spool)
        world.offer(exchange(2))
        world.turn()
        world.turn(2)
        assert capfd.readouterr().out.count("LedgerAwaited") == 1
        world.spool.ledger.write_bytes(good)
        world.turn(2)
        world.start_shipper()
        world.deliver()
        count = world.count()
        assert (count.sampled, count.delivered, count.discrepancy) == (3, 2, 0)
        assert count.dropped == {Drop.CRASH: 1}
