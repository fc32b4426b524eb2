"""Where records go and how they are encoded: what all records of one segment share."""

from dataclasses import dataclass

import orjson

from modeltap.errors import MalformedRecord
from modeltap.nouns import CapturePlan


@dataclass(frozen=True, slots=True)
class Stream:
    """An endpoint's variant under one plan; opaque bytes to the ring and the spooler."""

    endpoint: str
    variant: str
    plan: CapturePlan

    def encode(self) -> bytes:
        """Write the stream; equal streams give equal bytes."""
        plan = self.plan
        document = {
            "endpoint": self.endpoint,
            "variant": self.variant,
            "percentage": plan.sampling_percentage,
            "destination": plan.destination,
            "input": plan.input,
            "output": plan.output,
            "csv": sorted(plan.csv_types),
            "json": sorted(plan.json_types),
            "kms": plan.kms_key_id,
        }
        return orjson.dumps(document)

    @classmethod
    def decode(cls, data: bytes) -> "Stream":
        """Read a stream. Raise `MalformedRecord` on bytes that `encode` cannot have made."""
        try:
            document = orjson.loads(data)
            plan = CapturePlan(
                sampling_percentage=document["percentage"],
                destination=document["destination"],
                input=document["input"],
                output=document["output"],
                csv_types=frozenset(document["csv"]),
                json_types=frozenset(document["json"]),
                kms_key_id=document["kms"],
            )
            return cls(document["endpoint"], document["variant"], plan)
        except (KeyError, TypeError, ValueError) as error:
            raise MalformedRecord(f"no stream: {type(error).__name__}") from None
