"""The report in a real browser: it shows what it should, complains of nothing, obeys nobody."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from browser import Page, page
from modeltap.monitor.findings import Findings
from modeltap.monitor.report import html
from report_world import compared, spread

FEATURES = 40
TAKEN = "document.title = 'taken'"
ATTACK = f'</script><script>{TAKEN}</script><img src=x onerror="{TAKEN}">'

SEEN = """[...document.querySelectorAll('.chart')].filter(each => {
  const box = each.getBoundingClientRect();
  return box.width > 100 && box.height > 15;
}).length"""
CARDS = "[...document.querySelectorAll('.card')].filter(each => each.offsetHeight > 0).length"
DRAWN = """[...document.querySelectorAll('.card')].every(each => {
  const marks = [...each.querySelectorAll('path.then, path.now, .bar, rect.then')];
  return marks.some(mark => mark.getBoundingClientRect().height > 2);
})"""
FIRST = "document.querySelector('.all tbody tr:not([hidden]) th').textContent"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html(findings()))
    with page() as shown:
        shown.open(path)
        yield shown


def findings() -> Findings:
    numbers = {f"number {at:02}": spread(300) for at in range(FEATURES - 2)}
    known = {**numbers, "plan": ["gold", "none"] * 150, ATTACK: ["a", "b"] * 150}
    current = {**known, "number 07": spread(300, 0.7), "plan": [ATTACK, "none"] * 150}
    return replace(compared(known, current), title=ATTACK, notes=(ATTACK,))


def test_every_small_multiple_is_seen(opened: Page) -> None:
    assert opened.value(SEEN) == opened.value(CARDS) == FEATURES
    assert opened.value(DRAWN)


def test_nothing_of_the_data_runs(opened: Page) -> None:
    assert opened.value("document.title").startswith("</script>")
    assert opened.value("document.scripts.length") == 1
    assert opened.value("document.images.length") == 0


def test_what_violates_can_be_asked_for(opened: Page) -> None:
    opened.value("document.getElementById('only').click()")
    assert opened.value(CARDS) == 2
    opened.value("document.getElementById('only').click()")
    assert opened.value(CARDS) == FEATURES


def test_a_feature_is_found_by_its_name(opened: Page) -> None:
    find = "const it = document.getElementById('find'); it.value = '{}'; "
    find += "it.dispatchEvent(new Event('input'))"
    opened.value("{" + find.format("NUMBER 1") + "}")
    assert opened.value(CARDS) == 10
    opened.value("{" + find.format("") + "}")


def test_the_table_is_sorted_by_a_column(opened: Page) -> None:
    press = "document.querySelector('.all thead th:nth-child({}) button').click()"
    opened.value(press.format(4))
    assert opened.value(FIRST) == "number 07"
    opened.value(press.format(1) + ";" + press.format(1))
    assert opened.value(FIRST).startswith("</script>")


@pytest.mark.parametrize("width", [360, 800, 1_600])
def test_nothing_stands_beyond_the_window(opened: Page, width: int) -> None:
    opened.size(width, 900)
    assert opened.value("document.documentElement.scrollWidth") <= width
    assert opened.value(SEEN) == FEATURES


def test_light_and_dark(opened: Page) -> None:
    colours = set()
    for scheme in ("light", "dark"):
        opened.prefer(scheme)
        colours.add(opened.value(BACKGROUND))
    assert len(colours) == 2


def test_a_record_at_fault_can_be_looked_at(opened: Page) -> None:
    opened.value("document.querySelector('details summary').click()")
    assert opened.value("document.querySelector('details table').offsetHeight") > 50


def test_the_browser_complained_of_nothing(opened: Page) -> None:
    assert opened.complaints == []


def test_a_report_without_anything_opens(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html(compared({}, {})))
    with page() as shown:
        shown.open(path)
        assert shown.value("document.querySelector('.verdict').offsetHeight") > 20
        assert shown.complaints == []
