"""A BentoML service. A coroutine, because plain functions go through a thread pool, at a cost."""

import os

import bentoml
import numpy as np
import xgboost


@bentoml.service(workers=1, traffic={"timeout": 30, "max_concurrency": 512})
class Classifier:
    def __init__(self) -> None:
        self._booster = xgboost.Booster(model_file=os.environ["MODEL"])
        self._booster.set_param({"nthread": 1})

    @bentoml.api
    async def predict(self, rows: list[list[float]]) -> list[float]:
        scores = self._booster.inplace_predict(np.array(rows, dtype=np.float32))
        return [float(score) for score in scores]
