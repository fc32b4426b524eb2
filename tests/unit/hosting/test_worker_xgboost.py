"""The XGBoost container's algorithm mode, by the rules of each image (contract §3.4)."""

import json
import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from hosting_workshop import csv_of, rows, train
from hypothesis import given
from hypothesis import strategies as st

from modeltap.hosting.images import resolve
from modeltap_worker import csvrows, libsvm, outputs
from modeltap_worker.frames import Call, Reply
from modeltap_worker.spec import XGBoostRules
from modeltap_worker.xgboost_algorithm import XGBoostAlgorithm
from modeltap_worker.xgboost_models import LoadError

OLDEST = resolve("xgboost:0.90-1").rules
MIDDLE = resolve("sagemaker-xgboost:1.2-2").rules
LATER = resolve("sagemaker-xgboost:1.7-1").rules
NEWEST = resolve("sagemaker-xgboost:3.0-5").rules

Files = Mapping[str, bytes]


def hosted(
    folder: Path, files: Files, rules: XGBoostRules = NEWEST, **environment: str
) -> XGBoostAlgorithm:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return XGBoostAlgorithm(folder, rules, environment)


def pickled(booster: xgboost.Booster) -> Files:
    return {"xgboost-model": pickle.dumps(booster)}


def ask(
    model: XGBoostAlgorithm, body: bytes, content_type: str | None = "text/csv", accept: str = ""
) -> Reply:
    (reply,) = model.answer([Call(content_type, accept or None, None, body)])
    return reply


def scores(booster: xgboost.Booster, count: int) -> Any:
    return booster.predict(xgboost.DMatrix(rows(count))).tolist()


@pytest.fixture(scope="module")
def booster() -> xgboost.Booster:
    return train()


@pytest.fixture
def model(tmp_path: Path, booster: xgboost.Booster) -> XGBoostAlgorithm:
    return hosted(tmp_path, pickled(booster))


# ---------------------------------------------------------------- statuses


@pytest.mark.parametrize(
    ("body", "content_type", "accept", "status", "text"),
    [
        (b"", "text/csv", "", 204, ""),
        (b"{}", "application/json", "", 415, "application/json is not an accepted ContentType: "),
        (b"1", "text/csv; label_size=2", "", 415, "label_size must be equal to 1"),
        (b"x", "application/x-recordio-protobuf", "", 415, "recordio-protobuf is not supported"),
        (
            b"a,b",
            "text/csv",
            "",
            415,
            "Loading csv data failed with Exception, please ensure data is in csv format:\n "
            "<class 'ValueError'>\n could not convert string to float: 'a'",
        ),
        (b"\xff,1", "text/csv", "", 415, "UnicodeDecodeError"),
        (b"1,2\n3", "text/csv", "", 415, "Loading csv data failed"),
        (b"1:x", "text/libsvm", "", 415, "Loading libsvm data failed with Exception"),
        (b"0:1 -3:1", "text/libsvm", "", 415, "Loading libsvm data failed with Exception"),
        (
            b"1,2,3,4,5,6",
            "text/csv",
            "",
            400,
            "Unable to evaluate payload provided: Feature size of csv inference data 6 is not "
            "consistent with feature size of trained model 5.",
        ),
        (b"1,2,3", "text/csv", "", 400, "Feature size of csv inference data 3 is not consistent"),
        (
            b"9:1 0:1",
            "text/libsvm",
            "",
            400,
            "Feature size of libsvm inference data 10 is larger than "
            "feature size of trained model 5.",
        ),
        (
            b"1,2,3,4,5",
            "text/csv",
            "image/png",
            406,
            "Accept type image/png is not supported. Please use supported accept types: "
            "['application/json', 'application/jsonlines', 'application/x-recordio-protobuf', "
            "'text/csv'].",
        ),
        (b"1,2,3,4,5", "text/csv", "application/json, text/csv", 406, "is not supported"),
        (b"1,2,3,4,5", "text/csv", "application/jsonlines", 500, "not supported by this framework"),
    ],
)
def test_what_cannot_be_served_has_the_containers_status_and_text(
    model: XGBoostAlgorithm, body: bytes, content_type: str, accept: str, status: int, text: str
) -> None:
    reply = ask(model, body, content_type, accept)
    assert (reply.status, reply.content_type) == (status, "text/html; charset=utf-8")
    assert text in reply.body.decode()


