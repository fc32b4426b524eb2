"""Parts merged as they come, so that few of them are held at a time."""

from modeltap.monitor.profile import Profile, merged

FAN = 16
"""Neighbours that become one: each holds some two megabytes, if it is bounded."""


class Folding:
    """A tree of merges. Parts may come in any order; the outcome is that of theirs.

    Unless they are `whole`, what is merged is bounded again.
    """

    def __init__(self, *, whole: bool) -> None:
        self._as_kept = _as_it_is if whole else Profile.bounded
        self._waiting: dict[tuple[int, int], dict[int, Profile]] = {}

    def add(self, index: int, part: Profile, level: int = 0) -> None:
        """Take the part of a unit, each index once."""
        parent = level, index // FAN
        siblings = self._waiting.setdefault(parent, {})
        siblings[index] = part
        if len(siblings) == FAN:
            del self._waiting[parent]
            self.add(index // FAN, self._merged(siblings), level + 1)

    def whole(self) -> Profile:
        """Give all that came, merged."""
        parts = {
            index * FAN**level: part
            for (level, _), siblings in self._waiting.items()
            for index, part in siblings.items()
        }
        return self._merged(parts)

    def _merged(self, parts: dict[int, Profile]) -> Profile:
        return self._as_kept(merged([parts[index] for index in sorted(parts)]))


def _as_it_is(profile: Profile) -> Profile:
    return profile
