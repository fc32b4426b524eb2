"""Texts that strangers wrote, made harmless and short; numbers as people read them."""

import math

CUT = "…"
NONE = "-"
"""Stands where there is no number."""


def shown(text: str, most: int) -> str:
    """Cut a text to `most` characters, and make it printable."""
    return printable(text if len(text) <= most else text[: most - 1] + CUT)


def printable(text: str) -> str:
    """Spell out what does not print.

    Escape sequences, zeros, halves of surrogate pairs and marks that turn the direction of reading
    can break a page or a terminal, or make one text look like another.
    """
    return text if text.isprintable() else "".join(map(_spelled, text))


def _spelled(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def number(value: float | None, digits: int = 4) -> str:
    """Write a number with so many significant digits, whole ones in full up to a million."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3g}"
    if float(value).is_integer():
        return f"{value:,.0f}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return _trimmed(f"{value:,.{decimals}f}")


def _trimmed(digits: str) -> str:
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def percent(share: float) -> str:
    """Write a share from 0 to 1; what is not quite nothing or all does not look like it."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{_trimmed(f'{share * 100:.1f}')} %"


def counted(count: int, one: str, many: str = "") -> str:
    """Write `1 row`, `2,333 rows`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
