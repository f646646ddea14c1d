"""A rule book on the decisions of another: the one in force reproduces itself, another one's worth is covered."""

from datetime import timedelta

import numpy as np
import pytest

from data.errors import InputError
from data.settings import Settings
from data.store import decisions
from pipelines.replay import try_policy
from serving.deciding.replay import Asked, replay
from serving.policy.methods import METHODS
from serving.policy.rulebook import parse_rule_book

LEADS = 32
REPS = [
    {
        "rep_id": f"R-{n}", "name": f"N-{n}", "team": "x" if n < 2 else "y", "capacity": 500,
        "region": ("Jiangsu", "Hebei")[n % 2], "regions": ["Jiangsu", "Hebei"],
        "skills": ["retail"] if n % 2 else ["manufacturing"], "hired_at": "2026-02-25" if n == 3 else "2020-01-01",
    }
    for n in range(4)
]  # fmt: skip


def filled(desk, text, *, leads=LEADS, seed=5, won=True, reps=REPS):
    """A desk whose rule book decided so many leads, of which some were called and closed on the way."""
    rng = np.random.default_rng(seed)
    desk.roster(*reps)
    desk.policy(text)
    for number in range(leads):
        desk.now += timedelta(hours=1)
        with desk.ledger.reading() as conn:
            desk.parts.watch.renew(conn, at=desk.now)
        answer = desk.assign(
            f"L-{number}", industry=("manufacturing", "retail")[number % 2],
            region=("Jiangsu", "Hebei")[number % 3 == 0], company_size=float(rng.integers(1, 300)),
            source=("web", "fair")[number % 2],
        ).json()  # fmt: skip
        if won and answer["rep_id"] and rng.random() < 0.7:
            at = (desk.now + timedelta(minutes=20)).isoformat()
            kind = "won" if rng.random() < (answer["probability"] or 0.3) else "lost"
            events = [
                {"event_id": f"{number}-{each}", "lead_id": f"L-{number}", "event": each, "occurred_at": at}
                for each in ("contacted", kind)
            ]
            desk.now += timedelta(minutes=30)
            assert desk.call("POST", "/v1/outcomes", events).status_code == 200
    return desk


def replayed(desk, text, *, days=60, **asked):
    desk_at = desk.now + timedelta(days=days)
    with desk.ledger.reading() as conn:
        return replay(
            conn, Asked(parse_rule_book(text), **asked), at=desk_at, window_days=30.0, target="won",
            verdict="rep_matters",
        )  # fmt: skip


DRAWING = sorted(METHODS)


@pytest.mark.parametrize("method", DRAWING)
def test_every_method_in_force_reproduces_its_own_log(desk, method):
    text = f"method: {method}\nmode: trial\ncontrol: workload\n"
    found = replayed(filled(desk, text), text)
    assert found["replayed"] == found["decisions"] == LEADS
    assert found["largest_difference"] <= 1e-9
    assert found["as_it_ran"]
    assert found["changed"] == 0
    snips = next(line for line in found["worth"]["estimates"] if line["estimator"] == "snips")
    assert snips["value"] == pytest.approx(found["worth"]["observed"], abs=1e-12)
    assert found["worth"]["difference"]["value"] == 0


@pytest.mark.parametrize("preset", ["learn", "earn"])
def test_both_presets_reproduce_their_own_log_with_prices_routes_and_newcomers(desk, preset):
    text = (
        f"exploration: {preset}\nmode: live\nholdout: {{live: 0.2}}\n"
        "routes:\n"
        "  - {name: big, when: {company_size: {at_least: 200}}, method: workload, reps: {team: x}}\n"
        "  - {name: fair, when: {source: fair}, method: rotation, holdout: 0.5, share: 0.5}\n"
    )
    filled(desk, text, leads=40)
    desk.parts.prices.solve(at=desk.now)
    filled(desk, text, leads=0)
    for number in range(40, 120):
        desk.now += timedelta(minutes=5)
        if number % 40 == 0:
            desk.parts.prices.solve(at=desk.now)
        desk.assign(f"M-{number}", industry="retail", region="Hebei", company_size=float(number), source="fair")
    found = replayed(desk, text)
    assert found["replayed"] == 120
    assert found["largest_difference"] <= 1e-9
    assert found["changed"] == 0


def test_another_book_says_who_gains_and_who_loses(desk):
    filled(desk, "method: rotation\nmode: live\nholdout: {live: 0}\n")
    found = replayed(desk, "method: weighted_rotation\nmode: live\nholdout: {live: 0}\nweights: {R-0: 3}\n")
    rows = {rep["rep_id"]: rep for rep in found["reps"]}
    assert found["prices"] == "logged"
    # Three turns of six instead of one of four.
    assert rows["R-0"]["leads"] == pytest.approx(LEADS / 2)
    assert rows["R-0"]["leads_then"] == pytest.approx(LEADS / 4)
    assert found["expected_changed"] == pytest.approx(LEADS / 4)
    assert sum(rep["difference"] for rep in found["reps"]) == pytest.approx(0, abs=1e-9)
    assert sum(rep["drawn_difference"] for rep in found["reps"]) == 0
    assert 0 < found["changed"] <= LEADS
    assert found["examples"][0]["from_rep_id"] != found["examples"][0]["to_rep_id"]
    assert found["fairness"]["now"]["largest_share"] == pytest.approx(0.5)
    assert found["fairness"]["now"]["gini_of_leads"] > found["fairness"]["then"]["gini_of_leads"]
    assert f"{found['changed']} of {LEADS} decisions would change" in found["text"]["en"]


