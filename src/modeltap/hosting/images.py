"""Which framework stands behind an image URI, at which exact version (`house.md`, decision 2).

Only repository and tag tell: account, region, registry host and digest are passed over, because
they differ between AWS's regions. The framework versions are those that the Dockerfiles of AWS's
`sagemaker-xgboost-container` install, tag by tag; NumPy and SciPy are the newest that each of them
still works with. `xgboost-cpu` is the same library without hundreds of megabytes of CUDA.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from modeltap.errors import LaunchFailed
from modeltap_worker.spec import XGBoostRules


@dataclass(frozen=True, slots=True)
class Image:
    """What an image URI stands for: exact pins."""

    name: str  # repository:tag
    framework: str  # the name by which it is imported
    version: str
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelImage(Image):
    """One that models can be hosted with, by a module of the annex."""

    algorithm: str
    rules: XGBoostRules


_NUMPY_1 = ("numpy==1.26.4", "scipy==1.11.4")

_JOINED = XGBoostRules(honours_accept=False, selectable_output=False, libsvm_from_one=False)
_JOINED_SELECTABLE = replace(_JOINED, selectable_output=True)
_LINES = replace(_JOINED_SELECTABLE, honours_accept=True)
_LINES_FROM_ONE = replace(_LINES, libsvm_from_one=True)


def _xgboost(
    version: str, rules: XGBoostRules, *beside: str, package: str = "xgboost"
) -> tuple[str, tuple[str, ...], XGBoostRules]:
    return version, (f"{package}=={version}", *(beside or _NUMPY_1)), rules


_LEGACY = _xgboost("0.72.1", _JOINED)
_XGBOOST = {
    "0.90-1": _xgboost("0.90", _JOINED),
    "0.90-2": _xgboost("0.90", _JOINED),
    "1.0-1": _xgboost("1.0.0", _JOINED_SELECTABLE),
    "1.2-1": _xgboost("1.2.0", _JOINED_SELECTABLE),
    "1.2-2": _xgboost("1.2.0", _JOINED_SELECTABLE),
    "1.3-1": _xgboost("1.3.3", _LINES),
    # 1.5 reads pkg_resources, which setuptools has dropped since.
    "1.5-1": _xgboost("1.5.2", _LINES, *_NUMPY_1, "setuptools==69.5.1"),
    "1.7-1": _xgboost("1.7.4", _LINES),
    "3.0-5": _xgboost(
        "3.0.5", _LINES_FROM_ONE, "numpy==2.1.0", "scipy==1.15.0", package="xgboost-cpu"
    ),
}
_REPOSITORIES: Mapping[str, Mapping[str, tuple[str, tuple[str, ...], XGBoostRules]]] = {
    "sagemaker-xgboost": _XGBOOST,
    "xgboost": {"1": _LEGACY, "latest": _LEGACY, **_XGBOOST},
}

KNOWN: tuple[str, ...] = tuple(
    f"{repository}:{tag}" for repository, tags in _REPOSITORIES.items() for tag in tags
)
"""Every image that can be hosted, as `repository:tag`."""


def resolve(uri: str) -> ModelImage:
    """Look the image URI of a model up. Raise `LaunchFailed`, naming the known images."""
    repository, tag = repository_and_tag(uri)
    found = _REPOSITORIES.get(repository, {}).get(tag)
    if found is None:
        raise LaunchFailed(
            f"modeltap does not know the image {uri}. It hosts: {', '.join(KNOWN)} "
            "(any account and region). Create the model with one of these."
        )
    version, packages, rules = found
    name = f"{repository}:{tag}"
    return ModelImage(name, "xgboost", version, packages, "xgboost_algorithm", rules)


def repository_and_tag(uri: str) -> tuple[str, str]:
    """Read what tells of an image URI; the tag without the suffix that AWS's image names share."""
    repository, _, tag = uri.partition("@")[0].rpartition("/")[2].partition(":")
    return repository, tag.removesuffix("-cpu-py3") or "latest"
