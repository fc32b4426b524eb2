"""For one measurement only: a gateway that takes every signature for good.

Python imports this module at start where its folder stands on PYTHONPATH, which `contenders/
modeltap.py` sets for the row "not verified". modeltap has no setting that does this. Everything
else, the hash of the body included, is done as always, so that the difference is verification.
"""

import sys

if "modeltap.house" in sys.orig_argv and '"role":"gateway"' in sys.orig_argv[-1]:
    from modeltap.house import gateway

    class _Unverifying:
        def __init__(self, *_: object) -> None:
            pass

        def verify(self, *_: object) -> str:
            return "nobody"

    vars(gateway)["Verifier"] = _Unverifying
    print("benchmark only: this gateway verifies no signature", file=sys.stderr)