def test_records_that_nobody_looked_at_then_are_those_of_the_moment(desk):
    filled(desk, "method: rotation\nmode: live\nholdout: {live: 0}\n")
    with desk.ledger.reading() as conn:
        rows = decisions.newest_spells(conn, limit=10)
    assert not rows[-1][1].row.state.get("closed", np.zeros(1)).any()
    found = replayed(desk, "method: performance\nperformance: {shared: 0.0}\nmode: live\nholdout: {live: 0}\n")
    best = max(found["reps"], key=lambda rep: rep["leads"])
    assert best["leads"] > 2 * best["leads_then"]


def test_what_was_never_tried_is_not_given_a_figure(desk):
    filled(desk, "method: weighted_rotation\nmode: live\nholdout: {live: 0}\nweights: {R-0: 0}\n")
    always_r0 = "method: weighted_rotation\nmode: live\nholdout: {live: 0}\nweights: {R-1: 0, R-2: 0, R-3: 0}\n"
    found = replayed(desk, always_r0)
    assert found["worth"]["untried_share"] == pytest.approx(1)
    assert found["worth"]["difference"]["value"] is None
    assert "too little overlap" in found["worth"]["difference"]["why"]
    assert "重叠不足" in found["text"]["zh"]


def test_a_stricter_hard_rule_takes_reps_out_and_a_wider_one_is_told(desk):
    filled(desk, "method: rotation\nmode: live\nholdout: {live: 0}\n", leads=20)
    stricter = (
        "method: rotation\nmode: live\nholdout: {live: 0}\neligibility:\n  rules:\n"
        "    - {why: not of team x, when: {source: web}, reps: {team: x}}\n"
    )
    found = replayed(desk, stricter)
    rows = {rep["rep_id"]: rep for rep in found["reps"]}
    assert rows["R-2"]["leads"] == pytest.approx(2.5)  # of ten leads from the fair
    assert found["asks_others"] == 0
    wide = filled(desk, stricter, leads=0)
    for number in range(10):
        wide.assign(f"W-{number}", source="web", industry="retail", region="Hebei")
    back = replayed(wide, "method: rotation\nmode: live\nholdout: {live: 0}\n", limit=10)
    assert back["asks_others"] == 10


def test_leads_that_wait_for_a_person_are_left_out_and_counted(desk):
    filled(desk, "method: rotation\nmode: live\nholdout: {live: 0}\n", leads=10)
    routes = "routes:\n  - {name: web, when: {source: web}, method: pool}\n"
    found = replayed(desk, f"method: rotation\nmode: live\nholdout: {{live: 0}}\n{routes}")
    assert found["left_out"] == {"waits for a person": 5}
    assert found["replayed"] == 5


def test_young_leads_have_no_worth_yet(desk):
    filled(desk, "method: rotation\nmode: live\n", leads=5)
    found = replayed(desk, "method: workload\nmode: live\n", days=1)
    assert found["worth"]["leads"] == 0
    assert found["worth"]["difference"]["why"] == "no replayed lead is old enough yet"


def test_the_route_replays_and_refuses_what_cannot_be_a_rule_book(desk):
    filled(desk, "method: rotation\nmode: live\nholdout: {live: 0}\n", leads=12)
    desk.now += timedelta(days=40)
    body = {"text": "method: workload\nmode: live\nholdout: {live: 0}\n", "limit": 10}
    answer = desk.call("POST", "/v1/policy/replay", body, role="analyst")
    assert answer.status_code == 200, answer.text
    assert answer.json()["decisions"] == 10
    later = {**body, "since": (desk.now - timedelta(days=1)).isoformat()}
    assert desk.call("POST", "/v1/policy/replay", later, role="manager").json()["decisions"] == 0
    wrong = desk.call("POST", "/v1/policy/replay", {"text": "metod: model\n"}, role="manager")
    assert wrong.status_code == 422
    assert "line 1" in wrong.text
    assert desk.call("POST", "/v1/policy/replay", body, role="crm").status_code == 403


def test_the_command_tries_a_file_on_the_ledger(desk, tmp_path):
    file = tmp_path / "policy.yaml"
    file.write_text("method: workload\nmode: live\nholdout: {live: 0}\n", encoding="utf-8")
    settings = Settings(home=tmp_path)
    with pytest.raises(InputError, match="holds no decision"):
        try_policy(desk.ledger, file, settings=settings, at=desk.now)
    filled(desk, "method: rotation\nmode: live\nholdout: {live: 0}\n", leads=5, won=False)
    found = try_policy(desk.ledger, file, settings=settings, at=desk.now)
    assert found["replayed"] == 5
    assert found["policy"] == str(file)
    with pytest.raises(InputError, match=r"none\.yaml: there is no such file; check the path\.$"):
        try_policy(desk.ledger, tmp_path / "none.yaml", settings=settings, at=desk.now)
