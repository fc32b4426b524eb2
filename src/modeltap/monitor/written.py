"""Findings → the files of a report (contract §4.2)."""

from pathlib import Path

from modeltap.monitor.checks import violations_document
from modeltap.monitor.findings import Findings
from modeltap.monitor.jackson import pretty
from modeltap.monitor.report import html

STATISTICS = "statistics.json"
CONSTRAINTS = "constraints.json"
VIOLATIONS = "constraint_violations.json"
REPORT = "report.html"


def write_report(findings: Findings, folder: Path) -> None:
    """Write the documents, violations only if there are any, as AWS does; and `report.html`."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = {STATISTICS: findings.statistics, CONSTRAINTS: findings.constraints}
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
