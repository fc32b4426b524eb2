"""What a launcher tells a worker: `spec.json` in the instance's folder, read once at start.

The folder is the whole of an instance: `spec.json`, `model/` (the unpacked artifact), `lock` (held
by the worker for life; it holds the worker's process id), `socket` (present once the worker takes
frames). A launcher that comes later reads from here whose instance it found.
"""

import json
from dataclasses import asdict, dataclass

SPEC = "spec.json"
MODEL = "model"
LOCK = "lock"
SOCKET = "socket"


@dataclass(frozen=True, slots=True)
class XGBoostRules:
    """How one XGBoost image answers; its versions differ (contract §3.4)."""

    honours_accept: bool  # else always `text/csv`, joined by commas on one line
    selectable_output: bool  # obeys SAGEMAKER_INFERENCE_OUTPUT
    libsvm_from_one: bool  # a libsvm body whose smallest index is ≥ 1 counts from one


@dataclass(frozen=True, slots=True)
class Spec:
    """One instance: whose it is, and what it serves.

    `fleet` is the launcher's caller's own mark; `algorithm` names the annex's module with `load`.
    """

    instance: str
    endpoint: str
    variant: str
    fleet: str
    image: str
    algorithm: str
    rules: XGBoostRules
    batch_rows_max: int  # most rows that are predicted together

    def encode(self) -> str:
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def decode(cls, text: str) -> "Spec":
        """Read a spec. Raise `ValueError` if it is malformed."""
        fields = json.loads(text)
        try:
            return cls(**{**fields, "rules": XGBoostRules(**fields["rules"])})
        except (TypeError, KeyError) as error:
            raise ValueError(f"no spec of an instance: {error}") from None
