"""A KServe model: `instances` in, `predictions` out (protocol V1)."""

import argparse
import os
from typing import Any

import kserve
import numpy as np
import xgboost


class Classifier(kserve.Model):
    def __init__(self) -> None:
        super().__init__("bench")
        self._booster = xgboost.Booster(model_file=os.environ["MODEL"])
        self._booster.set_param({"nthread": 1})
        self.ready = True

    async def predict(self, payload: dict[str, Any], *_: Any, **__: Any) -> dict[str, Any]:
        rows = np.array(payload["instances"], dtype=np.float32)
        return {"predictions": self._booster.inplace_predict(rows).tolist()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(parents=[kserve.model_server.parser])
    given, _ = parser.parse_known_args()
    kserve.ModelServer(
        http_port=given.http_port, enable_grpc=given.enable_grpc, workers=given.workers
    ).start([Classifier()])
