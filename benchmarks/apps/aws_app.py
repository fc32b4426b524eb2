"""What an AWS XGBoost container does with `POST /invocations`, in Flask (contract §3.3, §3.4).

The delimiter is sniffed, rows become an array of floats, then a `DMatrix`: the container's own
steps. Predictions go out one a line.
"""

import csv
import json
import os

import flask
import numpy as np
import xgboost

app = flask.Flask(__name__)
booster = xgboost.Booster(model_file=os.environ["MODEL"])
booster.set_param({"nthread": 1})

ACCEPTS = ("text/csv", "application/json")


class Unsupported(Exception):
    """A content type that is neither read nor written."""


def media_type(header: str | None, default: str) -> str:
    media = (header or "").partition(";")[0].strip().lower()
    return default if media in ("", "*/*") else media


def input_fn(body: bytes, content_type: str) -> xgboost.DMatrix:
    if content_type != "text/csv":
        raise Unsupported(content_type)
    text = body.decode().strip()
    lines = text.split("\n")
    sniffed = csv.Sniffer().sniff(lines[0][:512]).delimiter
    delimiter = "," if sniffed.isalnum() else sniffed
    return xgboost.DMatrix(np.array([line.split(delimiter) for line in lines], dtype=np.float32))


def output_fn(predictions: np.ndarray, accept: str) -> str:
    if accept == "text/csv":
        return "".join(f"{value!r}\n" for value in predictions.tolist())
    if accept == "application/json":
        scores = [{"score": value} for value in predictions.tolist()]
        return json.dumps({"predictions": scores})
    raise Unsupported(accept)


@app.get("/ping")
def ping() -> flask.Response:
    return flask.Response(status=200)


@app.post("/invocations")
def invocations() -> flask.Response:
    body = flask.request.get_data()
    if not body:
        return flask.Response(status=204)
    try:
        data = input_fn(body, media_type(flask.request.content_type, "text/libsvm"))
    except (ValueError, Unsupported) as error:
        return flask.Response(str(error), status=415)
    accept = media_type(flask.request.headers.get("Accept"), "text/csv")
    try:
        text = output_fn(booster.predict(data, validate_features=False), accept)
    except Unsupported as error:
        return flask.Response(str(error), status=406)
    return flask.Response(text, mimetype=accept)
