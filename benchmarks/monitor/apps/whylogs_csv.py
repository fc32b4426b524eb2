"""whylogs, CSV: a profile of a pandas frame (KLL, HyperLogLog, frequent strings; mergeable)."""

from typing import Any

import pandas as pd
import whylogs

from benchmarks.monitor.apps.answers import PERCENTILES, asked

SHARES = [each / 100 for each in PERCENTILES]


def _number(column: Any) -> dict[str, Any]:
    numbers = column.get_metric("distribution")
    size = numbers.n
    return {
        "mean": numbers.avg,
        "std": numbers.stddev * (1 - 1 / size) ** 0.5,
        "min": numbers.min,
        "max": numbers.max,
        "quantiles": numbers.kll.value.get_quantiles(SHARES),
    }


given = asked()
table = pd.read_csv(given.input)
view = whylogs.log(pandas=table).view()
columns = {}
for name in given.columns:
    column = view.get_column(name)
    counts, distinct = column.get_metric("counts"), column.get_metric("cardinality")
    columns[name] = {"missing": counts.null.value, "distinct": distinct.estimate}
    if name in given.numbers:
        columns[name] |= _number(column)
given.answer(column.get_metric("counts").n.value, columns)
