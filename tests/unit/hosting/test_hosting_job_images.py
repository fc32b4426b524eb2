"""What a job's image URI stands for."""

import sys

import pytest

from modeltap.errors import LaunchFailed
from modeltap.hosting.commands import Commands
from modeltap.hosting.containers import Containers, Limits
from modeltap.hosting.images import KNOWN, resolve
from modeltap.hosting.job_images import KNOWN_FOR_JOBS, JobImages

IMAGES = JobImages(Commands([]), Containers("", Limits()))
REGISTRY = "683313688378.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    "uri",
    [
        "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer",
        "1.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-model-monitor-analyzer:latest",
    ],
)
def test_the_analyzer_is_our_own_program(uri: str) -> None:
    image = IMAGES.resolve(uri)
    assert image.environment is None
    assert image.entrypoint == (sys.executable, "-P", "-m", "modeltap.monitor")


@pytest.mark.parametrize(("tag", "version"), [("1.2-1", "1.2.1"), ("1.4-2", "1.4.2")])
def test_scikit_learn_is_pinned(tag: str, version: str) -> None:
    image = IMAGES.resolve(f"{REGISTRY}/sagemaker-scikit-learn:{tag}-cpu-py3")
    assert image.entrypoint == ()
    assert image.environment is not None
    assert image.environment.framework == "sklearn"
    assert image.environment.packages[0] == f"scikit-learn=={version}"
    assert all(package.count("==") == 1 for package in image.environment.packages)


def test_model_images_run_scripts_as_well() -> None:
    for name in KNOWN:
        assert IMAGES.resolve(name).environment == resolve(name)


def test_scikit_learn_hosts_no_model() -> None:
    with pytest.raises(LaunchFailed, match="does not know the image"):
        resolve("sagemaker-scikit-learn:1.2-1-cpu-py3")


def test_an_unknown_image_names_the_known() -> None:
    with pytest.raises(LaunchFailed) as failed:
        IMAGES.resolve("nginx")
    assert all(name in str(failed.value) for name in KNOWN_FOR_JOBS)
    assert len(str(failed.value)) <= 1024
