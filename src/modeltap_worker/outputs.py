"""What the XGBoost container writes for its predictions, by accepted type and image version.

A prediction is float32, widened to double and printed by Python's `repr`: `0.0254181120544672`.
With SAGEMAKER_INFERENCE_OUTPUT the caller chooses what is told of each (selectable output); a key
that the model's objective does not know is `nan` (contract §3.4).
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

JSON = "application/json"
JSON_LINES = "application/jsonlines"
RECORDIO = "application/x-recordio-protobuf"
CSV = "text/csv"
ACCEPTS = [JSON, JSON_LINES, RECORDIO, CSV]

Values = list[Any]
"""One prediction a row: a float, or a list of one float for each class."""

Row = dict[str, Any]


class NotEncodable(Exception):
    """The predictions cannot be written as the accepted type; the text says why."""


# ---------------------------------------------------------------- plain predictions


def joined(values: Values) -> str:
    """Write all on one line, no newline: images up to 1.2-2."""
    return ",".join(map(str, values))


def batch(values: Values) -> str:
    """Write one a line: every image under SAGEMAKER_BATCH."""
    return "\n".join(map(str, values)) + "\n"


def encode(values: Values, accept: str) -> str:
    """Write for images from 1.3-1. Raise `NotEncodable`."""
    if accept == JSON:
        return json.dumps({"predictions": [{"score": value} for value in values]})
    if accept == CSV:
        return "\n".join(map(_line, values)) + "\n"
    raise NotEncodable(f"Content type {accept} is not supported by this framework.")


def _line(value: float | list[float]) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


# ---------------------------------------------------------------- selectable output

_LABELS = ("predicted_label", "labels")
_PROBABILITIES = ("probability", "probabilities")
_RAW_SCORES = ("raw_score", "raw_scores")
_REGRESSION = ("predicted_score",)

_KEYS: Mapping[str, tuple[str, ...]] = {
    "reg:squarederror": _REGRESSION,
    "reg:logistic": _REGRESSION,
    "reg:gamma": _REGRESSION,
    "reg:absoluteerror": _REGRESSION,
    "reg:tweedie": _REGRESSION,
    "binary:logistic": _LABELS + _PROBABILITIES + _RAW_SCORES,
    "binary:logitraw": _LABELS + _RAW_SCORES,
    "binary:hinge": _LABELS + _RAW_SCORES,
    "multi:softmax": _LABELS + _RAW_SCORES,
    "multi:softprob": _LABELS + _PROBABILITIES + _RAW_SCORES,
}

_LABEL_OF: Mapping[str, Callable[[Any], object]] = {  # compiled, `float` would make 1 of 1.0
    "binary:logistic": lambda score: int(score > 0.5),
    "binary:logitraw": lambda score: int(score > 0),
    "binary:hinge": lambda score: float(score),
    "multi:softmax": lambda score: float(score),
    "multi:softprob": lambda scores: int(np.argmax(scores)),
}


def selected(values: Values, keys: Sequence[str], objective: str, classes: int) -> list[Row]:
    """Tell `keys` of each prediction; `classes` counts those of a `multi:` objective.

    Raise `NotEncodable` for an objective that selectable output does not know.
    """
    if objective not in _KEYS:
        raise NotEncodable(
            f"Objective `{objective}` unsupported for selectable inference predictions."
        )
    known = [key for key in _KEYS[objective] if key in keys]
    unknown = [key for key in keys if key not in known]
    labels = list(range(classes if objective.startswith("multi:") else 2))
    return [
        {key: _told(key, value, objective, labels) for key in known}
        | dict.fromkeys(unknown, math.nan)
        for value in values
    ]


def _told(key: str, score: Any, objective: str, labels: list[int]) -> object:
    if key == "labels":
        return labels
    if key == "predicted_label":
        return _LABEL_OF[objective](score)
    if key in ("probabilities", "raw_scores"):
        return score if isinstance(score, list) else [1.0 - score, score]
    return max(score) if isinstance(score, list) else score


def encode_selected(rows: list[Row], keys: Sequence[str], accept: str, *, batch: bool) -> str:
    """Write selected predictions. Raise `NotEncodable`."""
    if accept == JSON:
        return json.dumps({"predictions": rows})
    if accept == JSON_LINES:
        return "".join(f"{json.dumps(row)}\n" for row in rows)
    if accept == CSV:
        return "\n".join(_csv_lines(rows, keys)) + ("\n" if batch else "")
    raise NotEncodable(f"Cannot encode selected predictions into accept type '{accept}'.")


def _csv_lines(rows: list[Row], keys: Sequence[str]) -> Iterable[str]:
    for row in rows:
        values = (row[key] for key in keys)
        yield ",".join(f'"{value}"' if isinstance(value, list) else str(value) for value in values)
