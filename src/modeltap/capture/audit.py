"""The audit of one endpoint: its numbers must tile, and its objects must be what the ledger says.

Pure. A *piece* is a set of numbers that stand somewhere: an object, by its ledger row, or a
segment. The numbers of a slot run from 1 to what was sampled; pieces may not overlap, and what is
in none of them was dropped, or waits in the ring of a writer that lives.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from modeltap.capture.counters import SlotCount
from modeltap.capture.numbers import Numbers

Slot = tuple[str, int]  # writer, slot


@dataclass(frozen=True, slots=True)
class Piece:
    """Numbers that stand in one place."""

    slot: Slot
    first: int  # with the slot, the segment's name for ever
    place: str  # the object's URI, or the segment's name
    numbers: Numbers
    unnumbered: int = 0  # records of an old row, whose numbers are not known
    lost: int = 0  # records that the place held and that nobody can get back: counted as dropped


@dataclass(frozen=True, slots=True)
class SlotAudit:
    """What the numbers of one slot say."""

    slot: Slot
    sampled: int
    dropped: int
    missing: Numbers  # in no piece, and not in a ring
    in_ring: int  # above all that is in pieces, and the writer lives
    duplicates: Mapping[str, Numbers]  # by the later of two places
    unnumbered: int

    @property
    def unexplained(self) -> int:
        """Count the missing numbers that no counted drop explains."""
        return max(0, len(self.missing) - self.dropped - self.unnumbered)


@dataclass(frozen=True, slots=True)
class ObjectFindings:
    """What the bucket says against the ledger; URIs."""

    absent: list[str] = field(default_factory=list)  # in the ledger alone
    unknown: list[str] = field(default_factory=list)  # in the bucket alone
    changed: list[str] = field(default_factory=list)  # of another size, hash or number of lines
    repeated: list[str] = field(default_factory=list)  # event ids that stand twice

    @property
    def is_clean(self) -> bool:
        return not (self.absent or self.unknown or self.changed or self.repeated)


def audit_slots(
    counts: Mapping[Slot, SlotCount], pieces: Iterable[Piece], living: frozenset[str]
) -> list[SlotAudit]:
    """Tile the numbers of each slot; `living` are the writers whose ring is there."""
    placed: defaultdict[Slot, list[Piece]] = defaultdict(list)
    for piece in pieces:
        placed[piece.slot].append(piece)
    return [
        _audit_slot(slot, counts.get(slot), placed[slot], slot[0] in living)
        for slot in sorted(counts.keys() | placed.keys())
    ]


def _audit_slot(slot: Slot, count: SlotCount | None, pieces: list[Piece], lives: bool) -> SlotAudit:
    held, duplicates = Numbers(), dict[str, Numbers]()
    for piece in pieces:
        twice = held & piece.numbers
        if twice.spans:
            duplicates[piece.place] = twice
        held |= piece.numbers
    sampled = count.sampled if count is not None else 0
    missing = Numbers.up_to(sampled) - held
    tail = Numbers()
    if lives:
        tail = missing - Numbers.up_to(held.spans[-1][1] if held.spans else 0)
    dropped = sum(count.dropped.values()) if count is not None else 0
    return SlotAudit(
        slot,
        sampled,
        dropped + sum(piece.lost for piece in pieces),
        missing - tail,
        len(tail),
        duplicates,
        sum(piece.unnumbered for piece in pieces),
    )
