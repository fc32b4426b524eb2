"""How the webhook fares, for Prometheus.

    modeltap_webhook_attempts_total{outcome}      delivered · refused
    modeltap_webhook_given_up_total               notices that were told no more
    modeltap_webhook_waiting                      notices that are not delivered yet

The counters begin anew with control, as Prometheus expects of a process.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from modeltap.control.webhook import Webhook


class WebhookFamilies(Collector):
    def __init__(self, webhook: Webhook) -> None:
        """Look at the webhook. Raise `StateUnusable`."""
        self._counts = webhook.counts.copy()
        self._waiting = webhook.outbox.waiting()

    def describe(self) -> Iterator[Metric]:
        return iter(())

    def collect(self) -> Iterator[Metric]:
        attempts = CounterMetricFamily(
            "modeltap_webhook_attempts", "Posts to the webhook", labels=("outcome",)
        )
        for outcome in ("delivered", "refused"):
            attempts.add_metric((outcome,), self._counts[outcome])
        yield attempts
        yield CounterMetricFamily(
            "modeltap_webhook_given_up",
            "Notices that the webhook never took",
            value=self._counts["given_up"],
        )
        yield GaugeMetricFamily(
            "modeltap_webhook_waiting", "Notices not delivered yet", value=self._waiting
        )
