"""Make real models, trained in the environment of the image that will serve them."""

import subprocess
import tarfile
from pathlib import Path

from modeltap.hosting.environments import Environments
from modeltap.hosting.images import resolve

REGISTRY = "683313688378.dkr.ecr.us-east-1.amazonaws.com"
XGBOOST_0_90 = f"{REGISTRY}/sagemaker-xgboost:0.90-1-cpu-py3"
XGBOOST_3_0 = f"{REGISTRY}/sagemaker-xgboost:3.0-5"
FEATURES = 69

TRAIN = """
import pickle, sys
import numpy, xgboost

chance = numpy.random.RandomState(7)
rows = chance.randint(0, 100, size=(400, 69)).astype(float)
labels = (rows[:, 0] + rows[:, 1] > 100).astype(int)
parameters = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1}
booster = xgboost.train(parameters, xgboost.DMatrix(rows, label=labels), 20)
with open(sys.argv[1] + "/xgboost-model", "wb") as file:
    pickle.dump(booster, file)
with open(sys.argv[1] + "/inputs.csv", "w") as file:
    for row in rows:
        file.write(",".join("%d" % value for value in row) + "\\n")
with open(sys.argv[1] + "/validation.csv", "w") as file:
    for label, row in zip(labels, rows):
        file.write("%d," % label + ",".join("%d" % value for value in row) + "\\n")
with open(sys.argv[1] + "/scores.csv", "w") as file:
    for score in booster.predict(xgboost.DMatrix(rows)).tolist():
        file.write(repr(score) + "\\n")
"""


def trained(image: str, environments: Path, folder: Path) -> Path:
    """Train a classifier of 69 features with the image's own version.

    Leaves `model.tar.gz`, `inputs.csv`, `validation.csv` (label first) and `scores.csv` (the
    model's own answers, one a line, as `repr` prints them) in the folder.
    """
    python = Environments(environments).ensure(resolve(image), print)
    subprocess.run([python, "-c", TRAIN, str(folder)], check=True, env={"OMP_NUM_THREADS": "1"})
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(folder / "xgboost-model", "xgboost-model")
    return folder
