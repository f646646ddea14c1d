"""The facts that reports count: they follow the ledger, and can be made again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import delete, select, update

from data.roster import Rep
from data.store import capacity, chances, decisions, facts, openings, overrides
from data.store.openings import Teams
from data.store.tables import chance_sums, decision_facts, fact_marks
from pipelines.doctor import examine

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
LATER = NINE + timedelta(days=2)


def follow(ledger, *, at=LATER, most=1_000):
    """Follow until there is nothing new; how many batches it took."""
    batches = 0
    while True:
        with ledger.reading() as conn:
            batch = facts.prepare(conn, Teams(), at=at, most=most)
        if batch is None or batches > 50:
            return batches
        with ledger.writing() as tx:
            assert facts.write(tx, batch)
        batches += 1
        if not batch.more:
            return batches


def held(ledger):
    """Everything there is, but for the revisions."""
    with ledger.reading() as conn:
        rows = [row._asdict() for row in conn.execute(select(decision_facts).order_by(decision_facts.c.seq))]
        cells = {key: chances.stored(conn, key) for key in sorted(chances.days_and_sources(conn))}
    for row in rows:
        del row["revision"]
    return rows, [(*key, *each) for key, (rep_ids, sums) in cells.items() for each in zip(rep_ids, *sums, strict=True)]


def forget(tx):
    """Throw all facts away, as one more revision, so that they are made anew."""
    tx.execute(update(fact_marks).where(fact_marks.c.name == "revision").values(number=fact_marks.c.number + 1))
    tx.execute(delete(fact_marks).where(fact_marks.c.name != "revision"))
    tx.execute(delete(decision_facts))
    tx.execute(delete(chance_sums))


def made_again(ledger):
    with ledger.writing() as tx:
        forget(tx)
    follow(ledger)
    return held(ledger)


def drawn(floor, lead, rep="R-1", **changes):
    chances = {
        "propensity_policy": np.array([0.8, 0.2]), "propensity_control": np.array([0.5, 0.5]),
        "propensity": np.array([0.65, 0.35]), "holdout_share": 0.5, "probability": np.array([0.3, 0.1]),
        "probability_chosen": 0.3 if rep == "R-1" else 0.1, "baseline": 0.2,
    }  # fmt: skip
    return floor.decide(lead, rep, **{**chances, **changes})


def test_a_fact_says_what_the_draw_was_in_single_numbers(floor, ledger):
    drawn(floor, "L-1", "R-2", arm="holdout", lead_snapshot={"source": "web"})
    assert follow(ledger) == 1
    (fact,), sums = held(ledger)
    told = {name: fact[name] for name in ("share", "propensity", "propensity_policy", "propensity_control")}
    assert told == {"share": 0.5, "propensity": 0.35, "propensity_policy": 0.2, "propensity_control": 0.5}
    assert fact["expected_policy"] == pytest.approx(0.8 * 0.3 + 0.2 * 0.1)
    assert fact["expected_control"] == pytest.approx(0.5 * 0.3 + 0.5 * 0.1)
    # Places 0 and 1 with chances .65 and .35: mean .35, variance .65 * .35; the second was drawn.
    assert (fact["order_gap"], fact["order_variance"]) == pytest.approx((0.65, 0.65 * 0.35))
    assert (fact["arm"], fact["source"], fact["first_draw"], fact["status"]) == ("holdout", "web", True, "open")
    rep_1 = next(row for row in sums if row[2] == "R-1")
    assert rep_1 == pytest.approx(("2026-03-02", "web", "R-1", 1, 0.5, 0.8, 0.65, 0.65 * 0.35, 0.1, 0.13))


def test_facts_that_followed_step_by_step_are_those_made_again(floor, ledger):
    drawn(floor, "L-1")
    drawn(floor, "L-2", "R-2", after=5)
    follow(ledger)
    floor.tell(kind="contacted", lead="L-1")
    floor.tell(kind="won", lead="L-2", after=90, value=5.0)
    follow(ledger)
    with ledger.writing() as tx:
        overrides.record(tx, "D-L-1", Rep("R-2"), reason="knows them", actor="m", expected_version=1, at=LATER)
    follow(ledger)
    drawn(floor, "L-3", after=10)
    with ledger.writing() as tx:
        capacity.release(tx, "D-L-3", kind="recycled", at=NINE + timedelta(hours=3))
    drawn(floor, "L-3", "R-2", decision="D-L-3-again", after=300)
    floor.tell(kind="won", lead="L-3", after=400)
    follow(ledger)
    stepwise = held(ledger)
    spells = stepwise[0]
    assert [fact["status"] for fact in spells] == ["open", "won", "recycled", "won"]
    assert spells[0]["rep_id"] == "R-2"
    assert spells[0]["version"] == 2
    # A lead's first draw counts with whatever became of the lead, whoever had it in the end.
    assert [fact["first_draw"] for fact in spells] == [True, True, True, False]
    assert spells[2]["lead_won_at"] == spells[3]["closed_at"]
    again = made_again(ledger)
    assert again[0] == stepwise[0]
    assert [row[:3] for row in again[1]] == [row[:3] for row in stepwise[1]]
    np.testing.assert_allclose([row[3:] for row in again[1]], [row[3:] for row in stepwise[1]])


def test_small_batches_come_to_the_same(floor, ledger):
    for number in range(7):
        drawn(floor, f"L-{number}", after=number)
    floor.tell(kind="contacted", lead="L-3")
    assert follow(ledger, most=2) > 2
    stepwise = held(ledger)
    assert len(stepwise[0]) == 7
    assert stepwise[0] == made_again(ledger)[0]


def test_a_batch_that_another_process_took_is_not_written_twice(floor, ledger):
    drawn(floor, "L-1")
    with ledger.reading() as conn:
        mine, theirs = (facts.prepare(conn, Teams(), at=LATER) for _ in range(2))
    with ledger.writing() as tx:
        assert facts.write(tx, theirs)
    with ledger.writing() as tx:
        assert not facts.write(tx, mine)
    assert sum(row[3] for row in held(ledger)[1]) == 2  # one lead, two reps asked


def test_sums_are_not_counted_twice_while_the_marks_wait_for_a_number(floor, ledger, monkeypatch):
    # Another transaction's number may still appear, so the rows are looked at again; they are counted once.
    drawn(floor, "L-1")
    monkeypatch.setattr(facts, "_settled", lambda rows, mark, at: mark)
    with ledger.reading() as conn:
        mine, theirs = (facts.prepare(conn, Teams(), at=LATER) for _ in range(2))
    assert mine.end == mine.begin
    for batch, is_written in ((theirs, True), (mine, False)):
        with ledger.writing() as tx:
            assert facts.write(tx, batch) is is_written
    with ledger.reading() as conn:
        again = facts.prepare(conn, Teams(), at=LATER)
    with ledger.writing() as tx:
        assert facts.write(tx, again)  # a batch that came too late has taken nobody's turn
    assert sum(row[3] for row in held(ledger)[1]) == 2


def test_a_batch_from_before_all_was_thrown_away_is_not_written(floor, ledger):
    drawn(floor, "L-1")
    follow(ledger)
    floor.tell(kind="contacted", lead="L-1")
    with ledger.reading() as conn:
        batch = facts.prepare(conn, Teams(), at=LATER)
    with ledger.writing() as tx:
        forget(tx)
    with ledger.writing() as tx:
        assert not facts.write(tx, batch)
    assert follow(ledger) == 1
    assert len(held(ledger)[0]) == 1


def test_a_number_that_may_still_appear_is_waited_for(floor, ledger):
    # Rows 1 and 3 are there, 2 is not yet: on a server, a transaction with number 2 may still commit.
    assert facts._settled([(1, NINE), (3, NINE)], 0, NINE + timedelta(seconds=5)) == 1
    assert facts._settled([(1, NINE), (3, NINE)], 0, NINE + timedelta(minutes=5)) == 3
    assert facts._settled([(1, NINE), (2, NINE)], 0, NINE) == 2
    assert facts._settled([], 4, NINE) == 4


def test_what_nobody_drew_is_a_fact_without_chances(floor, ledger):
    floor.decide("L-1", arm="sticky", propensity=None, propensity_policy=None, propensity_control=None)
    floor.decide("L-2", None, arm="fallback", propensity=None, available=np.array([False, False]), rep_drawn=None)
    drawn(floor, "L-3", mode="shadow")
    follow(ledger)
    found, sums = held(ledger)
    assert [fact["share"] for fact in found] == [None, None, 0.5]
    assert [fact["unassigned"] for fact in found] == [False, True, False]
    assert not sums  # what ran in shadow gave nobody anything


def test_pages_of_changes_end_and_name_what_changed(floor, ledger):
    for number in range(5):
        drawn(floor, f"L-{number}", after=number)
    follow(ledger)
    with ledger.reading() as conn:
        first, place = facts.changed_since(conn, facts.BEGINNING, most=3)
        second, place = facts.changed_since(conn, place, most=3)
        third, place = facts.changed_since(conn, place, most=3)
        names = facts.named(conn, first["seq"][:2])
    numbers = [fact["seq"] for fact in held(ledger)[0]]
    assert (first["seq"], second["seq"], third) == (numbers[:3], numbers[3:], {})
    assert names == {numbers[0]: ("D-L-0", "L-0"), numbers[1]: ("D-L-1", "L-1")}
    floor.tell(kind="contacted", lead="L-2", after=70)
    follow(ledger)
    with ledger.reading() as conn:
        changed, _ = facts.changed_since(conn, place)
    assert changed["seq"] == [numbers[2]]
    assert changed["contacted_at"] == [int((NINE + timedelta(minutes=70)).timestamp() * 1e6)]


def test_the_only_team_is_that_of_the_roster_of_then(floor, ledger):
    floor.reps(replace(Rep("R-1"), team="north"), replace(Rep("R-2"), team="north"))
    drawn(floor, "L-1", roster_version=2)
    drawn(floor, "L-2", roster_version=1)
    follow(ledger)
    assert [fact["eligible_team"] for fact in held(ledger)[0]] == ["north", None]


def test_teams_are_right_however_few_rosters_are_kept(floor, ledger, monkeypatch):
    monkeypatch.setattr(openings, "MOST_ROSTERS", 1)
    for team in ("north", "south"):
        floor.reps(replace(Rep("R-1"), team=team), replace(Rep("R-2"), team=team))
    floor.reps(replace(Rep("R-2"), team="west"))
    teams = Teams()
    with ledger.reading() as conn:
        for _ in range(2):
            found = [teams.only(conn, version, ("R-1", "R-2")) for version in (1, 2, 3, 4)]
            assert found == [None, "north", "south", None]
            assert teams.only(conn, 4, ("R-2",)) == "west"
            assert teams.only(conn, 4, ()) is None
    assert len(teams._known) == 1


def test_decisions_are_counted_by_the_hour(floor, ledger):
    for number, minutes in enumerate((0, 59, 60, 185)):
        floor.decide(f"L-{number}", after=minutes)
    nine = int(NINE.timestamp()) // 3_600
    with ledger.reading() as conn:
        assert decisions.by_hour(conn, NINE) == {nine: 2, nine + 1: 1, nine + 3: 1}
        assert decisions.by_hour(conn, NINE + timedelta(hours=2)) == {nine + 3: 1}


def test_a_fact_or_sum_that_does_not_follow_from_the_rows_is_found(floor, ledger):
    told = drawn(floor, "L-1")
    drawn(floor, "L-2", "R-2", after=5)
    assert examine(ledger) == []  # nothing is counted yet
    follow(ledger)
    floor.tell(kind="won", lead="L-2", after=90, value=5.0)
    assert examine(ledger) == []  # nor is the newest
    follow(ledger)
    assert examine(ledger) == []
    with ledger.writing() as tx:
        tx.execute(update(decision_facts).where(decision_facts.c.rep_drawn == "R-1").values(propensity=0.6))
        rep_ids, sums = chances.stored(tx, ("2026-03-02", "web"))
        sums[chances.SUMMED.index("mixture"), rep_ids.index("R-2")] = 9.0
        chances.put(tx, [chances.row_of(("2026-03-02", "web"), (rep_ids, sums))])
    found = examine(ledger)
    assert {(each.subject, each.key) for each in found} == {
        ("decision_facts.propensity", told), ("chance_sums", "2026-03-02 web R-2"),
    }  # fmt: skip
    with ledger.writing() as tx:
        chances.put(tx, [chances.row_of(("2026-03-02", "web"), (("R-2", "R-9"), sums))])
    lost, _, unknown = (each for each in examine(ledger) if each.subject == "chance_sums")
    assert (lost.key, lost.found) == ("2026-03-02 web R-1", None)
    assert (unknown.key, unknown.expected) == ("2026-03-02 web R-9", None)
    with ledger.writing() as tx:
        tx.execute(delete(decision_facts))
    assert [each.subject for each in examine(ledger)].count("decision_facts") == 2