def test_one_column_fewer_than_the_model_is_taken(model: XGBoostAlgorithm) -> None:
    assert ask(model, b"1,2,3,4").status == 200


def test_columns_of_a_model_that_is_no_pickle_are_xgboosts_own_affair(
    tmp_path: Path, booster: xgboost.Booster
) -> None:
    native = hosted(tmp_path, {"xgboost-model": bytes(booster.save_raw("json"))})
    reply = ask(native, b"1,2,3,4,5,6")
    assert reply.status == 400
    assert reply.body.startswith(b"Unable to evaluate payload provided: ")
    assert b"Feature size of csv" not in reply.body


# ---------------------------------------------------------------- inputs


@pytest.mark.parametrize(
    "content_type", ["text/csv", "csv", "TEXT/CSV; charset=utf-8", "text/csv;label_size=1"]
)
def test_csv_in_all_its_names(
    model: XGBoostAlgorithm, booster: xgboost.Booster, content_type: str
) -> None:
    reply = ask(model, b"\n" + csv_of(rows(3)) + b"\n", content_type)
    assert reply.body.decode().split() == [repr(score) for score in scores(booster, 3)]


@pytest.mark.parametrize("content_type", ["text/libsvm", "text/x-libsvm", "libsvm", None])
def test_libsvm_in_all_its_names(
    model: XGBoostAlgorithm, booster: xgboost.Booster, content_type: str | None
) -> None:
    lines = ["0 " + " ".join(f"{i}:{v}" for i, v in enumerate(row)) for row in rows(3).tolist()]
    reply = ask(model, "\n".join(lines).encode(), content_type)
    assert reply.body.decode().split() == [repr(score) for score in scores(booster, 3)]


def test_libsvm_counts_from_one_only_where_the_image_does() -> None:
    text = "1:5 3:7\n2:9"
    shifted = libsvm.parse(text, from_one=True)
    assert shifted.shape == (2, 3)
    assert shifted.toarray().tolist() == [[5.0, 0.0, 7.0], [0.0, 9.0, 0.0]]
    assert libsvm.parse(text, from_one=False).shape == (2, 4)
    assert libsvm.parse("0:1 1:5", from_one=True).toarray().tolist() == [[1.0, 5.0]]
    assert NEWEST.libsvm_from_one
    assert not LATER.libsvm_from_one


def test_an_absent_libsvm_value_is_missing_and_not_zero(tmp_path: Path) -> None:
    data = rows(200)
    data[:100, 0] = np.nan
    labels = [1.0] * 100 + [0.0] * 100
    booster = xgboost.train({"max_depth": 2, "nthread": 1}, xgboost.DMatrix(data, labels), 3)
    model = hosted(tmp_path, pickled(booster), LATER)
    without = ask(model, b"1:0.5", "text/libsvm").body
    assert without == ask(model, b",0.5,,,", "text/csv").body
    assert without != ask(model, b"0:0 1:0.5", "text/libsvm").body


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", ":"])
def test_the_delimiter_is_guessed_from_the_first_line(delimiter: str) -> None:
    parsed = csvrows.parse(f"1{delimiter}2.5{delimiter}3\n4{delimiter}5{delimiter}6")
    assert parsed.tolist() == [[1.0, 2.5, 3.0], [4.0, 5.0, 6.0]]


def test_empty_fields_are_missing_and_one_column_needs_no_delimiter() -> None:
    assert [math.isnan(value) for value in csvrows.parse("1,,")[0]] == [False, True, True]
    assert csvrows.parse("15\n7").tolist() == [[15.0], [7.0]]


@given(st.lists(st.floats(allow_nan=False, width=64), min_size=2, max_size=9))
def test_numbers_survive_csv(values: list[float]) -> None:
    assert csvrows.parse(",".join(map(repr, values)))[0].tolist() == values


