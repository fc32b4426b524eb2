"""Calls that are answered together get the very bytes that each gets alone, whatever they hold."""

import pickle
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xgboost
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modeltap_worker import csvrows, xgboost_models
from modeltap_worker.frames import Call, Reply
from modeltap_worker.spec import XGBoostRules
from modeltap_worker.xgboost_algorithm import XGBoostAlgorithm
from modeltap_worker.xgboost_dense import DensePredictor

COLUMNS = 4
RULES = XGBoostRules(honours_accept=True, selectable_output=True, libsvm_from_one=True)
JOINED = XGBoostRules(honours_accept=False, selectable_output=False, libsvm_from_one=False)


def train(objective: str, seed: int = 0, **parameters: object) -> xgboost.Booster:
    chance = np.random.default_rng(seed)
    data = chance.normal(scale=3, size=(300, COLUMNS)).astype(np.float32)
    data[chance.random(data.shape) < 0.2] = np.nan
    classes = int(str(parameters.get("num_class", 2)))
    labels = np.nan_to_num(np.abs(data[:, 0] * data[:, 1])).astype(int) % classes
    told = {"objective": objective, "nthread": 1, "seed": seed, **parameters}
    return xgboost.train(told, xgboost.DMatrix(data, label=labels), 8)


def pickled(*boosters: xgboost.Booster) -> Mapping[str, bytes]:
    return {str(place): pickle.dumps(booster) for place, booster in enumerate(boosters)}


def early_stopped() -> Mapping[str, bytes]:
    booster = train("binary:logistic")
    vars(booster)["best_ntree_limit"] = 3
    return pickled(booster)


def native(*boosters: xgboost.Booster) -> Mapping[str, bytes]:
    return {str(place): bytes(each.save_raw("ubj")) for place, each in enumerate(boosters)}


MODELS: Mapping[str, Callable[[], Mapping[str, bytes]]] = {
    "binary": lambda: pickled(train("binary:logistic")),
    "native": lambda: native(train("reg:squarederror")),
    "softprob": lambda: pickled(train("multi:softprob", num_class=3)),
    "softmax": lambda: pickled(train("multi:softmax", num_class=3)),
    "poisson": lambda: pickled(train("count:poisson")),
    "linear": lambda: pickled(train("reg:squarederror", booster="gblinear")),
    "dart": lambda: pickled(train("binary:logistic", booster="dart", rate_drop=0.5)),
    "forest": lambda: pickled(train("binary:logistic", num_parallel_tree=3)),
    "early stopped": early_stopped,
    "ten of probabilities": lambda: pickled(
        *(train("binary:logistic", seed, subsample=0.5) for seed in range(10))
    ),
    "three of classes": lambda: native(
        *(train("multi:softmax", seed, num_class=3, subsample=0.5) for seed in range(3))
    ),
}
ENVIRONMENTS: Sequence[Mapping[str, str]] = (
    {},
    {"SAGEMAKER_BATCH": "true"},
    {"SAGEMAKER_INFERENCE_OUTPUT": "predicted_label,probabilities,raw_score,predicted_score"},
)

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr)
small = st.integers(-10, 10).map(str) | st.floats(-10, 10, width=16).map("{:.3g}".format)
odd = st.sampled_from(
    ["", "", "", "nan", "NaN", "+1", "01", ".5", "1.", " 2 ", "1e39", "-1e39", "1e400", "inf", "x"]
) | st.sampled_from(
    ["-Infinity", "1_0", "0x1", "1e-50", "'1'", '"1"', "\x1c1", "1;2", "#", "nan(1)", "\u0663"]
)
fields = st.one_of(small, small, small, small, numbers, odd)
csv_lines = st.one_of(
    *[st.lists(small, min_size=COLUMNS, max_size=COLUMNS)] * 3,
    st.lists(fields, min_size=COLUMNS, max_size=COLUMNS),
    st.lists(fields, max_size=COLUMNS + 2),
).map(",".join)
indexes = st.integers(-1, COLUMNS + 1) | st.just(10**7)
items = st.tuples(st.one_of(st.integers(0, COLUMNS - 1), indexes), fields)
libsvm_lines = st.lists(items, max_size=COLUMNS).map(
    lambda pairs: " ".join(["0", *(f"{index}:{value}" for index, value in pairs)])
)


