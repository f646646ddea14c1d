"""A run's page: what it says, that nothing in it is foreign or unescaped, and that it stands by itself."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training import figures, report
from training.curves import Importance, RepLevel
from training.hidden_picking import Gaps, HiddenPicking, RepGap
from training.negative_control import NegativeControl
from training.report_page import inline, page
from training.sensitivity import Sensitivity, Strength

METRIC = {"value": 0.25, "standard_error": 0.0125}
FACTS = {
    "leadmatch": "1.2.3",
    "seed": 4,
    "rows": {"used": 12_345, "immature": 67, "rejected": 8},
    "conversion_rate": 0.1234,
    "trained_until_days": 20_000.0,  # 2024-10-04
    "dated": True,
    "lead_model": "trees",
    "columns": {"used": ["industry", "company_size"], "excluded": [{"column": "Tags", "why": "known too late"}]},
    "metrics": dict.fromkeys(("log_loss", "auc", "brier", "ece"), METRIC),
    "lead_alone_metrics": dict.fromkeys(("log_loss", "auc", "brier", "ece"), METRIC),
    "value_metrics": {
        "median_log_error": {"value": np.log(1.5), "standard_error": 0.02}, "r2": METRIC, "level": METRIC,
    },
    "potential": {"why": "Seen in 900 rows.", "gain": {"value": 0.021, "low": 0.008, "high": 0.034}},
}
HIDDEN = HiddenPicking(
    reasons_logged=True,
    clean_rows=900,
    hand_rows=500,
    gaps=Gaps(0.1, 0.3, 0.01, (RepGap("R-1", 40, 0.4, 0.1, 0.7), RepGap("R-2", 30, -0.2, -0.5, 0.1))),
    control=NegativeControl(("company_size",), 0.4, (0.4,), 0.005, 900),
    sensitivity=Sensitivity(Strength(1.05, 1.3), Strength(1.2, 1.6), 500),
    said=("Nothing hidden was seen.",),
)
def diagnosis(name, shares, warning=None):
    reps = [{"rep_id": f"R-{i}", "share": share, "logged_share": 0.5} for i, share in enumerate(shares)]
    return {"name": name, "largest_weight_share": 0.012, "reps": reps, "warning": warning}


POLICIES = {
    "unit": "conversions per lead",
    "baseline": "rotation",
    "label": "verified",
    "policies": [
        {"name": "rotation", "estimator": "dr", "headline": True, "value": 0.11, "low": 0.10, "high": 0.12,
         "effective_sample_size": 1_500.0, "supported_share": 1.0},
        {"name": "model", "estimator": "dr", "headline": True, "value": 0.13, "low": 0.11, "high": 0.15,
         "effective_sample_size": 1_234.0, "supported_share": 0.987},
        {"name": "model", "estimator": "ips", "headline": False, "value": 0.99, "low": None, "high": None,
         "effective_sample_size": None, "supported_share": 1.0},
    ],
    "differences": [{"name": "model", "over": "rotation", "value": 0.02, "low": 0.005, "high": 0.035}],
    "diagnostics": [diagnosis("rotation", (0.5, 0.5)), diagnosis("model", (0.7, 0.3), "The mean weight is off.")],
    "refused": [{"name": "always:R-9", "why": "Too little overlap."}],
}  # fmt: skip


@pytest.fixture
def measured(small_model):
    rng = np.random.default_rng(5)
    leads = np.column_stack([rng.integers(0, 3, 200), rng.gamma(2, 50, 200), rng.uniform(0, 24, 200), np.ones(200)])
    probability = rng.uniform(0.05, 0.6, 200)
    return report.measure(
        model=small_model,
        leads=leads,
        converted=(rng.random(200) < probability).astype(float),
        probability=probability,
        contributions=small_model.lead_model.contributions(leads)[:, :-1],
        kinds=leads[:, 0],
        rep=rng.integers(0, 4, 200),
    )


class Parts(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.text, self.open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "link", "img", "br", "path", "use", "image", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def made(model, measured, **changed):
    given = {"grounds": ("There is no champion yet.",), "hidden": HIDDEN, "policies": None} | changed
    return page(replace(model, facts=FACTS), measured, **given).decode()


def words(html):
    return " ".join(" ".join(Parts(html).text).split())


def test_the_page_says_what_was_found(small_model, measured):
    said = words(made(small_model, measured))
    for one in (
        "It matters which rep gets a lead.", "由谁跟进确有影响。", "Seen in 900 rows.", "There is no champion yet.",
        "+2.1 points over rotation (+0.8 to +3.4", "12,345 rows used, 67 too young or open, 8 refused",
        "12.3 % converted within 30 days", "newest row of 2024-10-04", "0.2500 ± 0.0125",
        "a factor of less than – 1.5000 ± 0.0300", "Nothing hidden was seen.", "Tags known too late",
        "negative control: company_size p = 0.400", "odds of 1.20 to 1", "industry, company_size",
        "For 1 of 2 reps hand-picked leads convert clearly otherwise",
    ):  # fmt: skip
        assert one in said, one
    assert "What policies are worth" not in said


def test_each_picture_has_its_finding_its_values_and_a_text_for_who_cannot_see_it(small_model, measured):
    html = made(small_model, measured)
    parts = Parts(html)
    pictures = [value for tag, name, value in parts.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(pictures) == html.count("<svg") == 7
    assert all(label and label in words(html) for label in pictures)
    assert html.count("<details>") == 6  # all but the summary of contributions, which has no few values
    assert html.count("<title>") == 1
    assert "R-1 40 +0.400 +0.100 +0.700" in words(html)
    first = measured.reliability[0]
    assert f"{first.predicted:.1%} {first.observed:.1%}".replace("%", " %") in words(html)
    assert f"{measured.importance[0].column} {measured.importance[0].value:.3f}" in words(html)


def test_judged_policies_are_shown_by_their_headline(small_model, measured):
    said = words(made(small_model, measured, policies=POLICIES))
    assert "model dr 13.00 % 11.00 % 15.00 % +2.00 +0.50 +3.50 1,234 98.70 % 1.20 %" in said
    assert "rotation dr 11.00 % 10.00 % 12.00 % – – – 1,500" in said
    assert "99.00" not in said
    assert "always:R-9: no figure. Too little overlap." in said
    assert "model: The mean weight is off." in said


def test_the_overlap_is_shown_rep_by_rep(small_model, measured):
    said = words(made(small_model, measured, policies=POLICIES))
    assert "R-0 50.00 % 50.00 % 70.00 %" in said
    assert "R-1 50.00 % 50.00 % 30.00 %" in said


def test_nothing_is_fetched_from_anywhere(small_model, measured):
    html = made(small_model, measured, policies=POLICIES)
    parts = Parts(html)
    metas = [value for tag, name, value in parts.attributes if (tag, name) == ("meta", "content")]
    assert any("default-src 'none'" in value for value in metas)
    assert not {"script", "link", "iframe", "object", "base"} & set(parts.tags)
    for _, name, value in parts.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "xlink:href", "srcset"):
            assert value.startswith(("#", "data:image/png;base64,")), value
    style = html[html.index("<style>") : html.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style


def test_ids_are_unique_and_every_reference_is_met(small_model, measured):
    html = made(small_model, measured)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r"url\(#([^)]+)\)", html)) | set(re.findall(r'href="#([^"]+)"', html))
    assert wanted
    assert wanted <= set(ids)


def test_colours_follow_the_page(small_model, measured):
    drawn = re.sub(r"data:image/png;base64,[^\"]*", "", made(small_model, measured).split("</style>", 1)[1])
    assert set(re.findall(r": (#[0-9a-f]{6})", drawn)) == set()
    assert "var(--accent)" in drawn
    assert "prefers-color-scheme: dark" in made(small_model, measured)


@settings(max_examples=25)
@given(st.text("<>&\"'/ab\n{}%$_\\", min_size=1), st.text("<script>&;", min_size=1))
def test_whatever_a_value_holds_it_stays_text(one, other):
    rows = [RepLevel(f"<img src=x>{one}", 0.5, 0.2, 0.8), RepLevel(other, -0.1, -0.4, 0.2)]
    finding, picture = inline(figures.draw_rep_levels(rows, narrow=True), "p")
    assert finding == "Of 2 reps 1 lie clearly above the average and 0 below"
    assert not {"img", "script", "b"} & set(Parts(str(picture)).tags)


def test_values_of_all_kinds_are_escaped_on_the_page(small_model, measured):
    evil = "\"></style><script>alert('x')</script>"
    facts = {**FACTS, "columns": {"used": [evil], "excluded": [{"column": evil, "why": evil}]}}
    facts["potential"] = {"why": evil, "gain": {"value": None, "low": None, "high": None}}
    policies = {**POLICIES, "refused": [{"name": evil, "why": evil}]}
    hidden = replace(HIDDEN, said=(evil,), gaps=replace(HIDDEN.gaps, reps=(RepGap(evil, 1, 0.0, -1.0, 1.0),)))
    named = replace(measured, columns=[evil, evil], importance=[Importance(evil, 0.5, 0.1)])
    model = replace(small_model, facts=facts)
    html = page(model, named, grounds=(evil,), hidden=hidden, policies=policies).decode()
    assert "script" not in Parts(html).tags
    assert words(html).count("alert('x')") >= 10
    assert html.count("</style>") == 1


def test_without_reps_their_parts_are_left_out(small_model, measured):
    none = replace(measured, rep_levels=[], overlap=[], gains=[])
    said = words(made(small_model, none, hidden=None))
    for heading in ("What tells reps apart?", "hand-picking", "Are the best leads found first?"):
        assert heading not in said
    assert "Do predicted chances come true?" in said


def test_the_same_run_makes_the_same_bytes(small_model, measured):
    assert made(small_model, measured) == made(small_model, measured)
