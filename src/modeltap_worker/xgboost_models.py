"""The model files of the XGBoost container, loaded and ready to predict.

Every non-dot file of the model's folder is a model, first as a pickle, else in XGBoost's own
format; several are an ensemble (contract §3.4). Both readings run the file's author's code, or
trust its numbers: this is why a model has a process of its own.

A member predicts a `DMatrix`, the container's own way; or dense rows of all its columns, of many
calls at once. The second way is taken only if, on rows drawn as the model is loaded, all together
came out to the bit as each alone did in the first: in place where XGBoost can, else by one
`DMatrix`; failing both, the ensemble does not batch.
"""

import collections
import itertools
import json
import pickle
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from xgboost.core import XGBoostError

from modeltap_worker import xgboost_dense
from modeltap_worker.outputs import Values
from modeltap_worker.xgboost_dense import DensePredictor

# XGBoost 0.72 names `collections.Mapping`, which Python 3.10 moved for good.
vars(collections).setdefault("Mapping", Mapping)

Predict = Callable[[np.ndarray], np.ndarray]
"""Predictions of C-contiguous float32 rows; raises `ValueError` or `XGBoostError`."""

_ERROR_CHARACTERS_MAX = 200  # so that the reasons of both readings fit into one FailureReason
_VOTING = ("multi:softmax", "binary:hinge")
_TAKES_TREE_LIMIT = int(xgboost.__version__.split(".")[0]) < 2
_TRIED_SCALES = (0.1, 1.0, 10.0, 1000.0)
_TRIED_ROWS = 16  # of each scale
_COLUMNS_MAX = 65536  # to draw rows of; a batch of wider ones gains little


class LoadError(Exception):
    """No model can be made of the files; the text names the file and the framework's version."""


@dataclass(frozen=True)
class Member:
    """One model of an ensemble. The container checks columns of pickled ones only."""

    booster: xgboost.Booster
    pickled: bool

    @property
    def features(self) -> int:
        """Count the columns of training, 0 if unknown; `num_features` came with XGBoost 1.4."""
        if hasattr(self.booster, "num_features"):
            return int(self.booster.num_features())
        return len(self.booster.feature_names or ())

    @property
    def trees(self) -> int:
        """Tell where early stopping ended; 0 means all trees."""
        return int(getattr(self.booster, "best_ntree_limit", 0) or 0)

    def predict(self, data: xgboost.DMatrix) -> np.ndarray:
        """Predict as the container does. Raise `ValueError` or `XGBoostError`."""
        if _TAKES_TREE_LIMIT:
            return self.booster.predict(data, ntree_limit=self.trees, validate_features=False)
        return self.booster.predict(data, iteration_range=(0, self.trees), validate_features=False)

    def predict_rows(self, rows: np.ndarray) -> np.ndarray:
        """Predict dense rows by a `DMatrix`. Raise `ValueError` or `XGBoostError`."""
        return self.predict(xgboost.DMatrix(rows, nthread=1))


class Ensemble:
    """All models of one folder, which give one prediction a row."""

    def __init__(self, folder: Path, *, all_files: bool) -> None:
        """Load what is in `folder`, or the first file of it. Raise `LoadError`."""
        files = _model_files(folder)
        self._members = [_load(file) for file in (files if all_files else files[:1])]
        self.first = self._members[0]
        self.objective, self.classes = _objective(self.first.booster)
        self.ways = self._find_ways()

    @property
    def batches(self) -> bool:
        """Tell whether `predict_together` may be called."""
        return bool(self.ways)

    def predict(self, data: xgboost.DMatrix) -> Values:
        """Predict all rows. Raise `ValueError` or `XGBoostError`."""
        return _values(self._joined([member.predict(data) for member in self._members]))

    def predict_together(self, rows: np.ndarray, counts: list[int]) -> list[Values]:
        """Predict float32 rows of many calls: `counts` tells each one's, in order.

        Give each call's predictions. Raise `ValueError` or `XGBoostError`.
        """
        if not len(rows):
            return [[] for _ in counts]
        whole = [predict(rows) for predict in self.ways]
        stops = itertools.accumulate(counts)
        if len(whole) == 1:
            values = _values(whole[0])
            return [values[stop - count : stop] for stop, count in zip(stops, counts, strict=True)]
        # Members are joined call by call: NumPy may add more rows in another order.
        return [
            _values(self._joined([each[stop - count : stop] for each in whole])) if count else []
            for stop, count in zip(stops, counts, strict=True)
        ]

    def _joined(self, predictions: list[np.ndarray]) -> np.ndarray:
        if len(predictions) == 1:
            return predictions[0]
        return _vote(predictions) if self.objective in _VOTING else np.mean(predictions, axis=0)

    def _find_ways(self) -> list[Predict]:
        found = [_together(member, self.first.features) for member in self._members]
        usable = [predict for predict in found if predict is not None]
        return usable if len(usable) == len(found) else []


