"""DuckDB, CSV: `SUMMARIZE`, which gives approximate counts of distinct values and quartiles."""

import duckdb

from benchmarks.monitor.apps.answers import asked

given = asked()
source = f"read_csv('{given.input}')"
found = duckdb.sql(f"summarize from {source}").fetchall()
names = ("name", "type", "min", "max", "distinct", "mean", "std", "q25", "q50", "q75", "n", "null")
columns = {}
for row in found:
    each = dict(zip(names, row, strict=True))
    present = each["n"] * (1 - float(each["null"]) / 100)
    columns[each["name"]] = {"distinct": each["distinct"]}
    if each["name"] in given.numbers:
        columns[each["name"]] = {
            "mean": float(each["mean"]),
            "std": float(each["std"]) * (1 - 1 / present) ** 0.5,
            "min": float(each["min"]),
            "max": float(each["max"]),
        }
given.answer(found[0][names.index("n")], columns)
