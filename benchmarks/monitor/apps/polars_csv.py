"""Polars, CSV: `describe`, and `n_unique` of each column."""

import polars as pl

from benchmarks.monitor.apps.answers import asked

given = asked()
table = pl.read_csv(given.input)
described = {row.pop("statistic"): row for row in table.describe().to_dicts()}
distinct = table.select(pl.all().drop_nulls().n_unique()).row(0, named=True)
count = {name: float(described["count"][name]) for name in table.columns}
columns = {
    name: {"missing": len(table) - int(count[name]), "distinct": distinct[name]}
    for name in table.columns
} | {
    name: {
        "missing": len(table) - int(count[name]),
        "mean": described["mean"][name],
        "std": described["std"][name] * (1 - 1 / count[name]) ** 0.5,
        "min": described["min"][name],
        "max": described["max"][name],
    }
    for name in given.numbers
}
given.answer(len(table), columns)
