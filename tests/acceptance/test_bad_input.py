"""What a user can get wrong: each a clear error in AWS's code, and nothing lost."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Server
from .deployed import (
    BUCKET,
    ROLE,
    await_in_service,
    await_records,
    capture,
    create_endpoint,
    create_model,
    invoke,
    until,
    upload,
    variant,
)
from .training import XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance
ARN = "arn:aws:sagemaker:us-east-1:000000000000"


@pytest.fixture(scope="module")
def row(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Deploy a good endpoint `good`; give a row that it takes."""
    folder = trained(XGBOOST_0_90, server.home / "environments", tmp_path_factory.mktemp("bad"))
    create_model(server, "good", upload(server, folder / "model.tar.gz", "good.tar.gz"))
    create_endpoint(server, "good", "good", capture())
    await_in_service(server, "good")
    return (folder / "inputs.csv").read_text().splitlines(keepends=True)[0]


def refused(call: Any, **arguments: Any) -> tuple[str, str]:
    """Make a call that must fail; give its code and message."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def failure(server: Server, name: str) -> str:
    """Wait until an endpoint has failed; give its reason."""
    sagemaker = server.client("sagemaker")

    def failed() -> bool:
        status: str = sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]
        return status == "Failed"

    assert until(failed, 120)
    reason: str = sagemaker.describe_endpoint(EndpointName=name)["FailureReason"]
    return reason


def test_unknown_references(server: Server) -> None:
    sagemaker = server.client("sagemaker")
    assert refused(
        sagemaker.create_endpoint_config, EndpointConfigName="x", ProductionVariants=[variant("no")]
    ) == ("ValidationException", f'Could not find model "{ARN}:model/no".')
    assert refused(sagemaker.create_endpoint, EndpointName="x", EndpointConfigName="no") == (
        "ValidationException",
        f'Could not find endpoint configuration "{ARN}:endpoint-config/no".',
    )
    assert refused(sagemaker.describe_endpoint, EndpointName="no") == (
        "ValidationException",
        f'Could not find endpoint "{ARN}:endpoint/no".',
    )


def test_duplicate_names(server: Server, row: str) -> None:
    sagemaker = server.client("sagemaker")
    container = {"Image": XGBOOST_0_90, "ModelDataUrl": f"s3://{BUCKET}/good.tar.gz"}
    assert refused(
        sagemaker.create_model,
        ModelName="good",
        ExecutionRoleArn=ROLE,
        PrimaryContainer=container,
    ) == ("ValidationException", f'Cannot create already existing model "{ARN}:model/good".')
    assert refused(
        sagemaker.create_endpoint_config,
        EndpointConfigName="good",
        ProductionVariants=[variant("good")],
    ) == (
        "ValidationException",
        f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/good".',
    )
    assert refused(sagemaker.create_endpoint, EndpointName="GOOD", EndpointConfigName="good") == (
        "ValidationException",
        f'Cannot create already existing endpoint "{ARN}:endpoint/good".',
    )


def test_deleting_twice(server: Server, row: str) -> None:
    sagemaker = server.client("sagemaker")
    create_model(server, "twice", f"s3://{BUCKET}/good.tar.gz")
    sagemaker.delete_model(ModelName="twice")
    assert refused(sagemaker.delete_model, ModelName="twice") == (
        "ValidationException",
        f'Could not find model "{ARN}:model/twice".',
    )
    assert refused(sagemaker.delete_endpoint, EndpointName="twice") == (
        "ValidationException",
        f'Could not find endpoint "{ARN}:endpoint/twice".',
    )


def test_missing_model_data(server: Server, row: str) -> None:
    code, message = refused(
        server.client("sagemaker").create_model,
        ModelName="missing",
        ExecutionRoleArn=ROLE,
        PrimaryContainer={"Image": XGBOOST_0_90, "ModelDataUrl": f"s3://{BUCKET}/no.tar.gz"},
    )
    assert (code, message) == (
        "ValidationException",
        f"Could not find model data at s3://{BUCKET}/no.tar.gz.",
    )


def test_model_data_that_is_no_tar(server: Server, row: str, tmp_path: Path) -> None:
    (tmp_path / "corrupt").write_bytes(b"this is no tar")
    create_model(server, "corrupt", upload(server, tmp_path / "corrupt", "corrupt.tar.gz"))
    create_endpoint(server, "corrupt", "corrupt")
    reason = failure(server, "corrupt")
    assert f"s3://{BUCKET}/corrupt.tar.gz" in reason
    assert "gzip" in reason


def test_a_model_that_does_not_load(server: Server, row: str, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("xgboost-model")
        member.size = 8
        archive.addfile(member, io.BytesIO(b"no model"))
    create_model(server, "unloadable", upload(server, tmp_path / "m.tar.gz", "unloadable.tar.gz"))
    create_endpoint(server, "unloadable", "unloadable")
    reason = failure(server, "unloadable")
    assert reason.startswith(
        "The primary container for production variant AllTraffic did not pass "
        "the ping health check."
    )
    assert "modeltap logs unloadable" in reason
    assert "xgboost-model" in server.command("logs", "unloadable")


def test_an_unknown_image(server: Server, row: str) -> None:
    image = "111122223333.dkr.ecr.us-east-1.amazonaws.com/my-own:1"
    create_model(server, "unknown-image", f"s3://{BUCKET}/good.tar.gz", image)
    create_endpoint(server, "unknown-image", "unknown-image")
    reason = failure(server, "unknown-image")
    assert "my-own:1" in reason
    assert "sagemaker-xgboost" in reason


def test_only_delete_is_allowed_after_a_failure(server: Server, row: str) -> None:
    create_model(server, "fails", f"s3://{BUCKET}/good.tar.gz", "nobody/knows:1")
    create_endpoint(server, "fails", "fails")
    failure(server, "fails")
    sagemaker = server.client("sagemaker")
    code, _ = refused(sagemaker.update_endpoint, EndpointName="fails", EndpointConfigName="good")
    assert code == "ValidationException"
    sagemaker.delete_endpoint(EndpointName="fails")
    waiter = sagemaker.get_waiter("endpoint_deleted")
    waiter.wait(EndpointName="fails", WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def test_invoking_while_creating(server: Server, row: str) -> None:
    create_endpoint(server, "young", "good")
    runtime = server.client("sagemaker-runtime")
    status = server.client("sagemaker").describe_endpoint(EndpointName="young")["EndpointStatus"]
    try:
        invoke(runtime, "young", row)
    except ClientError as error:
        found = error.response["Error"]
        assert (found["Code"], found["Message"]) == (
            "ValidationError",
            "Endpoint young of account 000000000000 not found.",
        )
    else:
        assert status == "InService"  # it was faster than the test
    await_in_service(server, "young")
    assert float(invoke(runtime, "young", row))


def test_a_wrong_number_of_columns(server: Server, row: str) -> None:
    runtime = server.client("sagemaker-runtime")
    with pytest.raises(ClientError) as caught:
        invoke(runtime, "good", "1," * 70 + "1")
    response = caught.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 400
    assert "Feature size of csv inference data 71" in response["OriginalMessage"]
    assert response["LogStreamArn"].endswith(":log-group:/aws/sagemaker/Endpoints/good")
    assert "Received client error (400) from primary with message" in response["Error"]["Message"]


def test_a_body_over_the_limit(server: Server, row: str) -> None:
    runtime = server.client("sagemaker-runtime")
    with pytest.raises(ClientError) as caught:
        invoke(runtime, "good", "1" * (25 * 1024 * 1024 + 1))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert float(invoke(runtime, "good", row))


def test_an_operation_that_is_not_served(server: Server) -> None:
    code, message = refused(server.client("sagemaker").list_training_jobs)
    assert code == "UnknownOperationException"
    assert "ListTrainingJobs" in message
    assert "CreateEndpoint" in message


def test_a_wrong_secret(server: Server) -> None:
    sagemaker = server.client("sagemaker")
    sagemaker._request_signer._credentials.secret_key = "wrong"
    code, _ = refused(sagemaker.list_models)
    assert code == "InvalidSignatureException"


def test_an_unreachable_destination(server: Server, row: str) -> None:
    """Inference goes on, and the records wait until the bucket is there."""
    create_endpoint(server, "waiting", "good", capture(bucket="made-later"))
    await_in_service(server, "waiting")
    runtime = server.client("sagemaker-runtime")
    answers = {invoke(runtime, "waiting", row) for _ in range(20)}
    assert len(answers) == 1
    create_endpoint(server, "waiting-mate", "good", capture())
    await_in_service(server, "waiting-mate")
    invoke(runtime, "waiting-mate", row)
    assert await_records(server, "waiting-mate", 1)  # one dead bucket stops no other
    server.client("s3").create_bucket(Bucket="made-later")
    assert len(await_records(server, "waiting", 20, "made-later")) == 20


def test_an_error_of_the_model_is_not_captured(server: Server, row: str) -> None:
    """Only what the model answered with success is captured (contract §1.9)."""
    create_endpoint(server, "erring", "good", capture())
    await_in_service(server, "erring")
    runtime = server.client("sagemaker-runtime")
    with pytest.raises(ClientError, match="Feature size"):
        invoke(runtime, "erring", "1," * 70 + "1")
    invoke(runtime, "erring", row)  # sent later, so the failed call would be delivered by then
    (record,) = await_records(server, "erring", 1)
    assert record["captureData"]["endpointInput"]["data"] == row
    counted = server.command("capture", "ls", "erring").splitlines()[-1]
    assert "sampled=1 delivered=1 pending=0 dropped=0" in counted
