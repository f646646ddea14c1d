"""What a page does, the interface answers: overrides, rules, outcomes, absence, views, hand-overs, keys."""

import json

import pytest

from data.store import policies
from tests.browser.steps import sent


def decisions_of(stage, **query):
    return stage.call("GET", "/v1/decisions", role="manager", limit=100, **query).json()["decisions"]


def open_decision(stage):
    """One that its first rep still works, and nobody called about."""
    return next(
        each
        for each in decisions_of(stage)
        if each["reasons"] and each["state"]["status"] == "open" and each["state"]["contacted_at"] is None
        and each["state"]["rep_id"] == each["rep_id"]
    )  # fmt: skip


@pytest.mark.parametrize("locale", ["en-GB", "zh-CN"])
def test_the_waterfall_is_the_interfaces_own_numbers(stage, person, locale):
    told = open_decision(stage)
    page = person("manager", locale=locale)
    page.goto(f"{stage.url}/decisions/{told['decision_id']}")
    steps = page.eval_on_selector_all(
        "[data-waterfall] >> nth=0 >> tr", "rows => rows.map(row => [row.dataset.kind, Number(row.dataset.value)])"
    )
    inner = [value for _, value in steps[1:-1]]
    assert inner == [reason["contribution"] for reason in told["reasons"]]
    assert steps[0] == ["usual", told["baseline_probability"]]
    assert steps[-1] == ["total", told["probability"]]
    assert sum(inner) == pytest.approx(told["uplift"]["value"], abs=1e-12)
    lead = page.eval_on_selector_all(
        "[data-waterfall] >> nth=1 >> tr", "rows => rows.map(row => Number(row.dataset.value))"
    )
    assert sum(lead[:-1]) == pytest.approx(lead[-1], abs=1e-12)
    assert lead[-1] == pytest.approx(told["baseline_probability"], abs=1e-9)


def test_an_override_changes_what_the_interface_answers(stage, person):
    told = open_decision(stage)
    page = person("manager")
    page.goto(f"{stage.url}/decisions/{told['decision_id']}")
    page.click("text=Reassign")
    page.wait_for_selector("dialog[open] .choice")
    to = page.get_attribute("dialog .choice input >> nth=0", "value")
    page.click("dialog >> text=Knows the customer")
    page.fill("dialog [name=note]", "met at the fair")
    page.click("dialog button.primary")
    page.wait_for_selector(".note >> text=Works it now")
    now = stage.call("GET", f"/v1/decisions/{told['decision_id']}", role="manager").json()
    assert now["state"]["rep_id"] == to != told["rep_id"]
    assert now["overrides"][0]["reason"] == "Knows the customer · met at the fair"


def test_an_activated_rule_book_changes_what_the_interface_answers(stage, person):
    page = person("manager")
    page.goto(f"{stage.url}/rules/edit")
    text = page.input_value("textarea")
    page.fill("textarea", text.replace("method: model ", "metod: model "))
    page.get_by_role("button", name="Check").click()
    assert "metod" in page.inner_text("[role=alert]")
    page.fill("textarea", text.replace("method: model ", "method: workload "))
    page.get_by_role("button", name="Check").click()
    assert "+method: workload" in page.inner_text(".diff")
    page.fill("[name=why]", "a quiet week")
    page.get_by_role("button", name="Activate").click()
    page.wait_for_url("**/rules")
    told = stage.call("GET", "/v1/policy", role="manager").json()
    assert told["rules"]["method"] == "workload"
    assert stage.assign("L-by-workload", industry="retail").json()["arm"] in ("rule", "holdout")
    page.goto(f"{stage.url}/rules/edit")
    page.fill("textarea", text)
    page.get_by_role("button", name="Check").click()
    page.fill("[name=why]", "back again")
    page.get_by_role("button", name="Activate").click()
    page.wait_for_url("**/rules")
    page.click("text=version 1")
    sent(page, "text=Go back to it")
    assert "method: workload" in page.input_value("textarea")
    with stage.ledger.reading() as conn:
        assert [one.why for one in policies.history(conn)][-2:] == ["a quiet week", "back again"]


def test_a_rep_tells_contact_and_outcome_in_two_taps(stage, person):
    told = open_decision(stage)
    page = person("rep", rep_id=told["state"]["rep_id"], viewport={"width": 390, "height": 844})
    card = page.locator(f"#lead-{told['decision_id']}")
    card.get_by_text("Called", exact=True).click()
    page.wait_for_url("**/my-leads")
    seen = stage.call("GET", f"/v1/decisions/{told['decision_id']}", role="manager").json()["state"]
    assert seen["contacted_at"] is not None
    card.get_by_text("Lost", exact=True).click()
    card.get_by_text("no budget").click()
    page.wait_for_selector(".done-list")
    seen = stage.call("GET", f"/v1/decisions/{told['decision_id']}", role="manager").json()["state"]
    assert (seen["status"], seen["lost_reason"]) == ("lost", "no budget")


