"""Image URIs are read by repository and tag alone."""

import pytest

from modeltap.errors import LaunchFailed
from modeltap.hosting.images import KNOWN, resolve

REGISTRY = "683313688378.dkr.ecr.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    ("uri", "name", "pin"),
    [
        (f"{REGISTRY}/sagemaker-xgboost:0.90-1-cpu-py3", "sagemaker-xgboost:0.90-1", "0.90"),
        (f"{REGISTRY}/sagemaker-xgboost:1.0-1-cpu-py3", "sagemaker-xgboost:1.0-1", "1.0.0"),
        ("1.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.7-1", None, "1.7.4"),
        (f"{REGISTRY}/sagemaker-xgboost:1.5-1@sha256:{'0' * 64}", None, "1.5.2"),
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/xgboost:1", "xgboost:1", "0.72.1"),
        ("811284229777.dkr.ecr.us-east-1.amazonaws.com/xgboost", "xgboost:latest", "0.72.1"),
        ("localhost:5000/xgboost:0.90-1", "xgboost:0.90-1", "0.90"),
        ("xgboost:0.90-1-cpu-py3", "xgboost:0.90-1", "0.90"),
    ],
)
def test_account_region_registry_and_digest_are_passed_over(
    uri: str, name: str | None, pin: str
) -> None:
    image = resolve(uri)
    assert image.packages[0] == f"xgboost=={pin}"
    assert image.version == pin
    assert name in (None, image.name)


def test_the_newest_comes_without_cuda() -> None:
    assert resolve("sagemaker-xgboost:3.0-5").packages[0] == "xgboost-cpu==3.0.5"


def test_every_pin_is_exact() -> None:
    for name in KNOWN:
        assert all(package.count("==") == 1 for package in resolve(name).packages)


@pytest.mark.parametrize(
    "uri", ["", "nginx", "sagemaker-xgboost", "sagemaker-xgboost:9.9-9", f"{REGISTRY}/other:1"]
)
def test_an_unknown_image_names_the_known(uri: str) -> None:
    with pytest.raises(LaunchFailed, match=r"does not know the image") as failed:
        resolve(uri)
    assert all(name in str(failed.value) for name in KNOWN)
    assert len(str(failed.value)) <= 1024
