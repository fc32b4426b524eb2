"""The XGBoost container's algorithm mode: CSV or libsvm rows in, predictions out.

All behaviour is that of contract §3.4, by image version (`spec.XGBoostRules`):

    empty body 204 · body over MAX_CONTENT_LENGTH 413 · unknown type or unreadable rows 415
    prediction fails, or a wrong number of columns 400 · type not accepted 406 · not writable 500

Calls that came together are predicted together, those of one content type by one call of XGBoost.
Only plain rows take part; whatever is odd about a call, it is answered alone, the container's own
way, and so are all if their prediction fails: no call shows in another's answer. A row never goes
into the log: rows are payload.
"""

import csv
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import xgboost
from xgboost.core import XGBoostError

from modeltap_worker import csvrows, libsvm, outputs
from modeltap_worker.frames import Call, Reply
from modeltap_worker.outputs import Values
from modeltap_worker.spec import Spec, XGBoostRules
from modeltap_worker.xgboost_models import Ensemble, LoadError, brief

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
_READ_TOGETHER = ("csv", "libsvm")

_HTML = "text/html; charset=utf-8"  # what Flask sends where the container names no type
_TOO_LARGE = (
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">\n'
    "<title>413 Request Entity Too Large</title>\n"
    "<h1>Request Entity Too Large</h1>\n"
    "<p>The data value transmitted exceeds the capacity limit.</p>\n"
)
_HEADERS_KEPT = 64  # distinct headers whose reading is kept: a client sends always the same


