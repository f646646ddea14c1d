"""The figures behind the pages: hand cases, known truths, and the routes."""

import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from data.roster import Rep
from data.store.capacity import Load
from data.store.chances import ChanceSums
from serving.policy.pace import Pace
from serving.policy.price_book import SeenLead, Standing
from serving.policy.rulebook import Prices, RuleBook
from serving.reports import alerts, desk, fairness, lift, load, reps, response, sources
from serving.reports.desk import REPORTS
from serving.reports.facts import MICROSECONDS_A_DAY, MOMENTS, NUMBERS, WORDS, Columns, facts_of
from serving.reports.floor_price import floor_price
from serving.reports.shares import gini
from serving.reports.view import View, days
from serving.telling.reasons import because_text

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PATIENT = {"wait_ms": 10_000}  # a slow machine is not what these tests are about
TWO = (Rep("R-1", name="Li", team="north"), Rep("R-2", name="Wu", team="south"))


def columns(**given):
    """Facts of n decisions a hundred days ago, one an hour, with whatever is given instead."""
    n = len(next(iter(given.values())))
    begun = days(NOW) - 100 + np.arange(n) / 24
    made = dict.fromkeys((*WORDS, *MOMENTS, *NUMBERS), [None] * n) | {
        "seq": list(range(1, n + 1)), "mode": ["live"] * n, "arm": ["model"] * n, "status": ["open"] * n,
        "rep_drawn": ["R-1"] * n, "rep_id": ["R-1"] * n, "version": [1] * n, "first_draw": [True] * n,
        "unassigned": [False] * n, "decided_at": begun, "given_at": given.get("decided_at", begun),
    }  # fmt: skip
    made |= given
    for name in MOMENTS:
        made[name] = [
            None if moment is None or np.isnan(moment) else moment * MICROSECONDS_A_DAY for moment in made[name]
        ]
    return Columns().with_changes(made)


def view_of(made, **changes):
    view = View(
        facts=facts_of(made), at=NOW, since=None, until=None, team=None, reps=TWO, loads={}, rules=RuleBook(),
        model=None,
    )  # fmt: skip
    return replace(view, **changes)


def trial(rng, n, *, effect, share=0.5, wrong=False):
    """A trial of two reps in which the policy always draws the first, who converts `effect` more of the leads.

    wrong : the logged chances are not those that were drawn with, and the model sees no difference between the reps.
    """
    shares = np.full(n, share) if np.isscalar(share) else share
    base = rng.uniform(0.1, 0.3, n)
    held = rng.random(n) < shares
    first = ~held | (rng.random(n) < 0.5)
    p = base + np.where(first, effect, 0.0)
    won = rng.random(n) < p
    begun = days(NOW) - 100 + np.sort(rng.uniform(0, 60, n))
    mixture = np.where(first, 1 - shares / 2, shares / 2)
    policy = np.where(first, 1.0, 0.0)
    if wrong:
        mixture, policy, p = np.full(n, 0.5), np.where(first, 0.9, 0.1), base
    gained = 0.0 if wrong else effect
    who = ["R-1" if each else "R-2" for each in first]
    return columns(
        decided_at=begun, share=list(shares), arm=["holdout" if each else "model" for each in held],
        rep_drawn=who, rep_id=who, propensity=list(mixture), propensity_policy=list(policy),
        propensity_control=[0.5] * n, probability=list(p), expected_policy=list(base + gained),
        expected_control=list(base + gained / 2), baseline=list(base + effect / 2),
        status=["won" if each else "lost" for each in won], closed_at=list(begun + 2),
        lead_won_at=list(np.where(won, begun + 2, np.nan)),
    )  # fmt: skip


