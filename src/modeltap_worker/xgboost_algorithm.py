"""The XGBoost container's algorithm mode: model files in, CSV or libsvm rows in, predictions out.

All behaviour is that of contract §3.4, by image version (`spec.XGBoostRules`):

    empty body 204 · body over MAX_CONTENT_LENGTH 413 · unknown type or unreadable rows 415
    prediction fails, or a wrong number of columns 400 · type not accepted 406 · not writable 500

Every non-dot file of the model's folder is a model, first as a pickle, else in XGBoost's own
format; several are an ensemble. Both readings run the file's author's code, or trust its numbers:
this is why a model has a process of its own. A row never goes into the log: rows are payload.
"""

import collections
import csv
import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from xgboost.core import XGBoostError

from modeltap_worker import csvrows, libsvm, outputs
from modeltap_worker.frames import Call, Reply
from modeltap_worker.spec import XGBoostRules

# XGBoost 0.72 names `collections.Mapping`, which Python 3.10 moved for good.
vars(collections).setdefault("Mapping", Mapping)

BODY_BYTES_MAX = 6 * 1024 * 1024
"""Largest body that the container takes unless MAX_CONTENT_LENGTH says otherwise."""

_CONTENT_TYPES = {
    "csv": "csv",
    "text/csv": "csv",
    "libsvm": "libsvm",
    "text/libsvm": "libsvm",
    "text/x-libsvm": "libsvm",
    "parquet": "parquet",
    "application/x-parquet": "parquet",
    "recordio-protobuf": "recordio-protobuf",
    "application/x-recordio-protobuf": "recordio-protobuf",
}
_KINDS = "csv, libsvm, parquet, recordio-protobuf"

_HTML = "text/html; charset=utf-8"  # what Flask sends where the container names no type
_TOO_LARGE = (
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">\n'
    "<title>413 Request Entity Too Large</title>\n"
    "<h1>Request Entity Too Large</h1>\n"
    "<p>The data value transmitted exceeds the capacity limit.</p>\n"
)
_ERROR_CHARACTERS_MAX = 200  # so that the reasons of both readings fit into one FailureReason
_VOTING = ("multi:softmax", "binary:hinge")
_TAKES_TREE_LIMIT = int(xgboost.__version__.split(".")[0]) < 2


class LoadError(Exception):
    """No model can be made of the files; the text names the file and the framework's version."""


class Refused(Exception):
    """The container's answer to a call that it cannot serve."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Member:
    """One model of an ensemble. The container checks columns of pickled ones only."""

    booster: xgboost.Booster
    pickled: bool


def load(folder: Path, rules: XGBoostRules, environment: Mapping[str, str]) -> "XGBoostAlgorithm":
    """Load the model in `folder`: what a worker calls of an algorithm. Raise `LoadError`."""
    return XGBoostAlgorithm(folder, rules, environment)


class XGBoostAlgorithm:
    """A loaded model that answers calls, one at a time."""

    def __init__(self, folder: Path, rules: XGBoostRules, environment: Mapping[str, str]) -> None:
        """Load what is in `folder`. Raise `LoadError`."""
        if environment.get("SAGEMAKER_PROGRAM"):
            raise LoadError(
                "SAGEMAKER_PROGRAM asks for script mode, which modeltap does not serve yet; "
                "create the model without an entry point"
            )
        self._rules = rules
        self._default_accept = environment.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", outputs.CSV)
        self._batch = "SAGEMAKER_BATCH" in environment
        self._keys = _selected_keys(environment) if rules.selectable_output else []
        self.body_bytes_max = int(environment.get("MAX_CONTENT_LENGTH", BODY_BYTES_MAX))
        ensemble = environment.get("SAGEMAKER_INFERENCE_ENSEMBLE", "true") == "true"
        files = _model_files(folder)
        self._members = [_load(file) for file in (files if ensemble else files[:1])]
        self._objective, self._classes = _objective(self._members[0].booster)

    def too_large(self) -> Reply:
        """Give the answer to a body that was longer than `body_bytes_max`."""
        return _reply(413, _HTML, _TOO_LARGE)

    def answer(self, call: Call) -> Reply:
        """Give the container's answer to one call; never raises for what the caller sent."""
        if not call.body:
            return _reply(204, _HTML, "")
        try:
            kind = _kind(call.content_type)
            predictions = self._predict(self._parse(call.body, kind), kind)
            accept = self._accept(call.accept)
            return _reply(200, _with_charset(accept), self._encode(predictions, accept))
        except Refused as refused:
            return _reply(refused.status, _HTML, str(refused))

    def _parse(self, body: bytes, kind: str) -> xgboost.DMatrix:
        if kind not in ("csv", "libsvm"):
            raise Refused(415, f"Content-type {kind} is not supported by modeltap yet.")
        try:
            text = body.strip().decode()
            if kind == "csv":
                return xgboost.DMatrix(csvrows.parse(text))
            return xgboost.DMatrix(libsvm.parse(text, from_one=self._rules.libsvm_from_one))
        except (ValueError, OverflowError, csv.Error, XGBoostError) as error:
            raise Refused(
                415,
                f"Loading {kind} data failed with Exception, please ensure data is in {kind} "
                f"format:\n {type(error)}\n {error}",
            ) from None

    def _predict(self, data: xgboost.DMatrix, kind: str) -> np.ndarray:
        first = self._members[0]
        if first.pickled:
            _check_columns(data.num_col(), _features(first.booster), kind)
        try:
            predictions = [_predict(member.booster, data) for member in self._members]
        except (ValueError, XGBoostError) as error:
            raise Refused(400, f"Unable to evaluate payload provided: {_brief(error)}") from None
        if len(predictions) == 1:
            return predictions[0]
        return _vote(predictions) if self._objective in _VOTING else np.mean(predictions, axis=0)

    def _accept(self, accept: str | None) -> str:
        if not (self._rules.honours_accept or self._keys):
            return outputs.CSV
        wanted = (accept or "").partition(";")[0].strip()
        if wanted in ("", "*/*"):
            return self._default_accept
        if wanted.lower() not in outputs.ACCEPTS:
            raise Refused(
                406,
                f"Accept type {wanted} is not supported. "
                f"Please use supported accept types: {outputs.ACCEPTS}.",
            )
        return wanted.lower()

    def _encode(self, predictions: np.ndarray, accept: str) -> str:
        try:
            if self._keys:
                rows = outputs.selected(predictions, self._keys, self._objective, self._classes)
                return outputs.encode_selected(rows, self._keys, accept, batch=self._batch)
            if self._batch:
                return outputs.batch(predictions)
            if self._rules.honours_accept:
                return outputs.encode(predictions, accept)
            return outputs.joined(predictions)
        except outputs.NotEncodable as error:
            raise Refused(500, str(error)) from None


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
            f"pickle load error: {_brief(not_pickle)[:_ERROR_CHARACTERS_MAX]}; "
            f"XGBoost load error: {_brief(not_native)[:_ERROR_CHARACTERS_MAX]}"
        ) from None
    return booster


