"""A LitServe API: rows in JSON, scores in JSON."""

import os
import sys
from typing import Any

import litserve
import numpy as np
import xgboost


class Classifier(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self._booster = xgboost.Booster(model_file=os.environ["MODEL"])
        self._booster.set_param({"nthread": 1})

    def decode_request(self, request: dict[str, Any]) -> np.ndarray:
        return np.array(request["rows"], dtype=np.float32)

    def predict(self, x: np.ndarray) -> np.ndarray:
        scores: np.ndarray = self._booster.inplace_predict(x)
        return scores

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return {"scores": output.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(), accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
    )
