"""Power is lost at every step, again and again (F3): nothing that was safe is lost, nothing false.

`power_images.py` makes the images and says what must hold.
"""

from pathlib import Path

import pytest
from running import Script

PROCESSES = 2


@pytest.mark.parametrize("images", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_what_was_released_survives_every_loss_of_power(tmp_path: Path, images: int) -> None:
    share = images // PROCESSES
    running = [
        Script("power_images.py", tmp_path / f"events{first}", share, first * share)
        for first in range(PROCESSES)
    ]
    told = [script.told() for script in running]
    assert sum(each["images"] for each in told) >= images
    assert sum(each["records"] for each in told) > images
