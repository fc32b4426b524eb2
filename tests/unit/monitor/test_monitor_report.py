"""The page: all is said, nothing of the data is obeyed, and it never grows too large."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from modeltap.monitor.checks import Drift, Violation
from modeltap.monitor.distance import Dialect
from modeltap.monitor.findings import Findings, Offender
from modeltap.monitor.profile import Reject, rejects_of
from modeltap.monitor.report import html
from modeltap.monitor.report.page import BYTES_MAX
from modeltap.monitor.report.portrait import portraits
from modeltap.monitor.report.verdict import correction_of
from report_world import Table, compared, described, spread

HOSTILE = (
    "</title></style></script><script>alert(1)</script><img src=x onerror='alert(2)'>\"&\x00\u202e"
)


class Elements(HTMLParser):
    """Every start tag with its attributes, and all text outside of style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag
        self.text += " "

    def handle_data(self, data: str) -> None:
        if self.inside not in ("style", "script"):
            self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def drifted() -> Findings:
    baseline = {"age": spread(400), "plan": ["gold", "none"] * 200, "left": ["1"] * 400}
    current = {"age": spread(400, 0.6), "plan": ["gold", "none"] * 200, "new": ["1"] * 400}
    return compared(baseline, current)


def plain(page: str) -> str:
    return " ".join(Elements(page).text.split())


# ---------------------------------------------------------------- what it says


def test_verdict_violations_and_their_records_are_there() -> None:
    text = plain(html(drifted()))
    verdict = "3 violations in 1 of 3 features: 1 drift, 1 missing columns, 1 extra columns."
    for word in (verdict, "Baseline drift distance", "event-9", "missing", "400 baseline 400"):
        assert word in text


def test_the_columns_that_came_and_went_are_named() -> None:
    findings = compared({"a": ["1"], "gone": ["1"]}, {"a": ["1"], "x": ["1"], "y": ["1"]})
    text = plain(html(findings))
    assert re.search(r"Missing columns missing columns There are .*? gone", text)
    assert re.search(r"Extra columns extra columns There are .*? x y", text)


def test_what_drifted_most_comes_first() -> None:
    baseline = {name: spread(2_000) for name in "abcd"}
    current = {
        name: spread(2_000, shift) for name, shift in zip("abcd", (0, 0.3, 0.6, 0.2), strict=True)
    }
    page = html(compared(baseline, current))
    assert re.findall(r"<h3>(.)</h3>", page) == ["c", "b", "d", "a"]


def test_no_violation() -> None:
    findings = compared({"a": spread(100)}, {"a": spread(100)})
    text = plain(html(findings))
    assert "No violation: 100 rows of 1 feature keep to the baseline." in text
    assert "Violations 0" in text


def test_no_baseline() -> None:
    page = html(described({"a": spread(100), "b": ["x", "y"] * 50}))
    assert "there was no baseline to compare with" in plain(page)
    assert page.count("<article") == 2
    assert 'class="then"' not in page and "threshold" not in plain(page)


def test_no_row() -> None:
    text = plain(html(compared({"a": ["1"], "b": ["x"]}, {"a": [], "b": []})))
    assert "There was no row to judge." in text
    assert plain(html(described({})))


def test_nothing_was_judged() -> None:
    findings = drifted()
    assert findings.baseline_constraints is not None
    config = {
        **findings.baseline_constraints["monitoring_config"],
        "evaluate_constraints": "Disabled",
    }
    document = {**findings.baseline_constraints, "monitoring_config": config}
    text = plain(html(replace(findings, baseline_constraints=document, violations=())))
    assert "Nothing was judged" in text


def test_columns_that_cannot_be_drawn_say_so() -> None:
    many = [f"text {at}" for at in range(200)]
    table: Table = {"many": many, "none": [None] * 200, "numbers": spread(200)}
    text = plain(html(compared({**table, "numbers": many}, table)))
    assert "Too many different texts to draw." in text
    assert "No value." in text


def test_rejected_records_and_notes_are_shown() -> None:
    rejects = rejects_of(Reject("ragged row", f"a.jsonl:{at}", "1,2") for at in range(14))
    text = plain(html(described({"a": ["1"]}, rejects=rejects, notes=("3 are still pending.",))))
    for word in ("ragged row 14 records", "10 samples", "a.jsonl:9", "3 are still pending."):
        assert word in text
    assert "a.jsonl:10" not in text


def test_the_window_is_shown() -> None:
    findings = described({"a": ["1"]}, window=("2024-05-01T13:00:00Z", "2024-05-01T14:00:00Z"))
    assert "2024-05-01T13:00:00Z to 2024-05-01T14:00:00Z" in plain(html(findings))


# ---------------------------------------------------------------- distances


def one_hot(share: float, count: int) -> list[str]:
    return ["1" if at < share * count else "0" for at in range(count)]


def test_where_the_dialects_disagree_the_feature_says_so() -> None:
    findings = compared({"State_WY": one_hot(0.1, 2_000)}, {"State_WY": one_hot(0.4, 2_000)})
    text = plain(html(findings))
    assert "the exact distance alone exceeds the threshold. AWS\u2019s is judged." in text
    assert "In 1 feature the distance that AWS computes and the exact one lead to" in text


def test_what_the_robust_correction_hides_is_told_with_its_size() -> None:
    findings = compared({"a": spread(2_000)}, {"a": spread(200, 0.15)})
    (portrait,) = portraits(findings)
    assert findings.violations == () and portrait.hidden
    text = plain(html(findings))
    assert "In 1 feature only the Robust correction keeps the distance below" in text
    assert "else above the threshold" in text
    assert f"that is {correction_of(findings):.4g}"[:14] in text


