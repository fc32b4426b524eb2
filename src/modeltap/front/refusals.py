"""What AWS's model knows and modeltap does not do yet, refused by the name of its field.

Metadata without effect on what an endpoint answers (VPC, KMS keys, tags, roles, instance types)
are accepted and echoed. Whatever would change the answers and is not served is refused here, when
it is asked for: an endpoint that silently does something else would be worse than none.
"""

from collections.abc import Iterator

from modeltap.control.fleets import DURABILITY_TAG
from modeltap.errors import ValidationException
from modeltap.nouns import Document, Durability

MODEL_UNSERVED = ("InferenceSpecificationName", "ModelPackageName", "AdditionalModelDataSources")
CONFIG_UNSERVED = (
    "ShadowProductionVariants",
    "AsyncInferenceConfig",
    "ExplainerConfig",
    "CrossRegionTrafficConfig",
)
VARIANT_UNSERVED = ("ServerlessConfig", "InstancePools", "ManagedInstanceScaling")
VARIANT_REQUIRED = ("ModelName", "InstanceType", "InitialInstanceCount")


def check_model(params: Document) -> None:
    """Refuse a CreateModel request that is not one container with one archive."""
    containers = params.get("Containers", [])
    if ("PrimaryContainer" in params) == bool(containers):
        raise ValidationException(
            "Exactly one of PrimaryContainer and Containers must be specified."
        )
    if len(containers) > 1:
        raise _unserved("Containers with more than one member (an inference pipeline)")
    at = "PrimaryContainer" if "PrimaryContainer" in params else "Containers[1]"
    _check_container(params.get("PrimaryContainer") or containers[0], at)


def _check_container(container: Document, at: str) -> None:
    _refuse(container, MODEL_UNSERVED, f"{at}.")
    if container.get("Mode") == "MultiModel":
        raise _unserved(f"{at}.Mode MultiModel")
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    if source and (source["S3DataType"], source["CompressionType"]) != ("S3Object", "Gzip"):
        raise _unserved(f"{at}.ModelDataSource other than S3Object with Gzip")
    if "Image" not in container:
        raise _missing(f"{_lower(at)}.image")
    for key, value in container.get("Environment", {}).items():
        if "\0" in value:
            raise ValidationException(f"{at}.Environment: the value of {key} holds a NUL.")


def check_tags(tags: list[Document]) -> None:
    """Refuse a tag that would be obeyed, and says nothing that can be."""
    for tag in tags:
        if tag["Key"] == DURABILITY_TAG and tag["Value"] not in list(Durability):
            raise ValidationException(
                f"The value of the tag {DURABILITY_TAG} must be one of {', '.join(Durability)}."
            )


def check_endpoint_config(params: Document) -> None:
    """Refuse a CreateEndpointConfig request that asks for more than instances behind a variant."""
    _refuse(params, CONFIG_UNSERVED)
    names = set()
    for number, variant in enumerate(params["ProductionVariants"], start=1):
        _refuse(variant, VARIANT_UNSERVED, f"ProductionVariants[{number}].")
        for member in VARIANT_REQUIRED:
            if member not in variant:
                raise _missing(f"productionVariants.{number}.member.{_lower(member)}")
        names.add(variant["VariantName"])
    if len(names) < len(params["ProductionVariants"]):
        raise ValidationException("Each ProductionVariant must have a VariantName of its own.")


def check_deployment(params: Document) -> None:
    """Refuse a DeploymentConfig that shifts traffic in steps or watches alarms."""
    deployment = params.get("DeploymentConfig", {})
    _refuse(deployment, ("RollingUpdatePolicy",), "DeploymentConfig.")
    if deployment.get("AutoRollbackConfiguration", {}).get("Alarms"):
        raise _unserved("DeploymentConfig.AutoRollbackConfiguration")
    policy = deployment.get("BlueGreenUpdatePolicy", {})
    routing = policy.get("TrafficRoutingConfiguration", {})
    if routing.get("Type", "ALL_AT_ONCE") != "ALL_AT_ONCE":
        raise _unserved(f"DeploymentConfig traffic routing of type {routing['Type']}")


def check_capacities(params: Document) -> None:
    for number, wish in enumerate(params["DesiredWeightsAndCapacities"], start=1):
        _refuse(wish, ("ServerlessUpdateConfig",), f"DesiredWeightsAndCapacities[{number}].")


def _refuse(document: Document, members: tuple[str, ...], at: str = "") -> None:
    for member in _given(document, members):
        raise _unserved(f"{at}{member}")


def _given(document: Document, members: tuple[str, ...]) -> Iterator[str]:
    return (member for member in members if document.get(member))


def _unserved(what: str) -> ValidationException:
    return ValidationException(f"modeltap does not serve {what} yet; leave it out.")


def _missing(path: str) -> ValidationException:
    """Say it as AWS's validation does (contract §2.7)."""
    return ValidationException(
        f"1 validation error detected: Value null at '{path}' failed to satisfy constraint: "
        "Member must not be null"
    )


def _lower(member: str) -> str:
    return member[0].lower() + member[1:]