def test_the_lift_by_hand():
    # 40 given by the policy, 30 of them won; 40 held out, 10 of them won: .75 - .25.
    won = [True] * 30 + [False] * 10 + [True] * 10 + [False] * 30
    begun = days(NOW) - 100
    made = columns(
        arm=["model"] * 40 + ["holdout"] * 40, share=[0.5] * 80, decided_at=[begun] * 80,
        propensity=[0.5] * 80, propensity_policy=[0.5] * 80, propensity_control=[0.5] * 80,
        lead_won_at=[begun + 29 if each else np.nan for each in won],
    )  # fmt: skip
    found = lift.report(view_of(made))
    assert found["holdout"]["value"] == pytest.approx(0.5)
    assert found["holdout"]["standard_error"] == pytest.approx(np.sqrt(2 * 0.75 * 0.25 * 40 / 39 / 40))
    assert found["arms"]["policy"]["rate"]["value"] == 0.75
    assert found["rows"] == {"decisions": 80, "drawn": 80, "counted": 80, "mature": 80, "held_out": 40}
    late = view_of(made, model=None, at=NOW)
    assert late.window_days == 30  # the day after, a win no longer counts
    slow = columns(
        arm=["model"] * 40 + ["holdout"] * 40, share=[0.5] * 80, decided_at=[begun] * 80,
        propensity=[0.5] * 80, propensity_policy=[0.5] * 80, propensity_control=[0.5] * 80,
        lead_won_at=[begun + 31 if each else np.nan for each in won],
    )  # fmt: skip
    assert lift.report(view_of(slow))["arms"]["policy"]["conversions"] == 0


def test_the_lift_covers_the_truth_by_every_estimate(rng):
    hits = {"holdout": 0, "holdout_adjusted": 0, "doubly_robust": 0}
    band = 0
    for _ in range(80):
        found = lift.report(view_of(trial(rng, 1_500, effect=0.08)))
        for name in hits:
            hits[name] += found[name]["low"] <= 0.04 <= found[name]["high"]
        band += found["always_valid"]["low"] <= 0.04 <= found["always_valid"]["high"]
    for name, count in hits.items():
        assert 0.80 < count / 80 < 0.98, name  # 90 %, standard error .034
    assert band / 80 > 0.95


