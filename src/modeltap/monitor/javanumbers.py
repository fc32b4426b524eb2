"""Numbers as Java writes them, because AWS's texts and documents come from there."""

from decimal import Decimal


def java_double(value: float) -> str:
    """Write a double like `Double.toString`: 5.0E-4, 0.001, 1.0E7."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(float(value))
    sign, digits, exponent = Decimal(repr(float(value))).as_tuple()
    first, *rest = map(str, digits)
    fraction = "".join(rest).rstrip("0") or "0"
    return f"{'-' if sign else ''}{first}.{fraction}E{len(rest) + int(exponent)}"


def percent(share: float) -> str:
    return f"{java_double(share * 100)}%"
