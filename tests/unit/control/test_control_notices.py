"""What the webhook is told, how it is signed, and when it is tried again."""

import base64
import json
from typing import Any

import pytest
from schedule_world import DEFINITION, PARTITION, START_NS

from modeltap.clock import SimulatedClock, SystemClock
from modeltap.control.notices import headers, pause, telling
from modeltap.settings import webhook_key
from modeltap.state.alerts import AlertStatus, AlertTurn
from modeltap.state.executions import Execution
from modeltap.state.outbox import Notice
from receiving import documented

HOUR = 3600 * 10**9
SCHEDULED_NS = START_NS // HOUR * HOUR


def ended(status: str, **more: Any) -> dict[str, Any] | None:
    execution = Execution(
        schedule_id="id",
        scheduled_ns=SCHEDULED_NS,
        schedule="Hourly",
        endpoint="Churn",
        definition=None,
        monitoring_type="DataQuality",
        status=status,
        spec={"Definition": more.pop("definition", DEFINITION), "StartNs": 0, "EndNs": 1},
        created_ns=START_NS,
        modified_ns=START_NS,
        **more,
    )
    notice = telling(SimulatedClock(), PARTITION).ended(execution)
    if notice is None:
        return None
    assert notice.created_ns == START_NS
    body: dict[str, Any] = json.loads(notice.body)
    assert body["id"] == notice.id
    return body


def test_violations_are_told_with_their_number_and_report() -> None:
    body = ended("CompletedWithViolations", violations=3, job="j")
    assert body is not None
    assert body == {
        "id": body["id"],
        "type": "monitoring.execution.violations",
        "timestamp": "2024-02-29T21:30:00Z",
        "data": {
            "MonitoringScheduleName": "Hourly",
            "MonitoringScheduleArn": (
                "arn:aws:sagemaker:us-east-1:123456789012:monitoring-schedule/hourly"
            ),
            "EndpointName": "Churn",
            "ScheduledTime": "2024-02-29T21:00:00Z",
            "MonitoringExecutionStatus": "CompletedWithViolations",
            "Violations": 3,
            "ReportS3Uri": "s3://bucket/reports/Churn/Hourly/2024/02/29/21",
        },
    }


def test_a_failure_is_told_with_its_reason_even_without_a_definition() -> None:
    body = ended("Failed", failure="Job inputs had no data", definition=None)
    assert body is not None
    assert body["type"] == "monitoring.execution.failed"
    assert body["data"]["FailureReason"] == "Job inputs had no data"
    assert not {"ReportS3Uri", "Violations"} & body["data"].keys()


@pytest.mark.parametrize("status", ["Completed", "Stopped"])
def test_what_is_as_it_should_be_is_not_told(status: str) -> None:
    assert ended(status) is None


def test_a_turn_of_an_alert_is_told() -> None:
    turn = AlertTurn("Hourly", AlertStatus.IN_ALERT, 2, 3, START_NS)
    notice = telling(SimulatedClock(), PARTITION).turned(turn)
    assert notice is not None
    body = json.loads(notice.body)
    assert body["type"] == "monitoring.alert.changed"
    assert body["data"]["AlertStatus"] == "InAlert"
    assert (body["data"]["DatapointsToAlert"], body["data"]["EvaluationPeriod"]) == (2, 3)


def test_the_signature_is_the_one_that_others_make() -> None:
    """The vector that the libraries of Standard Webhooks test themselves with."""
    notice = Notice("msg_p5jXN8AQM9LWM0D4loKWxJek", '{"test": 2432232314}', 0)
    key = webhook_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    told = headers(notice, key, 1_614_265_330 * 10**9)
    assert told["webhook-id"] == notice.id
    assert told["webhook-timestamp"] == "1614265330"
    assert told["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_who_follows_the_page_believes_what_is_ours_alone() -> None:
    verified, clock = documented(), SystemClock()
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    other = "whsec_" + base64.b64encode(b"o" * 32).decode()
    notice = Notice("n", "{}", 0)
    told = headers(notice, webhook_key(secret), clock.now_ns())
    assert verified(told, b"{}", secret)
    assert not verified(told, b"{ }", secret)
    assert not verified(told, b"{}", other)
    assert not verified({**told, "webhook-id": "m"}, b"{}", secret)
    old = headers(notice, webhook_key(secret), clock.now_ns() - 400 * 10**9)
    assert not verified(old, b"{}", secret)


def test_pauses_grow_and_spread_up_to_a_limit() -> None:
    assert [pause(attempts, 0.0) for attempts in (1, 2, 3)] == [2.5, 7.5, 22.5]
    assert [pause(attempts, 0.999) for attempts in (1, 2)] == pytest.approx([5, 15], rel=1e-3)
    assert 10_800 <= pause(50, 0.0) < pause(5000, 0.99) <= 21_600
