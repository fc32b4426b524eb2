"""A model behind FastAPI, as fast as it goes: raw body, one row in place, plain text out.

The handler is a coroutine: FastAPI runs plain functions in a thread pool, which costs more than
this prediction.
"""

import os

import numpy as np
import xgboost
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

app = FastAPI()
booster = xgboost.Booster(model_file=os.environ["MODEL"])
booster.set_param({"nthread": 1})


@app.post("/invocations")
async def invocations(request: Request) -> PlainTextResponse:
    body = await request.body()
    row = np.array(body.split(b","), dtype=np.float32).reshape(1, -1)
    return PlainTextResponse(repr(float(booster.inplace_predict(row)[0])))
