"""`text/libsvm` as the XGBoost container reads it: `[label] index:value …`, absent = missing.

Labels and all else without a colon are passed over (contract §3.4). The matrix is sparse, because
one index may be as large as its sender likes. SciPy comes with every XGBoost.
"""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix

DENSE_CELLS_MAX = 1 << 20
"""Most cells of a dense matrix: one of few values in many columns is better kept sparse."""


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


def together(
    bodies: Sequence[bytes], columns: int, *, from_one: bool
) -> tuple[np.ndarray, list[int]]:
    """Read all usual bodies, of at most that many columns, into one dense matrix.

    Give the matrix, float32, NaN where a value is missing, and how many of its rows are each
    body's, in order: none of a body that is not usual, which `parse` must read.
    """
    found = [_dense(body, columns, from_one) for body in bodies]
    return np.concatenate(found), [len(rows) for rows in found]


def _dense(body: bytes, columns: int, from_one: bool) -> np.ndarray:
    unusual: np.ndarray = np.empty((0, columns), dtype=np.float32)
    try:
        sparse = parse(body.strip().decode(), from_one=from_one)
    except (ValueError, OverflowError):
        return unusual
    count, width = sparse.shape
    if width > columns or count * columns > DENSE_CELLS_MAX:
        return unusual
    rows = np.full((count, columns), np.nan, dtype=np.float32)
    with np.errstate(over="ignore"):  # too large for float32: infinite, and so not usual
        rows[np.repeat(np.arange(count), np.diff(sparse.indptr)), sparse.indices] = sparse.data
    return unusual if np.isinf(rows).any() else rows
