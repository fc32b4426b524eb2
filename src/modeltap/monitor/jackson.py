"""JSON as AWS's analyzer writes it: Jackson's pretty printer, and doubles in Java's form.

{
  "version" : 0.0,
  "features" : [ {
    "name" : "Churn"
"""

import json
import math

from modeltap.monitor.javanumbers import java_double
from modeltap.nouns import Document


def pretty(document: Document) -> str:
    """Write a document; `ValueError` for a number that JSON does not know."""
    return _written(document, "\n")


def _written(value: object, margin: str) -> str:
    if isinstance(value, dict):
        inner = margin + "  "
        members = (
            f"{json.dumps(name, ensure_ascii=False)} : {_written(each, inner)}"
            for name, each in value.items()
        )
        return "{" + inner + f",{inner}".join(members) + margin + "}" if value else "{ }"
    if isinstance(value, list):
        return "[ " + ", ".join(_written(each, margin) for each in value) + " ]" if value else "[ ]"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no number of JSON's")
        return java_double(value)
    return json.dumps(value, ensure_ascii=False)