def test_a_rep_says_that_a_lead_is_not_hers_and_that_she_is_away(stage, person):
    told = open_decision(stage)
    rep_id = told["state"]["rep_id"]
    page = person("rep", rep_id=rep_id, viewport={"width": 390, "height": 844})
    card = page.locator(f"#lead-{told['decision_id']}")
    card.get_by_text("Not mine", exact=True).click()
    card.get_by_text("another region").click()
    page.wait_for_selector(".note >> text=another region")
    page.get_by_role("button", name="Absent").click()
    page.wait_for_selector("text=I am back")
    reps = stage.call("GET", "/v1/reps", role="manager").json()["reps"]
    assert next(rep for rep in reps if rep["rep_id"] == rep_id)["absent_until"] is not None
    page.click("text=I am back")
    page.wait_for_selector("button >> text=Absent")
    manager = person("manager")
    manager.goto(f"{stage.url}/assignments?q={told['lead_id']}")
    assert manager.inner_text(".tag.warn") == "not mine"


def test_a_rep_cannot_open_anothers_lead_or_a_managers_page(stage, person):
    other = open_decision(stage)
    page = person("rep", rep_id=next(rep for rep in ("R-0", "R-3") if rep != other["state"]["rep_id"]))
    assert page.goto(f"{stage.url}/decisions/{other['decision_id']}").status == 404
    assert other["rep_name"] not in page.inner_text("main")
    for address in ("/assignments", "/assignments.csv", "/rules", f"/decisions/{other['decision_id']}/reassign"):
        assert page.context.request.get(stage.url + address).status == 403, address
    told = page.context.request.post(
        f"{stage.url}/my-leads/outcome",
        form={"lead_id": other["lead_id"], "event": "won", "csrf": page.get_attribute("[name=csrf] >> nth=0", "value")},
        headers={"Origin": stage.url},
    )
    assert told.status == 403


def test_a_form_without_its_token_changes_nothing(stage, person):
    page = person("manager")
    told = page.context.request.post(
        f"{stage.url}/rules/activate", form={"text": "method: rotation", "why": "x", "version": "0"},
        headers={"Origin": stage.url},
    )  # fmt: skip
    assert told.status == 403
    headers = {"Origin": stage.url, "Content-Type": "text/plain"}
    told = page.context.request.post(f"{stage.url}/rules/activate", data=json.dumps({"csrf": "x"}), headers=headers)
    assert told.status == 415


def test_chosen_leads_are_matched_again(stage, person):
    page = person("manager")
    rep_id = open_decision(stage)["state"]["rep_id"]
    page.goto(f"{stage.url}/assignments?rep={rep_id}")
    page.wait_for_selector("[data-open]")
    for box in page.locator("tbody input[name=ids]:enabled").all()[:2]:
        box.check()
    sent(page, "text=Match again…")
    page.wait_for_selector("[name=reason]")
    ids = [box.get_attribute("value") for box in page.locator("input[name=ids]:checked").all()]
    page.fill("[name=reason]", "leaving us")
    page.click("text=Hand over")
    page.wait_for_selector(".note.good")
    assert ids
    for decision_id in ids:
        told = stage.call("GET", f"/v1/decisions/{decision_id}", role="manager").json()
        assert told["state"]["rep_id"] != rep_id
        assert told["overrides"][-1]["reason"] == "leaving us"


def test_filters_search_views_and_keys(stage, person):
    page = person("manager")
    page.select_option("[name=grade]", "A")
    page.wait_for_url("**grade=A**")
    assert all(text.startswith("A") for text in page.locator("tbody .grade").all_inner_texts())
    page.fill("[name=name]", "Only A")
    sent(page, "text=Save view")
    page.wait_for_selector(".views >> text=Only A")
    page.goto(f"{stage.url}/assignments")
    page.keyboard.press("/")
    page.keyboard.type("恒瑞")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=**")
    assert all("恒瑞" in text for text in page.locator("tbody .lead").all_inner_texts())
    page.goto(f"{stage.url}/assignments")
    page.keyboard.press("j")
    page.keyboard.press("j")
    second = page.locator("[data-open]").nth(1).get_attribute("href")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{second}")
    page.keyboard.press("Escape")
    page.wait_for_url("**/assignments")


