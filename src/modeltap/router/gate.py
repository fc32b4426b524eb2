"""Which instance of a variant answers, and how much each may have in hand.

Constraints: an instance has at most `OUTSTANDING_MAX` calls in flight, and beyond that a call is
refused at once, never queued. An instance that was found gone is not chosen until it answers a
ping or a new table is published. Outstanding counts outlive the table, because a drain waits for
the calls of instances that have left it.
"""

from typing import Final, final

from modeltap.errors import ServiceUnavailable
from modeltap.nouns import Instance, Variant

OUTSTANDING_MAX: Final = 256
"""Calls in flight at one instance; at 25 MiB a body the bodies bound the memory long before."""


@final
class Gate:
    """Counts what is in flight and remembers who is gone."""

    def __init__(self) -> None:
        self._outstanding: dict[str, int] = {}
        self._gone: dict[str, Instance] = {}

    @property
    def outstanding(self) -> dict[str, int]:
        """Calls in flight by instance id; an instance that is not named has none."""
        return dict(self._outstanding)

    @property
    def gone(self) -> tuple[Instance, ...]:
        return tuple(self._gone.values())

    def choose(self, variant: Variant, chance: float) -> Instance:
        """Give the least loaded instance that lives; chance decides between equals.

        Raise `ServiceUnavailable` if none lives, or if all that live have their hands full.
        """
        live = variant.instances
        if self._gone:
            live = tuple(one for one in live if one.id not in self._gone)
        if not live:
            raise ServiceUnavailable(f"No instance of variant {variant.name} answers.")
        chosen = live[0] if len(live) == 1 else self._least_loaded(live, chance)
        if self._load(chosen) >= OUTSTANDING_MAX:
            raise ServiceUnavailable(f"Every instance of variant {variant.name} is busy.")
        return chosen

    def take(self, instance: Instance) -> None:
        """Count a call that is in flight at an instance from now on."""
        self._outstanding[instance.id] = self._outstanding.get(instance.id, 0) + 1

    def give_back(self, instance: Instance) -> None:
        """Count a call that is in flight no more."""
        left = self._outstanding[instance.id] - 1
        if left:
            self._outstanding[instance.id] = left
        else:
            del self._outstanding[instance.id]

    def lose(self, instance: Instance) -> None:
        """Choose it no more, until it answers a ping or the table changes."""
        self._gone[instance.id] = instance

    def find(self, instance: Instance) -> None:
        """It answered a ping: choose it again."""
        self._gone.pop(instance.id, None)

    def reopen(self) -> None:
        """A new table came: everyone in it has a chance again."""
        self._gone.clear()

    def _load(self, instance: Instance) -> int:
        return self._outstanding.get(instance.id, 0)

    def _least_loaded(self, live: tuple[Instance, ...], chance: float) -> Instance:
        first = int(chance * len(live))
        return min(live[first:] + live[:first], key=self._load)
