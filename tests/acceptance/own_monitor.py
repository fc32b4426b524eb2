"""A monitor of a user's own, by nothing but the container contract; `test_own_image.py` runs it.

`own_monitor.py [--fail]`. It knows only of CSV rows, and has one rule: no value is above the
highest of the baseline.
"""

import csv
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

CONFIG = Path("/opt/ml/config")
GIVEN = os.environ
MESSAGE = Path("/opt/ml/output/message")


def main() -> int:
    if sys.argv[1:] == ["--fail"]:
        MESSAGE.write_text("the column age is gone")
        print("what it said last")
        return 3
    rows = list(read(Path(GIVEN["dataset_source"])))
    highest = max(float(value) for row in rows for value in row)
    output = Path(GIVEN["output_path"])
    statistics = {"rows": len(rows), "highest": highest, "told": told(), "dataset": {}}
    (output / "statistics.json").write_text(json.dumps(statistics))
    (output / "constraints.json").write_text(json.dumps({"highest": highest, "features": []}))
    baseline = GIVEN.get("baseline_constraints")
    if baseline and highest > json.loads(Path(baseline).read_text())["highest"]:
        found = {
            "feature_name": "any",
            "constraint_check_type": "highest",
            "description": f"{highest} is above all of the baseline",
        }
        document = {"violations": [found]}
        (output / "constraint_violations.json").write_text(json.dumps(document))
        MESSAGE.write_text("CompletedWithViolations: Job completed successfully with 1 violations.")
    else:
        MESSAGE.write_text("Completed: Job completed successfully with no violations.")
    return 0


def told() -> dict[str, object]:
    """Give what the contract tells the program."""
    config = json.loads((CONFIG / "processingjobconfig.json").read_text())
    return {
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        "hosts": json.loads((CONFIG / "resourceconfig.json").read_text())["hosts"],
        "image": config["AppSpecification"]["ImageUri"],
        "inputs": [each["InputName"] for each in config["ProcessingInputs"]],
    }


def read(folder: Path) -> Iterator[list[str]]:
    for path in folder.rglob("*.csv"):
        yield from csv.reader(path.read_text().splitlines())
    for path in folder.rglob("*.jsonl"):
        for line in path.read_text().splitlines():
            data = json.loads(line)["captureData"]["endpointInput"]["data"]
            yield from csv.reader(data.splitlines())


if __name__ == "__main__":
    sys.exit(main())
