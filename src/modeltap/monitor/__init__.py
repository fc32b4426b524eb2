"""The monitor: what captured or other data looks like, and how that differs from a baseline.

    files ─▶ rows ─▶ columns ─▶ summaries ─merge─▶ profile ─▶ statistics.json, constraints.json
                                                      └─ check against a baseline ─▶ violations

A summary is a monoid (`summary.py`): one file, one hour, one machine or many, the same code.
Everything between rows and report is pure; files are read in `captured.py` and `datasets.py`,
written in `job.py`. Rules and their sources: contract §4 and `docs/decisions/0009`.
"""

from modeltap.monitor.api import analyze, baseline

__all__ = ["analyze", "baseline"]
