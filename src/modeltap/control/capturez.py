"""`/capturez`: how capture stands, as a JSON document (`docs/metrics.md`)."""

from modeltap.capture.account import Count
from modeltap.capture.standing import Standing
from modeltap.nouns import Document


def capturez(standing: Standing, home: str, now_ns: int) -> Document:
    """Write one look at capture. Times are ages in seconds; no payload, no secret is in it."""
    return {
        "home": home,
        "state": standing.state,
        "writers": list(standing.writers),
        "disk": {"used_percent": standing.used_percent, "free_bytes": standing.free_bytes},
        "segments": standing.segments,
        "variants": [_variant(count, standing, now_ns) for count in standing.counts],
        "waiting": [
            {"destination": destination, "outcome": outcome, "reason": reason}
            for destination, (outcome, reason) in standing.puts.waiting.items()
        ],
        "puts": {outcome.value: count for outcome, count in standing.puts.outcomes.items()},
    }


def _variant(count: Count, standing: Standing, now_ns: int) -> Document:
    oldest_ns = standing.oldest_ns.get((count.endpoint, count.variant))
    return {
        "endpoint": count.endpoint,
        "variant": count.variant,
        "eligible": count.eligible,
        "sampled": count.sampled,
        "delivered": count.delivered,
        "pending": count.pending,
        "dropped": {reason.value: lost for reason, lost in count.dropped.items()},
        "discrepancy": count.discrepancy,
        "late": count.late,
        "over_its_limit": count.closed,
        "pending_bytes": count.pending_bytes,
        "oldest_pending_seconds": None if oldest_ns is None else (now_ns - oldest_ns) / 1e9,
    }
