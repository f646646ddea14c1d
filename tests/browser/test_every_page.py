"""Every page, in both languages, wide and narrow: nothing broken, nothing asked of others, nothing too wide."""

from pathlib import Path

import pytest

from data.store import listing
from tests.browser.steps import CUT_OFF, sent

AXE = (Path(__file__).parent.parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
PAGES = {
    "/assignments": "[data-open]",
    "/assignments?grade=A&range=today": "h1",
    "/assignments?q=nothing+like+it": ".empty",
    "/decisions/{decision}": "[data-waterfall]",
    "/decisions/{decision}/reassign": "form.sheet",
    "/assignments/hand-over?ids={decision}": "form",
    "/my-leads?rep=R-0": ".lead-card",
    "/rules": ".pairs",
    "/rules/edit": "textarea",
}
WIDE, USUAL, NARROW = ({"width": width, "height": 860} for width in (1440, 1280, 390))
SERIOUS = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
    .filter(each => ["serious", "critical"].includes(each.impact))
    .map(each => each.id + ": " + each.nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join(" | "))"""


@pytest.fixture(scope="module")
def decision_id(stage):
    found = stage.call("GET", "/v1/decisions", role="manager", limit=50).json()["decisions"]
    return next(each["decision_id"] for each in found if each["rep_id"] and each["reasons"])


@pytest.fixture(scope="module")
def signed_in(stage, browser):
    """A manager's page in each language, kept for all pages; and what went wrong on it."""
    opened = {}
    for language, locale in (("en", "en-GB"), ("zh", "zh-CN")):
        context = browser.new_context(locale=locale, timezone_id="Asia/Shanghai")
        page, problems = context.new_page(), []
        bad = ("error", "warning")
        page.on("console", lambda told, to=problems, bad=bad: to.append(told.text) if told.type in bad else None)
        page.on("pageerror", lambda error, to=problems: to.append(str(error)))
        page.on("request", lambda asked, to=problems: to.append(asked.url) if stage.url not in asked.url else None)
        page.goto(stage.link())
        sent(page, "button.primary")
        opened[language] = (page, problems)
    return opened


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("address", PAGES)
def test_a_page_is_whole(stage, signed_in, decision_id, address, language):
    page, problems = signed_in[language]
    problems.clear()
    page.set_viewport_size(WIDE)
    page.goto(stage.url + address.format(decision=decision_id))
    page.wait_for_selector(PAGES[address])
    assert page.get_attribute("html", "lang").startswith(language)
    for size in (WIDE, USUAL, NARROW):
        page.set_viewport_size(size)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], size
        assert size is NARROW or page.evaluate(CUT_OFF) == [], size
        if size is not USUAL and (size is NARROW or language == "en"):
            page.evaluate(AXE)
            assert page.evaluate(SERIOUS) == []
    assert problems == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_theme_has_contrast_enough(stage, signed_in, decision_id, theme):
    page, _ = signed_in["en"]
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size(WIDE)
    for address in ("/assignments", f"/decisions/{decision_id}", "/my-leads?rep=R-0", "/rules/edit"):
        page.goto(stage.url + address)
        page.evaluate(AXE)
        assert page.evaluate(SERIOUS) == [], address
    page.emulate_media(color_scheme="light")


def test_the_first_pages_of_an_empty_service_say_what_to_do(empty_stage, browser):
    page = browser.new_context(locale="en-GB").new_page()
    page.goto(empty_stage.link())
    sent(page, "button.primary")
    assert "leadmatch roster put" in page.inner_text(".empty")
    page.context.close()


def test_a_problem_is_told_in_the_reader_s_language(stage, signed_in, decision_id):
    for language, words in (("en", "There is no such rep on the roster."), ("zh", "名单中没有这位销售。")):
        page, _ = signed_in[language]
        page.goto(f"{stage.url}/team/R-nobody")
        assert words in page.inner_text("main")
    page.goto(f"{stage.url}/rules/edit")
    page.fill("textarea", "holdout:\n  live: 2\n")
    page.click("button[formnovalidate]")
    assert "第 2 行 holdout.live：应不大于" in page.inner_text("[role=alert]")


def test_a_filter_that_fits_hardly_anything_is_followed_back_page_by_page(stage, signed_in, monkeypatch):
    monkeypatch.setattr(listing, "LOOKED_AT", 10)
    page, _ = signed_in["en"]
    page.goto(f"{stage.url}/assignments?source=none")
    seen = 0
    while page.locator("text=Look further back").count():
        assert "Nothing fits since" in page.inner_text(".empty h2")
        page.evaluate(AXE)
        assert page.evaluate(SERIOUS) == []
        sent(page, "text=Look further back")
        seen += 1
    assert seen == 2  # of 24 decisions
    assert page.inner_text(".empty h2") == "No assignment fits these filters"
    exported = page.context.request.get(f"{stage.url}/assignments.csv?source=referral").text()
    everything = page.context.request.get(f"{stage.url}/assignments.csv").text()
    assert exported.count("referral") == everything.count("referral") == exported.count("\n") - 1 == 8


def test_a_row_with_much_to_say_pushes_nothing_out_of_sight(stage, signed_in):
    page, _ = signed_in["en"]
    told = stage.assign("L-wide", company="W" * 60, source="w" * 60, industry="manufacturing").json()
    moved = "R-2" if told["rep_id"] == "R-3" else "R-3"
    body = {"rep_id": moved, "reason": "knows them", "version": 1}
    address = f"/v1/decisions/{told['decision_id']}/override"
    assert stage.call("POST", address, body, role="manager").status_code == 200
    said = {"event_id": "e-wide", "lead_id": "L-wide", "event": "feedback", "reason": "another region"}
    said["occurred_at"] = stage.now.isoformat()
    assert stage.call("POST", "/v1/outcomes", said, role="manager").status_code == 200
    for size in (WIDE, USUAL):
        page.set_viewport_size(size)
        page.goto(f"{stage.url}/assignments")
        row = page.locator("tbody tr").first
        assert row.locator(".tag").count() == 2
        assert page.evaluate(CUT_OFF) == [], size
        assert row.locator(".act").bounding_box()["x"] < size["width"] - 80
