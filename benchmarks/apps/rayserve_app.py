"""A Ray Serve deployment: raw CSV body in, the score as text out."""

import os
import sys
import time

import numpy as np
import ray
import xgboost
from ray import serve
from starlette.requests import Request
from starlette.responses import PlainTextResponse


@serve.deployment(
    num_replicas=1, max_ongoing_requests=512, logging_config={"enable_access_log": False}
)
class Classifier:
    def __init__(self, model: str) -> None:
        self._booster = xgboost.Booster(model_file=model)
        self._booster.set_param({"nthread": 1})

    async def __call__(self, request: Request) -> PlainTextResponse:
        body = await request.body()
        row = np.array(body.split(b","), dtype=np.float32).reshape(1, -1)
        return PlainTextResponse(repr(float(self._booster.inplace_predict(row)[0])))


if __name__ == "__main__":
    ray.init(address="local", num_cpus=2, include_dashboard=False, _temp_dir=sys.argv[2])
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(sys.argv[1])},
        logging_config={"enable_access_log": False},
    )
    serve.run(Classifier.bind(os.environ["MODEL"]), route_prefix="/invocations")
    while True:
        time.sleep(60)
