"""`NextToken`s: where a page ended, as text that only we can read."""

import base64
import json

from modeltap.errors import ValidationException


def written(value: int | str | None, *keys: int | str) -> str:
    """Write the sort value and the key of a page's last row."""
    return base64.urlsafe_b64encode(json.dumps([value, *keys]).encode()).decode()


def read(token: str, *kinds: type[int] | type[str]) -> tuple[int | str, ...]:
    """Read a token: a sort value, and keys of these kinds (one text, if none is named).

    Raise `ValidationException` on one that is none of ours.
    """
    try:
        value, *keys = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError) as error:
        raise ValidationException("Invalid NextToken.") from error
    kinds = kinds or (str,)
    fits = len(keys) == len(kinds) and all(map(isinstance, keys, kinds))
    if not fits or not isinstance(value, int | str):
        raise ValidationException("Invalid NextToken.")
    return value, *keys
