"""The pages of figures in a browser: they say what the interface says, and what is changed there changes here."""

import contextlib
import re
import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from serving.models import model_desk
from serving.pages import rule_book, team, visitor
from serving.pages.worth import METHODS
from serving.reports import desk
from tests.browser.steps import CUT_OFF, sent

PAGES = ("/worth", "/team", "/team/R-1", "/sources", "/model")
LANGUAGES, WIDTHS = ("en", "zh"), (1440, 1280, 390)
DAYS, A_DAY = 70, 3


@pytest.fixture(scope="module", autouse=True)
def registry():
    """An empty one: the real one takes a process of its own and MLflow's imports, and has its own tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_desk, "newest_versions", lambda home, timeout_s: [])
        yield


@pytest.fixture(scope="module")
def stage(tmp_path_factory, small_model, stage_kind):
    """A floor that has worked for ten weeks, with what came of its leads."""
    made = stage_kind(f"sqlite:///{tmp_path_factory.mktemp('figures')}/ledger.db", small_model)
    began = datetime.now(UTC) - timedelta(days=DAYS)
    made.now = began
    made.roster(
        {"rep_id": "R-0", "name": "Li Na", "team": "East", "skills": ["manufacturing"], "capacity": 400},
        {"rep_id": "R-1", "name": "王伟", "team": "East", "skills": ["retail"]},
        {"rep_id": "R-2", "name": "Kevin Zhao", "team": "South", "hired_at": "2026-10-01"},
    )
    rng, events = np.random.default_rng(4), []
    for number in range(DAYS * A_DAY):
        made.now = began + timedelta(days=number / A_DAY)
        told = made.assign(
            f"F-{number}", industry=("manufacturing", "retail")[number % 2], company_size=int(20 + number % 90),
            source=("web form", "referral", "展会")[number % 3], created_at=made.now.isoformat(),
        ).json()  # fmt: skip
        happened = [("contacted", 0.03)] if number % 5 else []
        happened += [("won", 4.0)] if rng.random() < told["probability"] else [("lost", 6.0)] if number % 2 else []
        events += [
            {"event_id": f"{number}-{event}", "lead_id": f"F-{number}", "event": event, "reason": "no budget",
             "occurred_at": (made.now + timedelta(days=after)).isoformat()}
            for event, after in happened if made.now + timedelta(days=after) < began + timedelta(days=DAYS)
        ]  # fmt: skip
    made.now = None
    assert made.call("POST", "/v1/outcomes", events).status_code == 200
    yield made
    made.close()


def report(stage, name):
    return stage.call("GET", f"/v1/reports/{name}", role="manager", wait_ms=10_000).json()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_stands_in_both_languages_wide_and_narrow(stage, person, path):
    page = person("manager")
    for language in LANGUAGES:
        page.context.add_cookies([{"name": "leadmatch_language", "value": language, "url": stage.url}])
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.goto(stage.url + path).status == 200
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (language, width)
            assert width < 760 or page.evaluate(CUT_OFF) == [], (language, width)
            assert page.get_attribute("html", "lang").startswith(language)


@pytest.mark.parametrize("path", PAGES)
def test_no_page_keeps_anybody_out(stage, person, axe, path):
    page = person("manager")
    page.goto(stage.url + path)
    assert axe(page) == []


def test_a_page_whose_figures_take_long_opens_at_once_and_shows_them_by_itself(stage, person, monkeypatch):
    may_end, lift = threading.Event(), desk.REPORTS["lift"]
    monkeypatch.setitem(desk.REPORTS, "lift", lambda view: may_end.wait(60) and lift(view))
    monkeypatch.setattr(visitor, "PATIENCE_MS", 0)
    page = person("manager")
    assert page.goto(f"{stage.url}/worth?range=365d").status == 200
    assert page.locator("[data-again]").count() == 1
    may_end.set()
    page.wait_for_selector(".verdict .sentence")


def test_the_verdict_is_the_reports_own_sentence(stage, person):
    lift = report(stage, "lift")
    page = person("analyst")
    page.goto(f"{stage.url}/worth?range=all")
    assert page.inner_text(".verdict .sentence") == lift["verdict"]["text"]["en"]
    gains = page.eval_on_selector_all(".section:has(#gain) tbody tr", "rows => rows.length")
    assert gains == len(lift["over_time"]) > 10
    shown = page.inner_text("table.figures >> nth=0")
    value = 100 * lift["doubly_robust"]["value"]
    expected = "0 pts" if abs(value) < 0.05 else f"{value:+.0f}" if abs(value) >= 9.95 else f"{value:+.1f}"
    assert expected.replace("-", "−") in shown


@pytest.mark.parametrize(("locale", "width"), [("en-GB", 1440), ("zh-CN", 390)])
def test_all_methods_are_replayed_one_after_another(stage, person, axe, locale, width):
    page = person("analyst", locale=locale, viewport={"width": width, "height": 844})
    page.goto(f"{stage.url}/worth?range=all")
    page.click("#methods button")
    page.wait_for_selector("[data-method=fastest_responder]")
    shown = page.eval_on_selector_all("[data-method]", "rows => rows.map(row => [row.dataset.method, row.className])")
    assert tuple(method for method, _ in shown) == METHODS
    assert dict(shown)["rotation"] == ""  # half of the log is rotation's own
    policies = report(stage, "lift")["policies"]
    assert [each["name"] for each in policies] == ["as_it_ran", "model", "rotation"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert axe(page) == []


def test_whiskers_stand_where_the_figures_say(stage, person):
    page = person("manager")
    page.goto(f"{stage.url}/sources?range=all")
    rows = report(stage, "sources")["sources"]
    first = max(rows, key=lambda row: row["leads"])
    band = page.locator("tbody tr >> nth=0 >> svg.whisker >> nth=1 >> rect.band")
    everything = [row["conversion"]["high"] for row in rows] + [report(stage, "sources")["all"]["conversion"]["high"]]
    expected = 100 * first["conversion"]["low"] / (1.04 * max(everything))
    assert float(band.get_attribute("x")) == pytest.approx(expected, abs=0.02)


def test_the_names_beside_bars_have_room_in_the_font_that_they_are_drawn_in(stage, person):
    page = person("manager")
    page.goto(f"{stage.url}/sources?range=all")
    rooms = page.evaluate("""() => [...document.querySelectorAll("[data-chart]")].map(element => {
        const chart = echarts.getInstanceByDom(element), label = chart.getOption().yAxis[0];
        const pen = document.createElement("canvas").getContext("2d");
        const font = getComputedStyle(document.body).fontFamily;
        pen.font = "12px " + font;
        const widest = Math.max(...label.data.map(name => pen.measureText(name).width));
        const left = chart.getModel().getComponent("grid").coordinateSystem.getRect().x;
        return [left - label.axisLabel.margin - widest, label.axisLabel.fontFamily === font];
    })""")
    assert len(rooms) == 2
    for room, own_font in rooms:
        assert room > -1  # pixels to spare
        assert own_font  # where a page's font and the default are one, the room alone would tell nothing


def test_an_alert_opens_the_leads_it_is_about(stage, person):
    overdue = next(each for each in report(stage, "alerts")["alerts"] if each["kind"] == "overdue")
    page = person("manager")
    page.goto(f"{stage.url}/sources")
    page.click("#alerts summary >> nth=0")
    assert page.inner_text(".alert-items a >> nth=0") == overdue["items"][0]["lead_id"]


def test_an_absence_set_here_keeps_leads_away(stage, person):
    page = person("manager")
    page.goto(f"{stage.url}/team/R-1")
    today = datetime.now(UTC).date()
    page.fill("input[name=from]", (today - timedelta(days=2)).isoformat())
    page.fill("input[name=until]", (today + timedelta(days=5)).isoformat())
    sent(page, "form:has(input[name=from]) button")
    rep = next(each for each in stage.call("GET", "/v1/reps").json()["reps"] if each["rep_id"] == "R-1")
    assert rep["absent_until"] is not None
    told = stage.assign("F-away", industry="retail").json()
    assert told["excluded"]
    page.goto(f"{stage.url}/team")
    assert page.locator(".calendar-row a").first.inner_text() == "王伟"
    page.goto(f"{stage.url}/team/R-1")
    sent(page, "text=Back now")
    rep = next(each for each in stage.call("GET", "/v1/reps").json()["reps"] if each["rep_id"] == "R-1")
    assert rep["absent_until"] is None


def test_strengths_that_may_be_noise_do_not_look_like_talent(stage, person):
    page = person("manager")
    page.goto(f"{stage.url}/team/R-1")
    model = next(each for each in report(stage, "reps")["reps"] if each["rep_id"] == "R-1")["model"]
    clear = sum(each["clear"] for each in [model["overall"], *model["strengths"]])
    table = page.locator("table.figures").last
    assert table.locator("tbody tr").count() == 1 + len(model["strengths"])
    assert table.locator("tbody tr:not(.faded)").count() == clear


def test_an_analyst_is_shown_no_way_to_change_anything(stage, person):
    page = person("analyst")
    for path in ("/team/R-1", "/model"):
        page.goto(stage.url + path)
        assert page.locator("main form[method=post]").count() == 0


def forget_versions(stage, monkeypatch):
    """The registry is asked anew, once whoever an earlier page sent to ask it is back: it would keep its answer."""
    with stage.parts.models._listing:
        monkeypatch.setattr(stage.parts.models, "_kept", None)


def test_a_registry_that_is_down_leaves_the_rest_of_the_page(stage, person, monkeypatch):
    from serving.models.child import ChildFailedError

    def down(home, timeout_s):
        raise ChildFailedError("not done after 60 seconds")

    monkeypatch.setattr(model_desk, "newest_versions", down)
    forget_versions(stage, monkeypatch)
    page = person("manager")
    page.goto(f"{stage.url}/model")
    page.wait_for_selector("#versions .note")
    assert "cannot be asked now" in page.inner_text("#versions .note")
    assert re.search("Version 7", page.inner_text(".verdict"))


def test_versions_stand_beside_each_other_and_one_is_promoted_with_a_reason(stage, person, monkeypatch):
    figures = {"log_loss": {"value": 0.33, "standard_error": 0.004}, "auc": {"value": 0.7, "standard_error": 0.01}}
    versions = [
        {"version": number, "created_at": "2026-03-01T00:00:00+00:00", "aliases": [], "digest": "d" * 64,
         "run_id": "a" * 32, "verdict": "rep_matters", "metrics": figures}
        for number in ("9", "8")
    ]  # fmt: skip
    asked = []
    monkeypatch.setattr(model_desk, "newest_versions", lambda home, timeout_s: versions)
    forget_versions(stage, monkeypatch)
    monkeypatch.setattr(stage.parts.models, "promote", lambda version, **given: asked.append((version, given)) or made)
    monkeypatch.setattr(stage.parts.models, "move_alias", lambda version: None)
    made = _promotion("9", stage.parts.clock())
    page = person("manager")
    page.goto(f"{stage.url}/model")
    page.click("text=Promote… >> nth=0")
    page.fill("#versions input[name=why] >> nth=0", "better on the newest rows")
    page.click("text=Put version 9 in force")
    page.wait_for_url(f"{stage.url}/model")
    ((version, given),) = asked
    assert (version, given["why"]) == ("9", "better on the newest rows")


def _promotion(version, at):
    from data.store.promotions import Promotion

    return Promotion(1, version, "d" * 64, None, "manager", {"grounds": ["by hand"]}, at)


def test_an_empty_floor_says_what_to_do(stage_kind, tmp_path, browser):
    empty = stage_kind(f"sqlite:///{tmp_path}/ledger.db", None)
    with contextlib.closing(empty), contextlib.closing(browser.new_context(locale="en-GB")) as context:
        page = context.new_page()
        page.goto(empty.link("manager"))
        sent(page, "button.primary")
        for path, command in (
            ("/worth", "leadmatch plan"),
            ("/team", "leadmatch roster put"),
            ("/model", "leadmatch train"),
        ):
            page.goto(empty.url + path)
            assert command in page.inner_text(".empty code")


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_a_rule_book_tried_on_the_past_says_what_the_interface_says(stage, person, locale):
    page = person("manager", locale=locale, viewport={"width": 390, "height": 844})
    page.goto(f"{stage.url}/rules/edit")
    text = "method: weighted_rotation\nweights: {R-0: 2}\nmode: live\nholdout: {live: 0.1}\n"
    page.fill("textarea", text)
    page.click("button:not([formaction]) >> text=/Check|检查/")
    page.click("[hx-post='/rules/replay']")
    page.wait_for_selector("#replay-told")
    window = timedelta(days=stage.call("GET", "/v1/model").json()["window_days"])
    asked = {"text": text, "limit": 1_000, "until": (stage.now - window).isoformat()}
    told = stage.call("POST", "/v1/policy/replay", asked, role="manager").json()
    assert told["replayed"] == told["worth"]["leads"] > 100  # of every one it is known what became
    moments = [datetime.fromisoformat(told[name]) for name in ("first_decided_at", "last_decided_at")]
    days = [at.astimezone(ZoneInfo("Asia/Shanghai")).date().isoformat() for at in moments]  # the reader's
    assert re.findall(r"\d{4}-\d\d-\d\d", page.inner_text("#replay-told")) == days
    assert told["changed"] > 0
    sentence = page.inner_text("#replay-told .sentence")
    assert set(re.findall(r"[\d,]+", sentence)) >= {f"{told['changed']:,}", f"{told['replayed']:,}"}
    gain = told["worth"]["difference"]
    assert gain["value"] is not None
    ends = [100 * gain[name] for name in ("value", "low", "high")]
    told_ends = [float(each.replace("−", "-")) for each in re.findall(r"[+−]?[\d.]+", sentence)[-3:]]
    # one digit after the point, none from ten on
    assert told_ends == [pytest.approx(end, abs=0.051 if abs(end) < 9.95 else 0.51) for end in ends]
    rows = page.eval_on_selector_all(
        "#replay-told [data-rep]", "rows => rows.map(row => [row.dataset.rep, row.lastElementChild.innerText])"
    )
    shown = [(rep_id, float(figure.replace("−", "-"))) for rep_id, figure in rows]
    assert shown == [(rep["rep_id"], pytest.approx(rep["difference"], abs=0.0501)) for rep in told["reps"]]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.fill("textarea", text.replace("R-0", "R-1"))  # another text: what was tried says nothing of it
    assert page.locator("#replay-told").count() == 0


def test_a_rule_book_that_nothing_in_the_log_tells_of_has_no_figure(stage, person, axe):
    page = person("manager")
    page.goto(f"{stage.url}/rules/edit")
    always_one = "method: weighted_rotation\nweights: {R-0: 0, R-2: 0}\nmode: live\nholdout: {live: 0}\n"
    told = stage.call("POST", "/v1/policy/replay", {"text": always_one, "limit": 1_000}, role="manager").json()
    assert "too little overlap" in told["worth"]["difference"]["why"]  # R-1 was seldom drawn
    page.fill("textarea", always_one)
    page.click("button >> text=Check")
    page.click("[hx-post='/rules/replay']")
    page.wait_for_selector("#replay-told")
    assert "too little overlap to say" in page.inner_text("#replay-told .sentence")
    assert axe(page) == []
    page.fill("textarea", "metod: model\n")
    page.click("[hx-post='/rules/replay']")
    page.wait_for_selector("#replay-found [role=alert]")
    assert "metod" in page.inner_text("#replay-found")
    assert stage.call("GET", "/v1/policy", role="manager").json()["version"] == 0


def test_a_replay_without_leads_old_enough_says_how_many_are_missing(stage, person, monkeypatch):
    monkeypatch.setattr(rule_book, "LEAST_MATURED", 10_000)
    page = person("manager")
    page.goto(f"{stage.url}/rules/edit")
    page.fill("textarea", "method: workload\n")
    page.click("button >> text=Check")
    page.click("[hx-post='/rules/replay']")
    page.wait_for_selector("#replay-told")
    asked = {"text": "method: workload\n", "limit": 1_000}
    told = stage.call("POST", "/v1/policy/replay", asked, role="manager").json()
    note = page.inner_text("#replay-told .note.warn >> nth=0")
    assert f"newest {told['decisions']:,} of any age" in note
    assert "10000 are needed" in note


def test_the_team_is_sorted_by_any_column_by_keyboard(stage, person, axe):
    page = person("manager")
    page.goto(f"{stage.url}/team?range=365d")

    def shown(place):
        cells = page.eval_on_selector_all(
            ".people tbody tr", f"rows => rows.map(row => row.children[{place}].innerText)"
        )
        return [float(re.search(r"[\d.]+", cell)[0]) for cell in cells]

    heads = page.locator(".people thead .sort")
    assert heads.count() == len(team.COLUMNS)
    for place, name in ((3, "given"), (6, "converts")):
        head = f".people thead th:has-text('{page.locator('.people thead th').nth(place).inner_text()}')"
        for direction, falls in (("descending", True), ("ascending", False)):
            page.locator(f"{head} .sort").first.press("Enter")
            page.wait_for_selector(f".people th[aria-sort={direction}]")
            assert shown(place) == sorted(shown(place), reverse=falls), (name, direction)
            assert "range=365d" in page.url
    assert axe(page) == []
    page.check("input[name=range][value='all']", force=True)  # another time, the same order
    page.wait_for_url("**/team?*range=all*")
    assert page.locator(".people th[aria-sort=ascending]").count() == 1


def test_a_sort_puts_whoever_has_no_figure_last_both_ways():
    rows = [{"above_expected": {"value": value}} for value in (0.1, None, 0.3)]
    values = [[row["above_expected"]["value"] for row in team.Order(asked).of(rows)] for asked in ("above", "-above")]
    assert values == [[0.1, 0.3, None], [0.3, 0.1, None]]
    assert team.Order("nothing").of(rows) == rows


def test_the_rail_counts_what_waits_on_each_page(stage, person):
    told = {"complete": True, "as_of": "2026-03-02T09:00:00+00:00", "alerts": [
        {"kind": "unassigned", "count": 120}, {"kind": "overdue", "count": 7}, {"kind": "stuck", "count": 2},
        {"kind": "draw", "count": 1},
    ]}  # fmt: skip
    page, rep = person("manager"), person("rep", rep_id="R-0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage.parts.reports, "at_hand", lambda asked: told)
        page.goto(f"{stage.url}/rules")
        counts = page.eval_on_selector_all(
            ".rail a:has(.count)", "all => all.map(each => each.getAttribute('href'))"
        )
        spoken = page.locator(".rail .count .visually-hidden").all_inner_texts()
        rep.goto(f"{stage.url}/my-leads")
        assert rep.locator(".rail .count").count() == 0  # what waits for managers is not hers
        patch.setattr(stage.parts.reports, "at_hand", lambda asked: None)  # before the first report
        page.goto(f"{stage.url}/rules")
        assert page.locator(".rail .count").count() == 0
    assert counts == ["/assignments", "/team", "/sources"]
    assert [re.search(r"\d+", each)[0] for each in spoken] == ["120", "1", "2"]  # leads there, checks elsewhere


def test_the_page_of_somebody_who_waits_keeps_nobody_out(stage, person, axe, monkeypatch):
    may_end, lift = threading.Event(), desk.REPORTS["lift"]
    monkeypatch.setitem(desk.REPORTS, "lift", lambda view: may_end.wait(60) and lift(view))
    monkeypatch.setattr(visitor, "PATIENCE_MS", 0)
    try:
        for locale, words in (("en-GB", "The figures are being worked out"), ("zh-CN", "正在统计")):
            page = person("manager", locale=locale)
            page.route("**/static/pages.js", lambda route: route.fulfill(body=""))  # or it looks again meanwhile
            page.goto(f"{stage.url}/worth?range=7d&team=South")
            assert words in page.inner_text("h1")
            assert axe(page) == []
            page.set_viewport_size({"width": 390, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
    finally:
        may_end.set()