def test_a_ramp_of_the_share_biases_nothing(rng):
    # Half held out while leads are poor, a fifth later when they are rich: pooled, the policy would seem to gain.
    n = 8_000
    shares = np.where(np.arange(n) < n // 2, 0.5, 0.2)
    made = trial(rng, n, effect=0.0, share=shares)
    rich = np.arange(n) >= n // 2
    values = dict(made.values)
    lucky = rich & (rng.random(n) < 0.5)
    values["lead_won_at"] = np.where(lucky, values["decided_at"] + 1, np.nan)
    found = lift.report(view_of(Columns(made.seq, values, made.words)))
    assert abs(found["holdout"]["value"]) < 4 * found["holdout"]["standard_error"]
    arms = found["arms"]
    pooled = arms["policy"]["rate"]["value"] - arms["holdout"]["rate"]["value"]
    assert pooled > 6 * found["holdout"]["standard_error"]


def test_the_verdict_goes_from_nothing_to_sure(rng):
    assert lift.report(view_of(Columns()))["verdict"]["state"] == "nothing_yet"
    few = lift.report(view_of(trial(rng, 50, effect=0.1)))
    assert few["verdict"]["state"] == "too_early"
    assert few["holdout"]["value"] is None or few["holdout"]["low"] < 0
    unsure = lift.report(view_of(trial(rng, 300, effect=0.01)))["verdict"]
    assert unsure["state"] == "unsure"
    sure = lift.report(view_of(trial(rng, 6_000, effect=0.3)))
    assert sure["verdict"]["state"] == "gain"
    assert "points more often" in sure["verdict"]["text"]["en"]
    assert "百分点" in sure["verdict"]["text"]["zh"]
    assert lift.report(view_of(trial(rng, 6_000, effect=-0.09)))["verdict"]["state"] == "loss"


def test_wrong_propensities_make_holdout_and_replay_contradict(rng):
    honest, wrong = (view_of(trial(rng, 12_000, effect=0.3, wrong=wrong)) for wrong in (False, True))
    assert lift.report(honest)["agreement"]["disagree"] is False
    found = lift.report(wrong)
    assert found["agreement"]["disagree"] is True
    assert found["verdict"]["state"] == "disagree"
    for view, raised in ((honest, False), (wrong, True)):
        checks = {check["kind"]: check for check in alerts.report(view)["checks"]}
        assert checks["holdout_against_replay"]["raised"] is raised


def test_young_leads_count_only_while_there_are_no_others(rng):
    made = trial(rng, 400, effect=0.1)
    young = replace(made, values=dict(made.values) | {"decided_at": np.full(400, days(NOW) - 3.0)})
    found = lift.report(view_of(young))
    assert found["basis"] == "so_far"
    assert found["rows"]["mature"] == 0
    assert "Young" in found["verdict"]["text"]["en"]
    assert lift.report(view_of(made))["basis"] == "window"


def test_the_plan_says_when(rng):
    made = trial(rng, 2_000, effect=0.02)
    recent = replace(made, values=dict(made.values) | {"decided_at": made.values["decided_at"] + 39})
    plan = lift.report(view_of(recent))["plan"]
    assert [each["share"] for each in plan["holdout"]] == [0.1, 0.2, 0.3, 0.5]
    assert [each["now"] for each in plan["holdout"]] == [False, False, False, True]
    leads = [each["leads"] for each in plan["holdout"]]
    assert leads == sorted(leads, reverse=True)
    assert plan["replay"]["leads"] < leads[-1]
    assert plan["leads_per_month"] == pytest.approx(1_000, rel=0.15)


def test_only_leads_that_one_team_alone_could_get_count_for_it():
    made = columns(
        share=[0.5] * 4, propensity=[0.5] * 4, propensity_policy=[0.5] * 4, propensity_control=[0.5] * 4,
        eligible_team=["north", None, "north", "south"],
    )  # fmt: skip
    assert lift.report(view_of(made, team="north"))["rows"]["drawn"] == 2


def test_what_was_fixed_or_ran_in_shadow_is_no_trial():
    made = columns(
        mode=["live", "shadow", "live", "live"], share=[None, 0.5, 0.0, 0.0], arm=["sticky", "model", "rule", "model"],
        first_draw=[False, True, True, True], propensity=[None, 0.5, 1.0, 0.9],
    )  # fmt: skip
    assert list(lift.counted(view_of(made)).seq) == [4]


def test_in_shadow_mode_agreement_is_counted_where_the_crm_has_spoken():
    made = columns(
        mode=["shadow"] * 4, rep_drawn=["R-1", "R-1", "R-2", "R-2"], rep_id=["R-1", "R-2", "R-2", None],
    )  # fmt: skip
    found = lift.report(view_of(made))["shadow"]
    assert (found["decisions"], found["told"], found["agreed"]) == (4, 3, 2)
    assert found["share"]["value"] == pytest.approx(2 / 3)


def test_overrides_are_valued_against_what_was_expected(rng):
    n = 4_000
    changed = rng.random(n) < 0.3
    begun = days(NOW) - 100
    won = rng.random(n) < np.where(changed, 0.35, 0.2)
    made = columns(
        decided_at=[begun] * n, version=[2 if each else 1 for each in changed], probability=[0.2] * n,
        rep_id=["R-2" if each else "R-1" for each in changed], lead_won_at=list(np.where(won, begun + 1, np.nan)),
    )  # fmt: skip
    found = lift.report(view_of(made))["overrides"]
    assert found["overridden"] == changed.sum()
    assert found["above_model"]["low"] < 0.15 < found["above_model"]["high"]
    assert found["above_model"]["low"] > 0


def test_gini_by_hand():
    assert gini(np.array([1.0, 1, 1, 1])) == pytest.approx(0)
    assert f"{gini(np.full(4, 0.1)):.2f}" == "0.00"  # to rounding a hair below
    assert gini(np.array([0.0, 0, 0, 1])) == pytest.approx(0.75)
    assert gini(np.array([1.0, 3])) == pytest.approx(0.25)  # half of |1 - 3| over the mean of 2, halved again
    assert np.isnan(gini(np.zeros(3)))


def test_fairness_shares_value_and_not_counts():
    made = columns(
        rep_drawn=["R-1", "R-2", "R-2"], baseline=[0.4, 0.1, 0.1], propensity=[0.5] * 3, share=[0.1] * 3,
        order_gap=[-0.5, 0.5, 0.5], order_variance=[0.25] * 3, source=["web"] * 3,
    )  # fmt: skip
    sums = [ChanceSums("web", rep, 3, 1.5, 1.5, 1.5, 0.75, 0.3, 0.3) for rep in ("R-1", "R-2")]
    found = fairness.report(view_of(made, chances=sums))
    first, second = found["reps"]
    assert (first["leads"], second["leads"]) == (1, 2)
    assert first["share"]["value"] == pytest.approx(2 / 3)
    assert first["fair_share"] == 0.5
    assert found["order"]["tilt"]["value"] == pytest.approx(0.5 / 3)
    assert found["order"]["biased"] is False


def order_and_draw(rng, *, cheat):
    """A draw between two reps with chances .5, in which every tenth lead of R-2's goes to the first of the roster."""
    n = 4_000
    second = rng.random(n) < (0.45 if cheat else 0.5)
    made = columns(
        rep_drawn=["R-2" if each else "R-1" for each in second], propensity=[0.5] * n, share=[0.1] * n,
        source=["web"] * n, baseline=[0.2] * n, order_gap=list(np.where(second, 0.5, -0.5)), order_variance=[0.25] * n,
    )  # fmt: skip
    sums = [ChanceSums("web", rep, n, n / 2, n / 2, n / 2, n / 4, n / 10, n / 10) for rep in ("R-1", "R-2")]
    return fairness.report(view_of(made, chances=sums))


def test_a_draw_that_knows_the_order_is_found_and_an_honest_one_is_not(rng):
    honest, cheated = order_and_draw(rng, cheat=False), order_and_draw(rng, cheat=True)
    assert honest["order"]["biased"] is False
    assert honest["draw"]["biased"] is False
    assert cheated["order"]["biased"] is True
    assert cheated["order"]["tilt"]["value"] < 0  # towards the top
    assert cheated["draw"]["biased"] is True
    assert cheated["draw"]["furthest"]["source"] == "web"


def test_newcomers_are_held_against_the_floor():
    new = Rep("R-2", hired_at=NOW - timedelta(days=10))
    made = columns(rep_drawn=["R-1"] * 95 + ["R-2"] * 5, propensity=[0.5] * 100, share=[0.1] * 100)
    sums = [ChanceSums("", rep, 100, 50, 50, mixture, 5, 10, 10) for rep, mixture in (("R-1", 95), ("R-2", 5))]
    found = fairness.report(view_of(made, chances=sums, reps=(TWO[0], new)))["newcomers"]
    assert found["rep_ids"] == ["R-2"]
    assert found["of_rotation"]["value"] == pytest.approx(0.1)
    assert found["kept"] is False


def test_load_sets_what_was_given_beside_what_chance_gave():
    made = columns(rep_drawn=["R-1", "R-1", "R-2"], rep_id=["R-2", "R-1", "R-2"])
    sums = [ChanceSums("web", "R-1", 3, 1.5, 2.0, 1.8, 0.7, 0, 0)]
    roster = (replace(TWO[0], capacity=4, absent_from=NOW - timedelta(days=1)), TWO[1])
    loads = {"R-1": Load(4, 1), "R-2": Load(2, 0)}
    first, second = load.report(view_of(made, chances=sums, reps=roster, loads=loads))["reps"]
    assert (first["given"], first["working"], first["by_rotation"], first["by_chance"]) == (2, 1, 1.5, 1.8)
    assert (first["open"], first["open_share"], first["full"], first["away"]) == (4, 1.0, True, "absent")
    assert (second["given"], second["working"], second["full"], second["away"]) == (1, 2, False, None)


def test_response_times_reckon_in_who_still_waits():
    begun = days(NOW) - 10
    minute = 1 / 1_440
    made = columns(
        decided_at=[begun] * 4, grade=["A", "A", "B", None], status=["open", "open", "won", "open"],
        contacted_at=[begun + 10 * minute, begun + 40 * minute, None, None], closed_at=[None, None, begun + 1, None],
    )  # fmt: skip
    found = response.report(view_of(made))
    assert found["all"]["called"] == 2
    assert found["all"]["overdue"] == 1  # the won one is done with, the others were called
    assert found["all"]["in_time"]["value"] == 0.25  # 10 minutes of 30; 40 of 30; never called, twice
    grades = {row["grade"]: row for row in found["grades"]}
    assert grades["A"]["median"]["value"] == pytest.approx(10)
    assert grades["B"]["median"]["value"] is None
    assert "fewer than half" in grades["B"]["median"]["why"]


def test_sources_by_hand():
    begun = days(NOW) - 60
    made = columns(
        decided_at=[begun] * 4, source=["web", "web", "fair", None], baseline=[0.1, 0.3, 0.2, 0.4],
        status=["won", "lost", "lost", "recycled"], lost_reason=[None, "price", "price", None],
        closed_at=[begun + 4, begun + 1, begun + 1, None], lead_won_at=[begun + 4, None, None, None],
        value=[100.0, None, None, None],
    )  # fmt: skip
    found = sources.report(view_of(made))
    assert [row["source"] for row in found["sources"]] == ["web", "fair"]  # the recycled one went on elsewhere
    web = found["sources"][0]
    assert (web["leads"], web["mature"], web["value_sum"]) == (2, 2, 100.0)
    assert web["conversion"]["value"] == 0.5
    assert web["quality"]["value"] == pytest.approx(0.2)
    assert web["delay_days"]["value"] == pytest.approx(4)
    assert found["lost_reasons"][0]["reason"] == "price"
    assert [step["leads"] for step in found["funnel"]] == [3, 3, 1, 1, 1]


def test_reps_are_set_against_what_their_leads_promised_and_noise_is_no_talent(rng):
    roster = tuple(Rep(f"R-{number}") for number in range(10))
    n, begun = 5_000, days(NOW) - 60
    who = rng.integers(0, 10, n)
    won = rng.random(n) < 0.2
    made = columns(
        decided_at=[begun] * n, rep_id=[f"R-{each}" for each in who], rep_drawn=[f"R-{each}" for each in who],
        baseline=[0.2] * n, status=["won" if each else "lost" for each in won], closed_at=[begun + 1] * n,
    )  # fmt: skip
    rows = reps.report(view_of(made, reps=roster))["reps"]
    raw = np.array([row["above_expected_raw"]["value"] for row in rows])
    shrunk = np.array([row["above_expected"]["value"] for row in rows])
    assert shrunk.std() < raw.std() / 2
    assert all(row["above_expected"]["low"] < 0 < row["above_expected"]["high"] for row in rows)
    assert sum(row["won"] for row in rows) == won.sum()
    assert rows[0]["model"]["why"] == "no model is in force"


def test_alerts_name_the_oldest_first_and_tell_what_is_well():
    begun = days(NOW)
    made = columns(
        decided_at=[begun - 50, begun - 2, begun - 1, begun - 0.001], grade=["A"] * 4,
        contacted_at=[begun - 49, None, None, None], rep_id=["R-1", "R-1", None, "R-1"],
        status=["open", "open", "unassigned", "open"],
    )  # fmt: skip
    found = alerts.report(view_of(made))
    checks = {check["kind"]: check for check in found["checks"]}
    assert [item["seq"] for item in checks["stuck"]["items"]] == [1]
    assert [item["seq"] for item in checks["overdue"]["items"]] == [2]
    assert [item["seq"] for item in checks["unassigned"]["items"]] == [3]
    assert {check["kind"] for check in found["alerts"]} == {"stuck", "overdue", "unassigned"}
    assert checks["drift"]["text"]["en"].startswith("Too few")


def test_leads_that_changed_raise_an_alert_and_others_do_not(rng):
    def drift(scores):
        made = columns(lead_score=list(scores), decided_at=[days(NOW) - 1] * len(scores))
        return next(check for check in alerts.report(view_of(made))["checks"] if check["kind"] == "drift")

    assert not drift(rng.integers(0, 101, 2_000))["raised"]
    assert drift(rng.integers(0, 40, 2_000))["raised"]


def test_a_level_that_is_off_raises_an_alert(rng):
    def level(rate):
        won = rng.random(3_000) < rate
        begun = days(NOW) - 60
        made = columns(
            decided_at=[begun] * 3_000, probability=[0.2] * 3_000, lead_won_at=list(np.where(won, begun + 1, np.nan))
        )
        return next(check for check in alerts.report(view_of(made))["checks"] if check["kind"] == "calibration")

    assert not level(0.2)["raised"]
    off = level(0.3)
    assert off["raised"]
    assert off["ratio"]["value"] == pytest.approx(1.5, abs=0.1)


def test_changed_facts_take_their_place_and_old_readers_see_the_old(rng):
    made = columns(rep_id=["R-1", "R-2", "R-1"])
    before = facts_of(made)
    changed = {name: [None] for name in (*WORDS, *MOMENTS, *NUMBERS)} | {"seq": [2], "rep_id": ["R-9"]}
    after = facts_of(made.with_changes(changed | {"decided_at": [days(NOW) * MICROSECONDS_A_DAY]}))
    assert [before.words("rep_id")[code] for code in before.codes("rep_id")] == ["R-1", "R-2", "R-1"]
    assert [after.words("rep_id")[code] for code in after.codes("rep_id")] == ["R-1", "R-9", "R-1"]
    more = changed | {"seq": [4], "decided_at": [days(NOW) * MICROSECONDS_A_DAY]}
    assert list(made.with_changes(more).seq) == [1, 2, 3, 4]


@pytest.mark.parametrize("name", REPORTS)
def test_an_empty_ledger_has_every_report_and_says_why_it_is_empty(shared_desk, name):
    answer = shared_desk.call("GET", f"/v1/reports/{name}", role="manager", since="2026-01-01T00:00:00Z", **PATIENT)
    assert answer.status_code == 200, answer.text
    assert answer.json()["complete"] is True
    assert answer.json()["since"] is not None


def whys(told):
    """Every reason for which a report has no figure."""
    if isinstance(told, dict):
        return {told["why"]} if "why" in told else set().union(*map(whys, told.values()))
    return set().union(*map(whys, told)) if isinstance(told, list) else set()


def test_what_an_empty_report_says_is_said_in_chinese_too(shared_desk):
    said = set()
    for name in REPORTS:
        said |= whys(shared_desk.call("GET", f"/v1/reports/{name}", role="manager", **PATIENT).json())
    assert len(said) > 5
    for why in said:
        chinese = because_text(why, "zh")
        assert chinese != why, why
        assert re.findall(r"\d+", chinese) == re.findall(r"\d+", why)


def test_nobody_waits_for_a_report_that_takes_long(shared_desk, monkeypatch):
    may_end, made = threading.Event(), []

    def slow(view):
        assert may_end.wait(30)
        made.append(view.at)
        return view.scope()

    def ask(wait_ms):
        return shared_desk.call("GET", "/v1/reports/response", role="manager", wait_ms=wait_ms, team="slow")

    monkeypatch.setitem(desk.REPORTS, "response", slow)
    first = ask(0)
    assert first.status_code == 503
    assert first.headers["Retry-After"] == "1"
    may_end.set()
    one = ask(10_000)
    assert one.status_code == 200
    monkeypatch.setattr(desk.Kept, "fresh", False)
    may_end.clear()
    assert ask(0).json() == one.json()  # the last one, while the next is being made
    assert len(made) == 1
    may_end.set()
    assert ask(10_000).status_code == 200
    assert len(made) >= 2


@pytest.mark.parametrize(
    ("query", "field"),
    [({"since": "2026-01-01"}, "since"), ({"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until")],
)
def test_a_stretch_of_time_that_cannot_be_is_named(shared_desk, query, field):
    answer = shared_desk.call("GET", "/v1/reports/lift", role="analyst", **query)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_reports_are_not_for_reps_or_the_crm(shared_desk):
    for role in ("rep", "crm"):
        assert shared_desk.call("GET", "/v1/reports/reps", role=role).status_code == 403


def test_reports_follow_the_service(desk_on_each):
    service = desk_on_each
    service.roster({"rep_id": "R-1", "team": "north"}, {"rep_id": "R-2"})
    for number in range(12):
        assert service.assign(f"L-{number}", source="web", industry="retail").status_code == 200
    told = service.call("GET", "/v1/reports/sources", role="manager", **PATIENT).json()
    assert told["sources"][0]["leads"] == 12
    assert told["sources"][0]["quality"]["value"] > 0
    service.now += timedelta(days=1)
    given = service.call("GET", "/v1/reports/load", role="manager", **PATIENT).json()
    assert sum(rep["given"] for rep in given["reps"]) == 12
    assert sum(rep["by_rotation"] for rep in given["reps"]) == pytest.approx(12)
    assert sum(rep["by_chance"] for rep in given["reps"]) == pytest.approx(12)
    late = service.call("GET", "/v1/reports/alerts", role="manager", **PATIENT).json()
    overdue = next(check for check in late["checks"] if check["kind"] == "overdue")
    assert overdue["count"] == 12
    assert overdue["items"][0]["lead_id"] == "L-0"
    assert service.call("GET", f"/v1/decisions/{overdue['items'][0]['decision_id']}", role="manager").status_code == 200


def test_the_floor_has_its_price_and_says_why_it_has_none():
    rng = np.random.default_rng(4)
    hours = {int(NOW.timestamp()) // 3_600 - hour: 10 for hour in range(1, 169)}
    seen = [SeenLead(("star", "new"), np.array([0.3, 0.1 + 0.05 * rng.random()])) for _ in range(200)]
    standing = Standing(seen, [Rep("star"), Rep("new")], {}, Prices(floor=0.8, ceiling=1.9), Pace(hours))
    dear = floor_price(standing, at=NOW)
    # Some .4 - .05 of the leads go to the newcomer for the floor's sake, each .2 or less likelier to be lost.
    assert 0 < dear["low"] < dear["value"] < 0.35 * 0.2
    assert dear["relaxed"] == []
    # At 10 leads an hour until midnight she would get half by rotation; three slots are far from .8 of that.
    midnight = NOW.replace(hour=0, minute=0, second=0) + timedelta(days=1)
    expected = 10 * (midnight - NOW).total_seconds() / 3_600
    tight = replace(standing, reps=[Rep("star"), Rep("new", daily_limit=3)])
    (short,) = floor_price(tight, at=NOW)["relaxed"]
    assert short == {"rep_id": "new", "promised": 0.8, "room_for": pytest.approx(3 / (expected / 2), rel=0.02)}
    assert floor_price(replace(standing, rules=Prices(floor=0)), at=NOW)["why"] == "the rule book has no floor"
    assert "fewer than" in floor_price(replace(standing, seen=seen[:10]), at=NOW)["why"]
