"""Say at the head of a run what on this machine the tests have to work around."""

from machine import CAPTURE_STOPS_AT_PERCENT, disk_is_full


def pytest_report_header() -> list[str]:
    if not disk_is_full():
        return []
    return [
        f"THE DISK IS FULLER THAN {CAPTURE_STOPS_AT_PERCENT:.0f} %: capture would stop here, so "
        "the acceptance tests raise capture_disk_stop_percent to 99.9"
    ]
