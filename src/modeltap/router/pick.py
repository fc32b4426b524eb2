"""Which variant answers: by weight and chance, or the one that the caller names.

P(variant) = weight / Σ weights; a variant of weight 0 gets no traffic, but may be named
(contract §2.8).
"""

from modeltap.errors import ValidationError
from modeltap.nouns import Route, Variant


def by_weight(route: Route, chance: float) -> Variant | None:
    """Pick a variant for a chance in [0, 1); None where no variant has weight."""
    if len(route.variants) == 1 and route.variants[0].weight > 0:
        return route.variants[0]
    mark = chance * sum(variant.weight for variant in route.variants)
    weighed = [variant for variant in route.variants if variant.weight > 0]
    for variant in weighed:
        if mark < variant.weight:
            return variant
        mark -= variant.weight
    # Rounding may leave a mark of almost nothing: it belongs to the last that has weight.
    return weighed[-1] if weighed else None


def by_name(route: Route, name: str, account: str) -> Variant:
    """Give the variant that `TargetVariant` names; raise `ValidationError` if there is none."""
    for variant in route.variants:
        if variant.name == name:
            return variant
    raise ValidationError(
        f"Variant {name} not found for endpoint {route.endpoint} of account {account}."
    )