def test_the_list_lives(stage, person):
    page = person("manager")
    page.evaluate("document.querySelector('#rows').setAttribute('hx-trigger', 'refresh')")
    made = stage.assign("L-new", industry="retail", company="Brand New Bakery").json()
    with page.expect_response("**/assignments"):
        page.evaluate("htmx.ajax('GET', '/assignments', {target: '#rows', swap: 'outerMorph'})")
    page.wait_for_selector(f"#d-{made['decision_id']}")


def test_the_export_is_safe_against_formulas(stage, person):
    stage.assign("L-formula", industry="retail", company='=HYPERLINK("http://evil.example")', source="@SUM(1)")
    page = person("manager")
    told = page.context.request.get(f"{stage.url}/assignments.csv?q=L-formula")
    text = told.body().decode("utf-8-sig")
    assert "'=HYPERLINK" in text
    assert "'@SUM(1)" in text
    assert told.headers["content-disposition"].startswith("attachment")


POOL = "routes:\n  - {name: to claim, when: {source: open day}, method: pool}\n"


@pytest.fixture
def pooled(stage):
    """Three leads in the pool, under a rule book that sends them there; the one before it is in force again after."""
    text = stage.call("GET", "/v1/policy", role="manager").json()["text"]
    stage.policy(POOL)
    ids = [f"L-open-{stage.now:%H%M%S%f}-{number}" for number in range(3)]
    for number, lead_id in enumerate(ids):
        made = stage.assign(
            lead_id, source="open day", industry=("retail", "manufacturing")[number % 2], company="Wuxi Bearings"
        )
        assert made.json()["rep_id"] is None
    yield ids
    stage.policy(text)


def pool_of(stage, rep_id):
    return stage.call("GET", "/v1/pool", role="manager", rep_id=rep_id).json()["leads"]


def test_a_claim_changes_what_the_interface_answers(stage, person, pooled):
    listed = pool_of(stage, "R-0")
    page = person("rep", rep_id="R-0", viewport={"width": 390, "height": 844})
    shown = page.eval_on_selector_all("[data-pooled]", "cards => cards.map(card => card.dataset.pooled)")
    assert shown == [lead["lead_id"] for lead in listed]
    assert "Wuxi" not in page.inner_text("#pool")
    sent(page, "[data-pooled] >> nth=0 >> button")
    first = listed[0]["lead_id"]
    decision_id = page.url.rpartition("#lead-")[2]
    told = stage.call("GET", f"/v1/decisions/{decision_id}", role="manager").json()
    assert (told["lead_id"], told["rep_id"], told["arm"]) == (first, "R-0", "pool")
    assert first not in [lead["lead_id"] for lead in pool_of(stage, "R-0")]
    assert "Wuxi Bearings" in page.inner_text(f"#lead-{decision_id}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_who_was_slower_is_told_so_and_has_nothing_changed(stage, person, pooled):
    page = person("rep", rep_id="R-0", viewport={"width": 390, "height": 844})
    first = page.get_attribute("[data-pooled] >> nth=0", "data-pooled")
    quicker = stage.call("POST", f"/v1/pool/{first}/claim", {"rep_id": "R-2"}, role="manager")
    assert quicker.json()["rep_id"] == "R-2"
    sent(page, "[data-pooled] >> nth=0 >> button")
    assert "Somebody was quicker" in page.inner_text(".note")
    left = page.eval_on_selector_all("[data-pooled]", "cards => cards.map(card => card.dataset.pooled)")
    assert sorted(left) == sorted(lead["lead_id"] for lead in pool_of(stage, "R-0"))
    assert first not in left
    seen = stage.call("GET", f"/v1/decisions/{quicker.json()['decision_id']}", role="manager").json()
    assert seen["state"]["rep_id"] == "R-2"


def test_a_manager_claims_for_the_rep_she_looks_at_and_a_full_rep_is_told_why(stage, person, pooled):
    page = person("manager", locale="zh-CN")
    page.goto(f"{stage.url}/my-leads?rep=R-3")
    first = page.get_attribute("[data-pooled] >> nth=0", "data-pooled")
    sent(page, "[data-pooled] >> nth=0 >> button")
    assert "rep=R-3#lead-" in page.url
    told = stage.call("GET", f"/v1/decisions/{page.url.rpartition('#lead-')[2]}", role="manager").json()
    assert (told["lead_id"], told["rep_id"]) == (first, "R-3")
    assert stage.call("PATCH", "/v1/reps/R-3", {"capacity": 0}, role="manager").status_code == 200
    try:
        page.goto(f"{stage.url}/my-leads?rep=R-3")
        assert page.locator("[data-pooled] button").count() == 0
        assert "名额已满" in page.inner_text("[data-pooled] >> nth=0")
    finally:
        stage.call("PATCH", "/v1/reps/R-3", {"capacity": 40}, role="manager")
