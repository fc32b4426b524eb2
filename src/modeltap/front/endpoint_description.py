"""What DescribeEndpoint says, status by status (contract §1.4, §2.6). Pure.

While an endpoint is created nothing runs yet, so there are no variants; while it is updated the
old fleet is told of, with the weights and counts of the new one as the desired ones.
"""

from modeltap.clock import utc
from modeltap.control.endpoints import Endpoint
from modeltap.control.fleets import Fleet, Share, model_spec
from modeltap.nouns import Document


def describe_endpoint(endpoint: Endpoint, *, capturing: bool) -> Document:
    """Give the members beside names, ARN and times; `capturing`: nothing makes capture stop."""
    fleet = endpoint.serving
    asked = fleet or endpoint.next
    answer: Document = {"EndpointStatus": endpoint.status.value}
    if asked is not None:
        answer["EndpointConfigName"] = asked.config_name
    if endpoint.failure is not None:
        answer["FailureReason"] = endpoint.failure
    return answer if fleet is None else {**answer, **_running(fleet, endpoint.next, capturing)}


def _running(fleet: Fleet, coming: Fleet | None, capturing: bool) -> Document:
    shares = fleet.shares if coming is None else coming.shares
    answer: Document = {
        "ProductionVariants": [
            _variant(fleet, name, share, shares.get(name, share))
            for name, share in fleet.shares.items()
        ]
    }
    if capture := fleet.config.get("DataCaptureConfig"):
        answer["DataCaptureConfig"] = _capture_summary(capture, capturing)
    if fleet.deployment is not None:
        answer["LastDeploymentConfig"] = fleet.deployment
    return answer


def _variant(fleet: Fleet, name: str, current: Share, desired: Share) -> Document:
    """Tell of one variant. An image is resolved by its name: there is no digest to tell."""
    image = model_spec(fleet, name).image
    return {
        "VariantName": name,
        "DeployedImages": [
            {
                "SpecifiedImage": image,
                "ResolvedImage": image,
                "ResolutionTime": utc(fleet.created_ns),
            }
        ],
        "CurrentWeight": current.weight,
        "DesiredWeight": desired.weight,
        "CurrentInstanceCount": current.count,
        "DesiredInstanceCount": desired.count,
    }


def _capture_summary(config: Document, capturing: bool) -> Document:
    """Sum a `DataCaptureConfig` up; without a key there is no `KmsKeyId`, as on AWS (§1.4)."""
    enabled = config.get("EnableCapture", True)
    summary = {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled and capturing else "Stopped",
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId"),
    }
    return {name: value for name, value in summary.items() if value is not None}