def _brief(error: Exception) -> str:
    """Leave out the native stack trace: it shows a caller the paths of this machine."""
    return str(error).partition("Stack trace:")[0].strip()


def _objective(booster: xgboost.Booster) -> tuple[str, int]:
    """Give the objective and the number of classes; XGBoost before 1.0 does not tell them."""
    if not hasattr(booster, "save_config"):
        return "", 0
    learner: dict[str, Any] = json.loads(booster.save_config())["learner"]
    classes = int(learner["learner_model_param"].get("num_class", 0))
    return str(learner["objective"]["name"]), classes


def _selected_keys(environment: Mapping[str, str]) -> list[str]:
    keys = environment.get("SAGEMAKER_INFERENCE_OUTPUT", "")
    return [key for key in keys.replace(" ", "").lower().split(",") if key]


# ---------------------------------------------------------------- predicting


def _features(booster: xgboost.Booster) -> int:
    """Count the columns of training; `num_features` came with XGBoost 1.4."""
    if hasattr(booster, "num_features"):
        return int(booster.num_features())
    return len(booster.feature_names or ())


def _check_columns(given: int, trained: int, kind: str) -> None:
    if kind == "libsvm" and given > trained + 1:
        fault = "larger than"
    elif kind != "libsvm" and trained not in (given, given + 1):
        fault = "not consistent with"
    else:
        return
    raise Refused(
        400,
        f"Unable to evaluate payload provided: Feature size of {kind} inference data {given} "
        f"is {fault} feature size of trained model {trained}.",
    )


def _predict(booster: xgboost.Booster, data: xgboost.DMatrix) -> np.ndarray:
    trees = int(getattr(booster, "best_ntree_limit", 0) or 0)
    if _TAKES_TREE_LIMIT:
        return booster.predict(data, ntree_limit=trees, validate_features=False)
    return booster.predict(data, iteration_range=(0, trees), validate_features=False)


def _vote(predictions: list[np.ndarray]) -> np.ndarray:
    """Take each row's most frequent value; the smallest of equals."""

    def winner(column: np.ndarray) -> Any:
        values, counts = np.unique(column, return_counts=True)
        return values[counts.argmax()]

    return np.apply_along_axis(winner, 0, np.array(predictions))


# ---------------------------------------------------------------- media types


def _kind(content_type: str | None) -> str:
    """Read a content type; absent means libsvm, as in the container."""
    if content_type is None:
        return "libsvm"
    media, *parameters = (part.strip() for part in content_type.lower().split(";"))
    kind = _CONTENT_TYPES.get(media)
    if kind is None:
        raise Refused(415, f"{content_type} is not an accepted ContentType: {_KINDS}.")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if kind == "csv" and name.strip() == "label_size" and value.strip() != "1":
            raise Refused(
                415,
                f"{content_type} is not an accepted csv ContentType. "
                "Optional parameter label_size must be equal to 1",
            )
    return kind


def _with_charset(media: str) -> str:
    return f"{media}; charset=utf-8" if media.startswith("text/") else media


def _reply(status: int, content_type: str, body: str) -> Reply:
    return Reply(status, content_type, None, body.encode())
