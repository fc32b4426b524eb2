"""The port through which control has models run, and the values that cross it.

A launcher owns its guests: it alone starts and ends them. Guests outlive control: a new control
`adopt`s what runs. So nothing here depends on being a guest's parent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modeltap.errors import LaunchFailed
from modeltap.hosting.images import ModelImage
from modeltap.nouns import Instance


@dataclass(frozen=True, slots=True)
class LaunchOrder:
    """One instance to be made.

    `id` is fresh, and short enough for a folder name: letters, digits, `-`. `fleet` is the caller's
    own mark, given back at adoption. `artifact` is a local `model.tar.gz`, which is unpacked into
    the instance's own folder and left where it is; None if the model has no data.
    """

    id: str
    endpoint: str
    variant: str
    fleet: str
    image: ModelImage
    python: Path  # of the image's environment
    artifact: Path | None
    environment: Mapping[str, str]  # the model's own variables
    log: Path  # its standard output and error are appended here
    startup_seconds_max: float


@dataclass(frozen=True, slots=True)
class Adopted:
    """An instance that was found running, and whose it is."""

    instance: Instance
    endpoint: str
    variant: str
    fleet: str


class Unhealthy(LaunchFailed):
    """An instance did not come to answer a ping. The text is an endpoint's; `why` is one line."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


class Launcher(Protocol):
    """A port: local processes today; containers and a cluster keep the same promises."""

    async def launch(self, order: LaunchOrder) -> Instance:
        """Give an instance that answered its first ping. Raise `LaunchFailed`; nothing is left."""
        ...

    async def probe(self, instance: str, seconds_max: float) -> bool:
        """Tell whether an instance answers a ping in that time, with its model loaded.

        One that is in the middle of predictions answers after them.
        """
        ...

    def alive(self, instance: str) -> bool:
        """Tell whether an instance's process lives; cheap enough for every turn of a loop."""
        ...

    async def adopt(self) -> list[Adopted]:
        """Give every instance that serves, or may be busy; end and clear away all others."""
        ...

    async def stop(self, instance: str) -> None:
        """Ask an instance to finish, end it if it does not, and clear it away. Idempotent."""
        ...