def bodies(lines: st.SearchStrategy[str]) -> st.SearchStrategy[bytes]:
    ends = st.sampled_from(["", "", "\n", " \r\n"])
    joints = st.sampled_from(["\n", "\n", "\n", "\r\n", "\n\n"])
    texts = st.builds(
        lambda many, joint, end: joint.join(many) + end,
        st.lists(lines, min_size=1, max_size=4),
        joints,
        ends,
    )
    return texts.map(str.encode) | st.just(b"") | st.binary(max_size=9)


accepts = st.sampled_from([None, "*/*", "text/csv", "application/json", "image/png"])
calls = st.one_of(
    *[st.builds(Call, st.just("text/csv"), accepts, st.none(), bodies(csv_lines))] * 2,
    st.builds(
        Call, st.sampled_from(["text/libsvm", None]), accepts, st.none(), bodies(libsvm_lines)
    ),
    st.builds(Call, st.just("application/json"), st.none(), st.none(), st.just(b"{}")),
)


Pair = tuple[XGBoostAlgorithm, XGBoostAlgorithm]


@pytest.fixture(scope="module", params=MODELS)
def pairs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Pair]:
    folder = tmp_path_factory.mktemp("model")
    for name, data in MODELS[request.param]().items():
        (folder / name).write_bytes(data)
    return [_pair(folder, rules, given) for rules in (RULES, JOINED) for given in ENVIRONMENTS]


def _pair(folder: Path, rules: XGBoostRules, given: Mapping[str, str]) -> Pair:
    """Give a model, and the same that answers every call the container's own way."""
    together, alone = (XGBoostAlgorithm(folder, rules, given) for _ in range(2))
    alone.batches = False
    return together, alone


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(calls, min_size=1, max_size=12), st.integers(0, 5))
def test_together_is_as_alone(pairs: list[Pair], many: list[Call], which: int) -> None:
    together, alone = pairs[which]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of scipy, about numbers too large
        assert _told(together, many) == [_told(alone, [call])[0] for call in many]


def _told(model: XGBoostAlgorithm, many: Sequence[Call]) -> list[Reply]:
    """Give the answers, without the time of day that XGBoost puts before its errors."""
    return [
        replace(reply, body=re.sub(rb"\[\d\d:\d\d:\d\d\]", b"", reply.body))
        for reply in model.answer(many)
    ]


def test_every_model_batches(pairs: list[Pair]) -> None:
    assert all(together.batches for together, _ in pairs)


@settings(max_examples=300)
@given(st.lists(bodies(csv_lines) | st.text(max_size=12).map(str.encode), max_size=6))
def test_csv_is_read_together_as_alone_or_not_at_all(many: list[bytes]) -> None:
    rows, counts = csvrows.together(many, COLUMNS)
    assert sum(counts) == len(rows)
    stop = 0
    for body, count in zip(many, counts, strict=True):
        start, stop = stop, stop + count
        if count:
            with np.errstate(over="ignore"):
                alone = csvrows.parse(body.strip().decode()).astype(np.float32)
            assert rows[start:stop].tobytes() == alone.tobytes()


def test_plain_numbers_and_empty_fields_are_read_together() -> None:
    rows, counts = csvrows.together(
        [b"1,,3,4\n", b",,,", b"a,b,c,d", b"1,2\n3", b"5,6,7,8\n,,,9"], 4
    )
    assert counts == [1, 1, 0, 0, 2]
    expected = np.array([[1, np.nan, 3, 4], [np.nan] * 4, [5, 6, 7, 8], [np.nan] * 3 + [9]])
    assert np.array_equal(rows, expected, equal_nan=True)


@pytest.mark.parametrize(
    ("model", "in_place"),
    [
        ("binary", True),
        ("softprob", True),
        ("early stopped", True),
        ("linear", False),
        ("dart", False),
    ],
)
def test_prediction_in_place_is_used_where_it_keeps_the_digits(
    model: str, in_place: bool, tmp_path: Path
) -> None:
    for name, data in MODELS[model]().items():
        (tmp_path / name).write_bytes(data)
    ensemble = xgboost_models.Ensemble(tmp_path, all_files=True)
    assert [isinstance(each, DensePredictor) for each in ensemble.ways] == [in_place]
