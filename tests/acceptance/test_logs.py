"""What containers print, by the CloudWatch Logs API, from a running server with real boto3."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Server
from .deployed import await_in_service, create_endpoint, create_model, invoke, until, upload
from .training import XGBOOST_0_90, trained

pytestmark = pytest.mark.acceptance

GROUP = "/aws/sagemaker/Endpoints/told"


def told(logs: Any, stream: str) -> list[tuple[int, str]]:
    events = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True)
    return [(event["timestamp"], event["message"]) for event in events["events"]]


def test_an_endpoints_log_is_there_and_outlives_control(server: Server, tmp_path: Path) -> None:
    logs = server.client("logs")
    with pytest.raises(ClientError, match=r"The specified log group does not exist\."):
        logs.describe_log_streams(logGroupName=GROUP)
    folder = trained(XGBOOST_0_90, server.home / "environments", tmp_path)
    url = upload(server, folder / "model.tar.gz", "told.tar.gz")
    create_model(server, "told", url)
    create_endpoint(server, "told", "told")
    await_in_service(server, "told")
    row = (folder / "inputs.csv").read_text().splitlines()[0]
    invoke(server.client("sagemaker-runtime"), "told", row)

    groups = logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]
    assert [each["logGroupName"] for each in groups] == [GROUP]
    (stream,) = logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    name = stream["logStreamName"]
    assert name.startswith("AllTraffic/")
    before = told(logs, name)
    assert "loading told" in [message for _, message in before]
    assert [time for time, _ in before] == sorted(time for time, _ in before)
    found = logs.filter_log_events(
        logGroupName=GROUP, logStreamNamePrefix="AllTraffic/", filterPattern='"loading told"'
    )
    assert [event["message"] for event in found["events"]] == ["loading told"]

    (control,) = server.processes("control")
    os.kill(control, signal.SIGKILL)
    assert until(lambda: server.processes("control") not in ([], [control]))
    again = server.client("logs", read_timeout=30)
    assert until(lambda: answers(again))
    assert told(again, name)[: len(before)] == before
    server.client("sagemaker").delete_endpoint(EndpointName="told")


def answers(logs: Any) -> bool:
    """Tell whether control is back: until then its calls may be refused with 503."""
    try:
        logs.describe_log_groups()
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        return False
    return True
