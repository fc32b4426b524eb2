"""XGBoost's dense in-place prediction by its C API: a third of what a `DMatrix` costs a row.

`Booster.inplace_predict` is the same call, but spends more on preparing its arguments than the call
itself takes; here they are prepared once. The function came with XGBoost 1.4. Only what it can do
exactly is asked of it: rows of all the model's columns, without infinities. That its digits are
those of a `DMatrix` is tried out on each model as it is loaded (`xgboost_models`).
"""

import ctypes
import json
import math

import numpy as np
import xgboost
from xgboost import core

AVAILABLE = tuple(int(part) for part in xgboost.__version__.split(".")[:2]) >= (1, 4)

_ARGUMENTS = (
    ctypes.c_void_p,  # booster
    ctypes.c_char_p,  # array interface of the rows, JSON
    ctypes.c_char_p,  # config, JSON
    ctypes.c_void_p,  # matrix of the rows and their base margins, of which there are none
    ctypes.c_void_p,  # out: shape
    ctypes.c_void_p,  # out: its length
    ctypes.c_void_p,  # out: values, which the booster owns
)


class DensePredictor:
    """One booster's prediction of float32 rows; for one thread at a time."""

    def __init__(self, booster: xgboost.Booster, iterations: int) -> None:
        """Prepare for the first `iterations` of the model; 0 means all."""
        # By item, because each gives a function of its own, with argument types of its own.
        self._call = core._LIB["XGBoosterPredictFromDense"]
        self._call.argtypes = _ARGUMENTS
        self._booster = booster
        self._proxy = _proxy()
        self._config = json.dumps(_config(iterations)).encode()
        self._shape = ctypes.POINTER(ctypes.c_uint64)()
        self._dimensions = ctypes.c_uint64()
        self._values = ctypes.POINTER(ctypes.c_float)()
        self._told = [
            ctypes.addressof(place) for place in (self._shape, self._dimensions, self._values)
        ]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Predict C-contiguous float32 rows. Raise `XGBoostError`."""
        (address, _), shape = rows.__array_interface__["data"], rows.shape
        interface = (
            b'{"data":[%d,true],"shape":[%d,%d],"strides":null,"typestr":"<f4","version":3}'
            % (address, *shape)
        )
        failed = self._call(self._booster.handle, interface, self._config, self._proxy, *self._told)
        if failed:
            raise core.XGBoostError(core._LIB.XGBGetLastError().decode(errors="replace"))
        told = self._shape[: self._dimensions.value]
        data = ctypes.string_at(self._values, math.prod(told) * ctypes.sizeof(ctypes.c_float))
        return np.frombuffer(data, dtype=np.float32).reshape(told)


def _proxy() -> ctypes.c_void_p | None:
    """Make the matrix that stands for the rows of every call; without, a call makes one of its own.

    That costs it 11 of 41 µs. It is never freed: like the model, it is kept for life.
    """
    if not hasattr(core._LIB, "XGProxyDMatrixCreate"):
        return None
    proxy = ctypes.c_void_p()
    failed = core._LIB.XGProxyDMatrixCreate(ctypes.byref(proxy))
    return None if failed else proxy


def _config(iterations: int) -> dict[str, object]:
    return {
        "type": 0,  # what the objective makes of the margin
        "training": False,
        "iteration_begin": 0,
        "iteration_end": iterations,
        "strict_shape": False,
        "missing": math.nan,
        "cache_id": 0,
    }