class Refused(Exception):
    """The container's answer to a call that it cannot serve."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def load(folder: Path, spec: Spec, environment: Mapping[str, str]) -> "XGBoostAlgorithm":
    """Load the model in `folder`: what a worker calls of an algorithm. Raise `LoadError`."""
    return XGBoostAlgorithm(folder, spec.rules, environment)


class XGBoostAlgorithm:
    """A loaded model that answers calls, those that came together at once."""

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
        all_files = environment.get("SAGEMAKER_INFERENCE_ENSEMBLE", "true") == "true"
        self._models = Ensemble(folder, all_files=all_files)
        self.batches = self._models.batches
        self._columns = self._models.first.features

    def too_large(self) -> Reply:
        """Give the answer to a body that was longer than `body_bytes_max`."""
        return _reply(413, _HTML, _TOO_LARGE)

    def answer(self, calls: Sequence[Call]) -> list[Reply]:
        """Give the container's answers, in order; never raises for what the callers sent."""
        if not self.batches:
            return [self._answer_alone(call) for call in calls]
        return [
            self._tell(call, values) if values else self._answer_alone(call)
            for call, values in zip(calls, self._predict_together(calls), strict=True)
        ]

    # ------------------------------------------------------------ together

    def _predict_together(self, calls: Sequence[Call]) -> Sequence[Values]:
        """Predict at once the calls that allow it; give nothing for the others."""
        kinds = [_usual_kind(call.content_type) for call in calls]
        if kinds.count(kinds[0]) == len(kinds):
            return self._predict_bodies([call.body for call in calls], kinds[0])
        found: list[Values] = [[]] * len(calls)
        for kind in _READ_TOGETHER:
            places = [place for place, each in enumerate(kinds) if each == kind]
            if places:
                values = self._predict_bodies([calls[place].body for place in places], kind)
                for place, each in zip(places, values, strict=True):
                    found[place] = each
        return found

    def _predict_bodies(self, bodies: Sequence[bytes], kind: str) -> Sequence[Values]:
        """Predict bodies of one kind; give nothing for those that are not usual."""
        nothing: Sequence[Values] = [[]] * len(bodies)
        if kind == "csv":
            rows, counts = csvrows.together(bodies, self._columns)
        elif kind == "libsvm":
            from_one = self._rules.libsvm_from_one
            rows, counts = libsvm.together(bodies, self._columns, from_one=from_one)
        else:
            return nothing
        try:
            return self._models.predict_together(rows, counts)
        except (ValueError, XGBoostError):  # each is told by itself what is wrong with it
            return nothing

    # ------------------------------------------------------------ alone

    def _answer_alone(self, call: Call) -> Reply:
        if not call.body:
            return _reply(204, _HTML, "")
        try:
            kind = _kind(call.content_type)
            values = self._predict(self._parse(call.body, kind), kind)
        except Refused as refused:
            return _reply(refused.status, _HTML, str(refused))
        return self._tell(call, values)

    def _parse(self, body: bytes, kind: str) -> xgboost.DMatrix:
        if kind not in _READ_TOGETHER:
            raise Refused(415, f"Content-type {kind} is not supported by modeltap yet.")
        try:
            text = body.strip().decode()
            if kind == "csv":
                return xgboost.DMatrix(csvrows.parse(text), nthread=1)
            rows = libsvm.parse(text, from_one=self._rules.libsvm_from_one)
            return xgboost.DMatrix(rows, nthread=1)
        except (ValueError, OverflowError, csv.Error, XGBoostError) as error:
            raise Refused(
                415,
                f"Loading {kind} data failed with Exception, please ensure data is in {kind} "
                f"format:\n {type(error)}\n {error}",
            ) from None

    def _predict(self, data: xgboost.DMatrix, kind: str) -> Values:
        if self._models.first.pickled:
            _check_columns(data.num_col(), self._columns, kind)
        try:
            return self._models.predict(data)
        except (ValueError, XGBoostError) as error:
            raise Refused(400, f"Unable to evaluate payload provided: {brief(error)}") from None

    # ------------------------------------------------------------ telling

    def _tell(self, call: Call, values: Values) -> Reply:
        try:
            accept = self._accept(call.accept)
            return _reply(200, _with_charset(accept), self._encode(values, accept))
        except Refused as refused:
            return _reply(refused.status, _HTML, str(refused))

    def _accept(self, accept: str | None) -> str:
        if not (self._rules.honours_accept or self._keys):
            return outputs.CSV
        return _wanted(accept) or self._default_accept

    def _encode(self, values: Values, accept: str) -> str:
        try:
            if self._keys:
                objective, classes = self._models.objective, self._models.classes
                rows = outputs.selected(values, self._keys, objective, classes)
                return outputs.encode_selected(rows, self._keys, accept, batch=self._batch)
            if self._batch:
                return outputs.batch(values)
            if self._rules.honours_accept:
                return outputs.encode(values, accept)
            return outputs.joined(values)
        except outputs.NotEncodable as error:
            raise Refused(500, str(error)) from None


def _selected_keys(environment: Mapping[str, str]) -> list[str]:
    keys = environment.get("SAGEMAKER_INFERENCE_OUTPUT", "")
    return [key for key in keys.replace(" ", "").lower().split(",") if key]


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


@lru_cache(_HEADERS_KEPT)
def _usual_kind(content_type: str | None) -> str:
    """Read a content type; nothing if it is to be refused."""
    try:
        return _kind(content_type)
    except Refused:
        return ""


@lru_cache(_HEADERS_KEPT)
def _wanted(accept: str | None) -> str:
    """Read an accepted type; nothing if any will do. Raise `Refused`."""
    wanted = (accept or "").partition(";")[0].strip()
    if wanted in ("", "*/*"):
        return ""
    if wanted.lower() not in outputs.ACCEPTS:
        raise Refused(
            406,
            f"Accept type {wanted} is not supported. "
            f"Please use supported accept types: {outputs.ACCEPTS}.",
        )
    return wanted.lower()


@lru_cache(_HEADERS_KEPT)
def _with_charset(media: str) -> str:
    return f"{media}; charset=utf-8" if media.startswith("text/") else media


def _reply(status: int, content_type: str, body: str) -> Reply:
    return Reply(status, content_type, None, body.encode())
