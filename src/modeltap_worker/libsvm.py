"""`text/libsvm` as the XGBoost container reads it: `[label] index:value …`, absent = missing.

Labels and all else without a colon are passed over (contract §3.4). The matrix is sparse, because
one index may be as large as its sender likes. SciPy comes with every XGBoost.
"""

import numpy as np
from scipy.sparse import csr_matrix


def parse(text: str, *, from_one: bool) -> csr_matrix:
    """Read rows; `from_one` shifts indices down if the smallest is ≥ 1. Raise `ValueError`."""
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    for number, line in enumerate(text.split("\n")):
        for item in line.split():
            index, colon, value = item.partition(":")
            if colon:
                rows.append(number)
                columns.append(int(index))
                values.append(float(value))
    shift = 1 if from_one and columns and min(columns) >= 1 else 0
    return csr_matrix((np.array(values, dtype=float), (rows, np.array(columns, dtype=int) - shift)))
