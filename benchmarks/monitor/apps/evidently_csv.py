"""evidently, CSV: its summary of all columns, without its page."""

from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataSummaryPreset

from benchmarks.monitor.apps.answers import asked

NAMES = {"MinValue": "min", "MaxValue": "max", "MeanValue": "mean", "StdValue": "std"}

given = asked()
table = pd.read_csv(given.input)
definition = DataDefinition(numerical_columns=given.numbers, categorical_columns=given.strings)
dataset = Dataset.from_pandas(table, data_definition=definition)
found = Report([DataSummaryPreset()]).run(dataset).dict()
rows = 0
columns: dict[str, dict[str, Any]] = {name: {} for name in given.columns}
for metric in found["metrics"]:
    kind, value = metric["config"]["type"].rpartition(":")[2], metric["value"]
    column = columns.get(metric["config"].get("column", ""), {})
    if kind == "RowCount":
        rows = value
    elif kind == "MissingValueCount":
        column["missing"] = value["count"]
    elif kind in NAMES:
        column[NAMES[kind]] = value
for column in columns.values():
    if "std" in column:
        count = rows - column["missing"]
        column["std"] *= (1 - 1 / count) ** 0.5
given.answer(rows, columns)