# ---------------------------------------------------------------- outputs by image


def body_of(folder: Path, booster: xgboost.Booster, rules: XGBoostRules, accept: str) -> Reply:
    return ask(hosted(folder, pickled(booster), rules), csv_of(rows(2)), accept=accept)


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "image/png"])
@pytest.mark.parametrize("rules", [OLDEST, MIDDLE])
def test_images_to_1_2_join_by_commas_whatever_is_accepted(
    tmp_path: Path, booster: xgboost.Booster, rules: XGBoostRules, accept: str
) -> None:
    reply = body_of(tmp_path, booster, rules, accept)
    first, second = scores(booster, 2)
    assert reply == Reply(200, "text/csv; charset=utf-8", None, f"{first!r},{second!r}".encode())


@pytest.mark.parametrize("rules", [LATER, NEWEST])
def test_images_from_1_3_honour_accept(
    tmp_path: Path, booster: xgboost.Booster, rules: XGBoostRules
) -> None:
    first, second = scores(booster, 2)
    lines = Reply(200, "text/csv; charset=utf-8", None, f"{first!r}\n{second!r}\n".encode())
    for accept in ("", "*/*", "text/csv", "Text/CSV; charset=utf-8"):
        assert body_of(tmp_path, booster, rules, accept) == lines
    told = body_of(tmp_path, booster, rules, "application/json")
    assert told.content_type == "application/json"
    assert told.body == (
        f'{{"predictions": [{{"score": {first!r}}}, {{"score": {second!r}}}]}}'.encode()
    )


def test_environment_variables_choose(tmp_path: Path, booster: xgboost.Booster) -> None:
    default = hosted(
        tmp_path, pickled(booster), SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT="application/json"
    )
    assert ask(default, csv_of(rows(1))).content_type == "application/json"
    assert ask(default, csv_of(rows(1)), accept="text/csv").body.endswith(b"\n")
    batch = hosted(tmp_path, pickled(booster), OLDEST, SAGEMAKER_BATCH="true")
    assert ask(batch, csv_of(rows(2))).body.count(b"\n") == 2
    assert hosted(tmp_path, pickled(booster), MAX_CONTENT_LENGTH="7").body_bytes_max == 7
    assert hosted(tmp_path, pickled(booster)).body_bytes_max == 6291456


def test_a_row_of_probabilities_is_a_line(tmp_path: Path) -> None:
    softprob = train("multi:softprob", num_class=3)
    (row,) = scores(softprob, 1)
    body = csv_of(rows(1))
    lines = ask(hosted(tmp_path, pickled(softprob)), body).body.decode()
    assert lines == ",".join(map(repr, row)) + "\n"
    assert ask(hosted(tmp_path, pickled(softprob), OLDEST), body).body.decode() == str(row)


# ---------------------------------------------------------------- selectable output


def test_selected_keys_are_told_in_their_order(tmp_path: Path, booster: xgboost.Booster) -> None:
    (score,) = scores(booster, 1)
    keys = "predicted_label, probabilities,predicted_score,labels"
    for rules in (MIDDLE, NEWEST):
        model = hosted(tmp_path, pickled(booster), rules, SAGEMAKER_INFERENCE_OUTPUT=keys)
        label, pair = int(score > 0.5), [1.0 - score, score]
        assert ask(model, csv_of(rows(1))).body.decode() == f'{label},"{pair}",nan,"[0, 1]"'
        told = json.loads(ask(model, csv_of(rows(1)), accept="application/json").body)
        (row,) = told["predictions"]
        assert math.isnan(row.pop("predicted_score"))
        assert row == {"predicted_label": label, "labels": [0, 1], "probabilities": pair}
        lines = ask(model, csv_of(rows(2)), accept="application/jsonlines").body
        assert [json.loads(line)["labels"] for line in lines.splitlines()] == [[0, 1], [0, 1]]
        assert ask(model, csv_of(rows(1)), accept="text/html").status == 406
    old = hosted(tmp_path, pickled(booster), OLDEST, SAGEMAKER_INFERENCE_OUTPUT=keys)
    assert ask(old, csv_of(rows(1))).body.decode() == repr(score)


