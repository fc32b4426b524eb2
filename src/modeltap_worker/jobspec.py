"""What a launcher tells a job's shim, and what the shim tells of the end: two files.

The folder is the whole of a job:

    spec.json   `JobSpec`, written before the start
    lock        held from before the start to the end, by the shim; then it holds the shim's id
    ml/         what is `/opt/ml` to the program
    work/       its current folder, home and place for temporary files
    exit        `Exit`, written when all that the program started is gone

So whoever comes later reads the stand of a job from its folder. The lock is handed to the shim by
its launcher: there is no moment at which a started job looks as if it were not.
"""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

SPEC = "spec.json"
LOCK = "lock"
ML = "ml"
WORK = "work"
EXIT = "exit"


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One run of a program."""

    command: tuple[str, ...]
    environment: dict[str, str]  # all of it
    private: bool  # `ml/` is to be `/opt/ml` (`namespace`)
    seconds_max: float  # that the program may run
    stop_seconds_max: float  # from SIGTERM to SIGKILL
    removal: tuple[str, ...] = ()
    """For a program that stands for a container: what removes that, whether it runs or has ended;
    the program's statuses above 128 are then signals in the container."""

    def encode(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def decode(cls, text: str) -> "JobSpec":
        fields = json.loads(text)
        words = {name: tuple(fields.get(name, ())) for name in ("command", "removal")}
        return cls(**{**fields, **words})


class Cause(StrEnum):
    """Why a program has ended."""

    ITSELF = "itself"
    STOPPED = "stopped"  # SIGTERM came for it
    TIME = "time"  # it ran for `seconds_max`
    HOUSE = "house"  # the life pipe has ended
    UNSTARTED = "unstarted"  # it never began; `error` says why


@dataclass(frozen=True, slots=True)
class Exit:
    """How a program has ended."""

    status: int  # its exit code, or minus the signal that ended it
    cause: Cause
    error: str = ""

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, text: str) -> "Exit":
        """Read an exit. Raise `ValueError` if it is none."""
        try:
            fields = json.loads(text)
            return cls(int(fields["status"]), Cause(fields["cause"]), str(fields["error"]))
        except (TypeError, KeyError) as error:
            raise ValueError(f"no exit of a job: {error}") from None