# ---------------------------------------------------------------- loading


def _model_files(folder: Path) -> list[Path]:
    files = sorted(
        entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith(".")
    )
    if not files:
        raise LoadError(
            "the model archive holds no model file at its top level; "
            "pack it with `tar -czf model.tar.gz xgboost-model` in the folder of the file"
        )
    return files


def _load(file: Path) -> Member:
    try:
        with file.open("rb") as stream:
            booster = pickle.load(stream)  # noqa: S301 - a model is code; see the module head
        pickled = True
    except Exception as not_pickle:  # border: any bytes may be in a model file
        booster = _load_native(file, not_pickle)
        pickled = False
    if not isinstance(booster, xgboost.Booster):
        raise LoadError(
            f"{file.name} is a pickle of {type(booster).__name__}, not of xgboost.Booster; "
            "pack `model.get_booster()`"
        )
    booster.set_param({"nthread": 1})
    return Member(booster, pickled)


def _load_native(file: Path, not_pickle: Exception) -> xgboost.Booster:
    booster = xgboost.Booster()
    try:
        booster.load_model(str(file))
    except (ValueError, XGBoostError) as not_native:
        raise LoadError(
            f"{file.name} cannot be loaded by XGBoost {xgboost.__version__}: "
            f"pickle load error: {brief(not_pickle)[:_ERROR_CHARACTERS_MAX]}; "
            f"XGBoost load error: {brief(not_native)[:_ERROR_CHARACTERS_MAX]}"
        ) from None
    return booster


def brief(error: Exception) -> str:
    """Leave out the native stack trace: it shows a caller the paths of this machine."""
    return str(error).partition("Stack trace:")[0].strip()


def _objective(booster: xgboost.Booster) -> tuple[str, int]:
    """Give the objective and the number of classes; XGBoost before 1.0 does not tell them."""
    if not hasattr(booster, "save_config"):
        return "", 0
    learner: dict[str, Any] = json.loads(booster.save_config())["learner"]
    classes = int(learner["learner_model_param"].get("num_class", 0))
    return str(learner["objective"]["name"]), classes


# ---------------------------------------------------------------- predicting


def _together(member: Member, columns: int) -> Predict | None:
    """Choose how the rows of many calls are predicted at once; None if no way keeps the digits."""
    if not 2 <= columns <= _COLUMNS_MAX or member.features != columns:
        return None
    rows = _drawn(columns)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the model's log need not tell what was tried
        try:
            alone = np.concatenate([member.predict_rows(row[np.newaxis]) for row in rows])
        except (ValueError, XGBoostError):
            return None
        return next((way for way in _ways(member) if _agrees(way, rows, alone)), None)


def _ways(member: Member) -> list[Predict]:
    if not xgboost_dense.AVAILABLE:
        return [member.predict_rows]
    model = json.loads(member.booster.save_config())["learner"]["gradient_booster"]
    if model["name"] != "gbtree":  # DART adds its trees up in another order in place
        return [member.predict_rows]
    return [DensePredictor(member.booster, _iterations(member, model)), member.predict_rows]


def _iterations(member: Member, model: dict[str, dict[str, str]]) -> int:
    """Count iterations, as XGBoost does from 1.4 on, where `trees` counts trees."""
    if not _TAKES_TREE_LIMIT:
        return member.trees
    # The parameter moved from one to the other.
    told = model.get("gbtree_train_param", {}) | model.get("gbtree_model_param", {})
    return member.trees // max(1, int(told.get("num_parallel_tree", 1)))


def _drawn(columns: int) -> np.ndarray:
    """Draw rows of several scales, with missing values; the same at each load."""
    chance = np.random.default_rng(columns)
    rows = np.concatenate(
        [chance.normal(scale=scale, size=(_TRIED_ROWS, columns)) for scale in _TRIED_SCALES]
    )
    rows[chance.random(rows.shape) < 0.1] = np.nan
    return rows.astype(np.float32)


def _agrees(way: Predict, rows: np.ndarray, alone: np.ndarray) -> bool:
    try:
        each = [way(row[np.newaxis]) for row in rows]
        together = way(rows)
    except (ValueError, XGBoostError):
        return False
    return all(
        found.shape == alone.shape and found.dtype == alone.dtype and found.tobytes() == expected
        for expected in [alone.tobytes()]
        for found in (together, np.concatenate(each))
    )


def _values(predictions: np.ndarray) -> Values:
    """Widen predictions to doubles, whose `repr` the container writes."""
    values: Values = predictions.tolist()
    return values


def _vote(predictions: list[np.ndarray]) -> np.ndarray:
    """Take each row's most frequent value; the smallest of equals."""

    def winner(column: np.ndarray) -> Any:
        values, counts = np.unique(column, return_counts=True)
        return values[counts.argmax()]

    return np.apply_along_axis(winner, 0, np.array(predictions))