def test_without_the_correction_nothing_is_hidden() -> None:
    config = {"comparison_method": "Simple"}
    findings = compared({"a": spread(2_000)}, {"a": spread(200, 0.15)}, config)
    (portrait,) = portraits(findings)
    assert len(findings.violations) == 1 and not portrait.hidden and portrait.taken_off == 0


def test_a_p_value_is_the_worse_the_lower() -> None:
    config = {"categorical_drift_method": "ChiSquared"}
    baseline = {"same": ["x", "y"] * 500, "other": ["x", "y"] * 500}
    current = {"same": ["x", "y"] * 100, "other": ["x", "x", "x", "y"] * 50}
    findings = compared(baseline, current, config)
    assert [each.name for each in portraits(findings)] == ["other", "same"]
    assert "p-value" in plain(html(findings))


@pytest.mark.parametrize("threshold", [0.0, 0.1])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_extreme_distances_leave_no_nan(threshold: float, value: float) -> None:
    drift = Drift("a", value, value, threshold, Dialect.AWS)
    findings = replace(compared({"a": spread(9)}, {"a": spread(9)}), drifts=(drift,))
    page = html(findings)
    assert not re.search(r"\b(nan|inf|NaN)\b", re.sub("<script>.*</script>", "", page, flags=re.S))


def test_extreme_numbers_leave_no_nan() -> None:
    table = {
        "far": ["1e308", "-1e308", *spread(98)],
        "same": ["7"] * 100,
        "tiny": ["5e-324"] * 99 + ["0"],
        "long": [f"{at}e300" for at in range(100)],
    }
    for findings in (compared(table, table), described(table)):
        page = html(findings)
        assert page.count("<article") == 4
        assert not re.search(r'[ "](nan|inf|-inf)\b', page)


# ---------------------------------------------------------------- strangers


def hostile() -> Findings:
    names = {HOSTILE: ["1", "2"], "": ["1", "2"], "\ud800": ["a", HOSTILE]}
    findings = compared({HOSTILE: ["5", "6"]}, names)
    violation = Violation(HOSTILE, HOSTILE, HOSTILE)
    return replace(
        findings,
        title=HOSTILE,
        notes=(HOSTILE,),
        window=(HOSTILE, HOSTILE),
        rejects=rejects_of([Reject(HOSTILE, HOSTILE, HOSTILE)]),
        violations=(violation, *findings.violations),
        offenders={(HOSTILE, HOSTILE): (Offender(HOSTILE, HOSTILE),)},
    )


def test_no_text_of_the_data_becomes_markup() -> None:
    page = Elements(html(hostile()))
    assert page.count("script") == page.count("style") == 1
    assert page.count("img") == 0
    named = {attribute for _, attributes in page.tags for attribute in attributes}
    assert not {each for each in named if each.startswith("on")} | named & {"src", "style"}
    assert "alert(1)" in page.text


def test_what_does_not_print_is_spelled_out() -> None:
    page = html(hostile())
    page.encode()  # half a surrogate pair could not be written
    assert not {"\x00", "\u202e"} & set(page)
    assert r"\u202e" in page and r"\ud800" in page and "(no name)" in page


def test_nothing_outside_is_asked_for() -> None:
    page = html(drifted())
    links = [
        value
        for _, all_of_it in Elements(page).tags
        for key, value in all_of_it.items()
        if key == "href"
    ]
    assert links and all(str(link).startswith("#f") for link in links)
    assert "://" not in page
    assert "default-src 'none'" in page


def test_every_link_leads_somewhere() -> None:
    page = html(wide(600))
    targets = set(re.findall(r'<article[^>]* id="(f\d+)"', page))
    links = re.findall(r'href="#(f\d+)"', page)
    assert targets and set(links) <= targets


# ---------------------------------------------------------------- size


def test_violations_come_in_the_order_of_the_drawings() -> None:
    page = html(wide(600))
    found = re.findall(r"<li><h3>.*?(feature \d+)", page)
    drawn = re.findall(r"<article.*?>\s*<h3>(feature \d+)", page)
    assert found[: len(drawn)] == drawn[: len(found)] and min(len(found), len(drawn)) > 50


def wide(count: int, name: str = "feature {} of a table that is wide") -> Findings:
    names = [name.format(at) for at in range(count)]
    baseline = {each: spread(30) for each in names}
    return compared(baseline, {each: spread(30, at % 3) for at, each in enumerate(names)})


@pytest.mark.parametrize("count", [1, 70, 500, 2_000])
def test_it_is_small_and_what_is_left_out_is_said(count: int) -> None:
    page = html(wide(count))
    assert len(page.encode()) < BYTES_MAX
    drawn, listed = (
        page.count("<article"),
        page.count('<tr><th scope="row"') + page.count('<tr class="bad"'),
    )
    assert drawn == count or f"{count - drawn:,} features more are not drawn" in page
    assert listed == count or f"{count - listed:,} features more in" in page
    assert drawn >= min(count, 70) and listed >= min(count, 500)


def test_it_is_small_with_hostile_names() -> None:
    page = html(wide(2_000, "<&\"'\u202e\U0001f600" * 200 + "{}"))
    assert len(page.encode()) < BYTES_MAX
    assert page.count("<article") > 20


def test_it_is_small_with_endless_texts() -> None:
    rejects = rejects_of(Reject(f"{at}" * 1_000, "x" * 10_000, "y" * 10_000) for at in range(900))
    findings = replace(drifted(), title="t" * 10**6, notes=("n" * 10**6,) * 100, rejects=rejects)
    page = html(findings)
    assert len(page.encode()) < BYTES_MAX
    assert "more notes more" not in page and "notes more." in page and "more reasons." in page