@pytest.mark.parametrize(
    ("objective", "classes", "score", "expected"),
    [
        ("reg:squarederror", 0, 2.5, {"predicted_score": 2.5}),
        ("binary:logitraw", 0, -0.5, {"predicted_label": 0, "raw_score": -0.5}),
        ("binary:hinge", 0, 1.0, {"predicted_label": 1.0, "raw_scores": [0.0, 1.0]}),
        ("multi:softmax", 3, 2.0, {"predicted_label": 2.0, "labels": [0, 1, 2]}),
        (
            "multi:softprob",
            3,
            [0.25, 0.5, 0.25],
            {
                "predicted_label": 1,
                "labels": [0, 1, 2],
                "probability": 0.5,
                "probabilities": [0.25, 0.5, 0.25],
                "raw_score": 0.5,
                "raw_scores": [0.25, 0.5, 0.25],
            },
        ),
    ],
)
def test_what_each_objective_tells(
    objective: str, classes: int, score: float | list[float], expected: outputs.Row
) -> None:
    assert outputs.selected([score], list(expected), objective, classes) == [expected]


def test_an_objective_that_selectable_output_does_not_know_is_500(tmp_path: Path) -> None:
    poisson = train("count:poisson")
    model = hosted(tmp_path, pickled(poisson), SAGEMAKER_INFERENCE_OUTPUT="predicted_score")
    reply = ask(model, csv_of(rows(1)))
    assert reply.status == 500
    assert b"Objective `count:poisson` unsupported" in reply.body


# ---------------------------------------------------------------- model files


def test_several_files_are_an_ensemble(tmp_path: Path, booster: xgboost.Booster) -> None:
    other = train(max_depth=1)
    files = {"a": pickle.dumps(booster), "b": bytes(other.save_raw("ubj")), ".c": b"no model"}
    (mean,) = np.mean([scores(booster, 1), scores(other, 1)], axis=0).tolist()
    assert ask(hosted(tmp_path, files), csv_of(rows(1))).body.decode().strip() == repr(mean)
    first = hosted(tmp_path, {}, SAGEMAKER_INFERENCE_ENSEMBLE="false")
    assert ask(first, csv_of(rows(1))).body.decode().strip() == repr(scores(booster, 1)[0])


def test_an_ensemble_of_classes_votes(tmp_path: Path) -> None:
    seeds = {
        str(depth): train("multi:softmax", num_class=3, max_depth=depth) for depth in (1, 2, 6)
    }
    files = {name: pickle.dumps(booster) for name, booster in seeds.items()}
    votes = np.array([scores(booster, 50) for booster in seeds.values()]).T.astype(int)
    winners = [float(np.bincount(row).argmax()) for row in votes]
    told = ask(hosted(tmp_path, files), csv_of(rows(50))).body.decode().split()
    assert told == [repr(winner) for winner in winners]


def test_early_stopping_of_an_older_pickle_is_kept(tmp_path: Path) -> None:
    booster = train()
    vars(booster)["best_ntree_limit"] = 2  # as XGBoost before 2.0 writes it
    model = hosted(tmp_path, pickled(booster))
    (score,) = booster.predict(xgboost.DMatrix(rows(1)), iteration_range=(0, 2)).tolist()
    assert ask(model, csv_of(rows(1))).body.decode().strip() == repr(score)


def test_a_stray_file_breaks_loading_and_is_named(tmp_path: Path, booster: xgboost.Booster) -> None:
    with pytest.raises(LoadError, match=r"README\.md cannot be loaded by XGBoost 3\.0\.5"):
        hosted(tmp_path, {**pickled(booster), "README.md": b"# A model"})


def test_script_mode_is_refused(tmp_path: Path, booster: xgboost.Booster) -> None:
    with pytest.raises(LoadError, match="script mode, which modeltap does not serve yet"):
        hosted(tmp_path, pickled(booster), SAGEMAKER_PROGRAM="inference.py")
