"""pandas, CSV: `describe` and `nunique`, as its documentation summarizes a frame."""

import pandas as pd

from benchmarks.monitor.apps.answers import asked

given = asked()
table = pd.read_csv(given.input)
described = table.describe()
distinct = table.nunique()
missing = table.isna().sum()
columns = {
    name: {"missing": int(missing[name]), "distinct": int(distinct[name])} for name in table
} | {
    name: {
        "missing": int(missing[name]),
        "mean": described.loc["mean", name],
        "std": described.loc["std", name] * (1 - 1 / described.loc["count", name]) ** 0.5,
        "min": described.loc["min", name],
        "max": described.loc["max", name],
    }
    for name in described
}
given.answer(len(table), columns)
