"""The report of an execution: its files in the bucket, read back."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from modeltap.cli.asked import CannotRun
from modeltap.cli.calling import Api
from modeltap.cli.executions import ExecutionSummary
from modeltap.cli.running import access_key
from modeltap.errors import ObjectNotFound, ObjectStoreError
from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.findings import Findings
from modeltap.monitor.written import (
    CONSTRAINTS,
    FINDINGS,
    REPORT,
    STATISTICS,
    VIOLATIONS,
    read_report,
    violations_of,
)
from modeltap.nouns import Document
from modeltap.objects.remote import Stores
from modeltap.settings import Settings

FILES = (STATISTICS, CONSTRAINTS, VIOLATIONS, FINDINGS, REPORT)

_BASELINE = {"baseline": STATISTICS, "constraints": CONSTRAINTS}
"""Inputs of a monitoring job that are its baseline's documents."""


@dataclass(frozen=True, slots=True)
class Report:
    """The files of a report, by name; `baseline` as it is now."""

    uri: str
    files: Mapping[str, bytes]
    baseline: Mapping[str, bytes]

    @property
    def is_ours(self) -> bool:
        return STATISTICS in self.files

    @property
    def findings(self) -> Findings:
        """Give what the run found. Raise `CannotRun`."""
        try:
            return read_report(self.files, self.baseline)
        except AnalysisFailed as error:
            raise CannotRun(f"{self.uri}: {error}") from None

    @property
    def violations(self) -> list[Document]:
        try:
            return [each.document() for each in violations_of(self.files.get(VIOLATIONS))]
        except (ValueError, LookupError, TypeError) as error:
            raise CannotRun(f"{self.uri}/{VIOLATIONS} cannot be read: {error!r}") from None


def report_of(settings: Settings, api: Api, execution: ExecutionSummary) -> Report:
    """Fetch the report of an execution that has one. Raise `CannotRun`."""
    if execution.job is None:
        raise CannotRun(f"{execution.name} has no report: no processing job began")
    job = api.call("DescribeProcessingJob", ProcessingJobName=execution.job)
    uri = job["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"].rstrip("/")
    named = {each["InputName"]: each["S3Input"]["S3Uri"] for each in job["ProcessingInputs"]}
    baseline = {name: named[given] for given, name in _BASELINE.items() if given in named}
    stores = Stores(settings, access_key(settings))
    return Report(
        uri,
        asyncio.run(_read(stores, {name: f"{uri}/{name}" for name in FILES})),
        asyncio.run(_read(stores, baseline)),
    )


async def _read(stores: Stores, uris: Mapping[str, str]) -> dict[str, bytes]:
    found = await asyncio.gather(*(_get(stores, uri) for uri in uris.values()))
    return {name: data for name, data in zip(uris, found, strict=True) if data is not None}


async def _get(stores: Stores, uri: str) -> bytes | None:
    try:
        store, key = stores.at(uri)
        return await store.get(key)
    except ObjectNotFound:
        return None
    except ObjectStoreError as error:
        raise CannotRun(f"{uri} cannot be read: {error}") from None
