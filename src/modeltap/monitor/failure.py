"""Why an analysis could not be made."""

from modeltap.errors import HouseError


class AnalysisFailed(HouseError):
    """Data, baseline or request cannot be used. The text names the fault and the fix."""
