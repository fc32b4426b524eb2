"""What a job's image URI stands for: where its program is found, and what runs (decision 0013).

Three kinds are told by repository and tag as with models (`images`): the built-in analyzer, which
is a program of our own installation; scikit-learn's images; and the model images, which run scripts
as well. The framework images have no entrypoint of their own: the request's `ContainerEntrypoint`
says what runs (`SKLearnProcessor`: `python3 /opt/ml/processing/input/code/x.py`). Two kinds are a
user's own: a program of this machine (`commands`), and any other image, in a container
(`containers`).

scikit-learn's versions are those of AWS's `sagemaker-scikit-learn-container`, tag by tag; NumPy,
SciPy and pandas are the newest that each of them still works with.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import modeltap
from modeltap import tuning
from modeltap.errors import LaunchFailed
from modeltap.hosting.commands import COMMAND, SCHEME, Commands
from modeltap.hosting.containers import Containers, Engine
from modeltap.hosting.images import KNOWN, Image, repository_and_tag, resolve

ANALYZER = "sagemaker-model-monitor-analyzer"
SKLEARN = "sagemaker-scikit-learn"

_BESIDE = ("numpy==1.26.4", "scipy==1.11.4", "pandas==2.2.3")
_SKLEARN: Mapping[str, str] = {"1.2-1": "1.2.1", "1.4-2": "1.4.2"}
_GONE = {"0.20.0": "0.20.0", "0.23-1": "0.23.2"}
"""Tags whose scikit-learn was never built for a Python that modeltap runs on."""

KNOWN_FOR_JOBS: tuple[str, ...] = (ANALYZER, *(f"{SKLEARN}:{tag}" for tag in _SKLEARN), *KNOWN)
"""Every image that jobs can name, as `repository` or `repository:tag`."""


@dataclass(frozen=True, slots=True)
class JobImage:
    """An image as a job's. At most one of `environment`, `program` and `engine` is given.

    Without one it is the built-in analyzer: our own Python, with modeltap in reach.
    """

    environment: Image | None = None
    program: Path | None = None  # of this machine
    engine: Engine | None = None  # in whose container it runs
    entrypoint: tuple[str, ...] = ()  # what runs, whether the request or the image says so

    @property
    def is_built_in(self) -> bool:
        return not (self.environment or self.program or self.engine)

    def variables(self) -> dict[str, str]:
        """Give the variables that the image itself sets."""
        if not self.is_built_in:
            return {}
        return {"PYTHONPATH": str(Path(modeltap.__file__).parents[1]), **tuning.variables()}


class JobImages:
    """Looks images up."""

    def __init__(self, commands: Commands, containers: Containers) -> None:
        self._commands = commands
        self._containers = containers

    def resolve(self, uri: str, entrypoint: Sequence[str] = ()) -> JobImage:
        """Tell what runs for an image URI and a `ContainerEntrypoint`. It may ask the engine.

        Raise `LaunchFailed`; for an unknown image it names the known ones, and both other ways.
        """
        if uri.startswith(SCHEME):
            program = self._commands.program(uri)
            if entrypoint:  # it runs instead of the program, by the same rule
                program = self._commands.checked(entrypoint[0])
            return JobImage(program=program, entrypoint=(str(program), *entrypoint[1:]))
        image = _known(uri) or JobImage(engine=self._engine(uri))
        return replace(image, entrypoint=tuple(entrypoint) or image.entrypoint)

    def _engine(self, uri: str) -> Engine:
        try:
            return self._containers.engine(uri)
        except LaunchFailed as error:
            raise LaunchFailed(
                f"modeltap does not know the image {uri}, and cannot run it in a container: {error}"
                f" A program of this machine is {COMMAND}/path/of/program. The images that "
                f"modeltap's jobs run without a container: {', '.join(KNOWN_FOR_JOBS)} (any "
                "account and region)."
            ) from error


def _known(uri: str) -> JobImage | None:
    repository, tag = repository_and_tag(uri)
    if repository == ANALYZER:
        return JobImage(entrypoint=(sys.executable, "-P", "-m", "modeltap.monitor"))
    name = f"{repository}:{tag}"
    if repository == SKLEARN and tag in _GONE:
        raise LaunchFailed(
            f"The image {uri} is scikit-learn {_GONE[tag]}, of which there is no wheel for Python "
            f"{sys.version_info[0]}.{sys.version_info[1]}, on which modeltap runs its jobs. Take "
            f"{' or '.join(f'{SKLEARN}:{each}-cpu-py3' for each in _SKLEARN)}."
        )
    if repository == SKLEARN and tag in _SKLEARN:
        version = _SKLEARN[tag]
        pins = (f"scikit-learn=={version}", *_BESIDE)
        return JobImage(Image(name, "sklearn", version, pins))
    return JobImage(resolve(uri)) if name in KNOWN else None
