"""What a job's image URI stands for: an environment, and the program that is its entrypoint.

Three kinds, told by repository and tag as with models (`images`): the built-in analyzer, which is a
program of our own installation; scikit-learn's images; and the model images, which run scripts as
well. The framework images have no entrypoint of their own: the request's `ContainerEntrypoint` says
what runs (`SKLearnProcessor`: `python3 /opt/ml/processing/input/code/x.py`).

scikit-learn's versions are those of AWS's `sagemaker-scikit-learn-container`, tag by tag; NumPy,
SciPy and pandas are the newest that each of them still works with.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import modeltap
from modeltap.errors import LaunchFailed
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
    """An image as a job's: where its program is found, and what runs if the request does not say.

    Without an environment it is our own Python that runs, with modeltap in reach.
    """

    environment: Image | None
    entrypoint: tuple[str, ...] = ()

    def variables(self) -> dict[str, str]:
        """Give the variables that the image itself sets."""
        if self.environment is not None:
            return {}
        return {"PYTHONPATH": str(Path(modeltap.__file__).parents[1])}


def resolve_for_job(uri: str) -> JobImage:
    """Look the image URI of a job up. Raise `LaunchFailed`, naming the known images."""
    repository, tag = repository_and_tag(uri)
    if repository == ANALYZER:
        return JobImage(None, (sys.executable, "-P", "-m", "modeltap.monitor"))
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
    if name in KNOWN:
        return JobImage(resolve(uri))
    raise LaunchFailed(
        f"modeltap does not know the image {uri}. Its jobs run: {', '.join(KNOWN_FOR_JOBS)} "
        "(any account and region). Create the job with one of these."
    )
