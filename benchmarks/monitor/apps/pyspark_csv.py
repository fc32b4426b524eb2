"""PySpark, CSV: one query of moments, distinct counts and percentiles, on two local cores."""

import os

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

from benchmarks.monitor.apps.answers import PERCENTILES, asked

given = asked()
cores = len(os.sched_getaffinity(0))
session = SparkSession.builder.master(f"local[{cores}]").config("spark.ui.enabled", "false")
spark = session.config("spark.driver.memory", "4g").getOrCreate()
types = {"Integral": "bigint", "Fractional": "double", "String": "string"}
schema = ", ".join(f"{name} {types[kind]}" for name, kind in given.columns.items())
table = spark.read.csv(str(given.input), header=True, schema=schema)
parts = (f.count, f.mean, f.stddev_pop, f.min, f.max)
shares = [each / 100 for each in PERCENTILES]
found = table.agg(
    f.count("*"),
    *[part(name) for name in given.numbers for part in parts],
    *[f.percentile_approx(name, shares, 1000) for name in given.numbers],
    *[part(name) for name in given.strings for part in (f.count, f.approx_count_distinct)],
).first()
spark.stop()
assert found is not None
rows, *rest = found
moments, rest = rest[: 5 * len(given.numbers)], rest[5 * len(given.numbers) :]
quantiles, strings = rest[: len(given.numbers)], rest[len(given.numbers) :]
columns = {}
for at, name in enumerate(given.numbers):
    count, mean, std, low, high = moments[5 * at : 5 * at + 5]
    columns[name] = {"missing": rows - count, "mean": mean, "std": std, "min": low, "max": high}
    columns[name]["quantiles"] = quantiles[at]
for at, name in enumerate(given.strings):
    count, distinct = strings[2 * at : 2 * at + 2]
    columns[name] = {"missing": rows - count, "distinct": distinct}
given.answer(rows, columns)
