"""Findings → the files of a report (contract §4.2), and back.

`findings.json` is ours: what AWS's documents do not say, and a summary in a terminal does.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from modeltap.monitor.checks import Drift, Violation, violations_document
from modeltap.monitor.distance import Dialect
from modeltap.monitor.failure import AnalysisFailed
from modeltap.monitor.findings import Findings
from modeltap.monitor.jackson import pretty
from modeltap.monitor.profile import Rejects
from modeltap.monitor.report import html
from modeltap.nouns import Document

STATISTICS = "statistics.json"
CONSTRAINTS = "constraints.json"
VIOLATIONS = "constraint_violations.json"
REPORT = "report.html"
FINDINGS = "findings.json"


def write_report(findings: Findings, folder: Path) -> None:
    """Write the documents, violations only if there are any, as AWS does; and what is ours."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = {
        STATISTICS: findings.statistics,
        CONSTRAINTS: findings.constraints,
        FINDINGS: _document(findings),
    }
    if findings.violations:
        documents[VIOLATIONS] = violations_document(findings.violations)
    else:
        (folder / VIOLATIONS).unlink(missing_ok=True)
    for name, document in documents.items():
        write_whole(folder / name, pretty(document))
    write_whole(folder / REPORT, html(findings))


def write_whole(path: Path, text: str) -> None:
    """Write beside and rename: whoever looks on while it is written finds whole files."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8")
    beside.rename(path)


# ---------------------------------------------------------------- findings.json


def _document(findings: Findings) -> Document:
    return {
        "title": findings.title,
        "window": findings.window and list(findings.window),
        "notes": list(findings.notes),
        "rejects": dict(findings.rejects.counts),
        "drifts": [asdict(each) for each in findings.drifts],
    }


def read_report(files: Mapping[str, bytes], baseline: Mapping[str, bytes]) -> Findings:
    """Read the files of a report, and of the baseline that it was held against, by their names.

    Records and the shares of matching values are in `report.html` alone. Without `findings.json`,
    as AWS's own reports are, there are neither drifts nor rejects. Raise `AnalysisFailed`.
    """
    if STATISTICS not in files:
        raise AnalysisFailed(f"The report has no {STATISTICS}: another program than ours wrote it.")
    try:
        more = json.loads(files.get(FINDINGS, b"{}"))
        return Findings(
            title=more.get("title", "Data quality"),
            statistics=json.loads(files[STATISTICS]),
            constraints=json.loads(files.get(CONSTRAINTS, b"{}")),
            rejects=Rejects(more.get("rejects", {})),
            baseline_statistics=_if_there(baseline, STATISTICS),
            baseline_constraints=_if_there(baseline, CONSTRAINTS),
            violations=violations_of(files.get(VIOLATIONS)),
            drifts=tuple(map(_drift, more.get("drifts", ()))),
            window=_window(more.get("window")),
            notes=tuple(more.get("notes", ())),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise AnalysisFailed(f"The report's documents cannot be read: {error!r}.") from error


def violations_of(data: bytes | None) -> tuple[Violation, ...]:
    """Read a `constraint_violations.json`; None: there is no such file, and no violation."""
    found = [] if data is None else json.loads(data)["violations"]
    return tuple(
        Violation(each["feature_name"], each["constraint_check_type"], each["description"])
        for each in found
    )


def _if_there(files: Mapping[str, bytes], name: str) -> Document | None:
    return json.loads(files[name]) if name in files else None


def _drift(written: Document) -> Drift:
    return Drift(**{**written, "dialect": Dialect(written["dialect"])})


def _window(written: list[str] | None) -> tuple[str, str] | None:
    return None if written is None else (written[0], written[1])
