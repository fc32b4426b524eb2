"""pandas, captured records: orjson reads the lines, `read_csv` the rows, all columns exact."""

from collections.abc import Iterator
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pandas as pd

from benchmarks.monitor.apps.answers import COUNTED_MAX, Asked, asked, bounds, ranks


def _rows(path: Path) -> Iterator[str]:
    with path.open("rb") as lines:
        for line in lines:
            data = orjson.loads(line)["captureData"]
            yield f"{data['endpointOutput']['data'].rstrip()},{data['endpointInput']['data']}"


def _table(given: Asked) -> Any:
    text = "\n".join(row for path in given.files for row in _rows(path))
    kinds = dict.fromkeys(given.numbers, "float64") | dict.fromkeys(given.strings, "str")
    return pd.read_csv(
        StringIO(text),
        names=list(given.columns),
        dtype=kinds,
        keep_default_na=False,
        na_values=[""],
    )


def _number(column: Any) -> dict[str, Any]:
    values = column.dropna().sort_values(ignore_index=True)
    low, high = values.iloc[0], values.iloc[-1]
    cuts = [0, *values.searchsorted(bounds(low, high)).tolist(), len(values)]
    return {
        "missing": int(column.isna().sum()),
        "mean": float(values.mean()),
        "std": float(values.std(ddof=0)),
        "min": float(low),
        "max": float(high),
        "buckets": [end - begin for begin, end in pairwise(cuts)],
        "quantiles": values.take(ranks(len(values))).tolist(),
    }


def _string(column: Any) -> dict[str, Any]:
    distinct = column.nunique()
    found = {"missing": int(column.isna().sum()), "distinct": distinct}
    if distinct <= COUNTED_MAX:
        found["counts"] = column.value_counts().to_dict()
    return found


given = asked()
table = _table(given)
given.answer(
    len(table),
    {name: _number(table[name]) for name in given.numbers}
    | {name: _string(table[name]) for name in given.strings},
)
