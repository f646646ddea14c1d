"""Outcomes come at least once, in any order, before the decision too; people may give a lead to somebody else."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.errors import ConflictError
from data.roster import Rep
from data.store import capacity, decisions, outcomes, overrides
from data.store.ledger import Ledger
from data.store.outcomes import OutcomeEvent
from pipelines.doctor import examine

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


def test_an_event_is_told_accepted_duplicate_conflict_or_unmatched(floor, store_floor):
    floor.decide()
    won = store_floor.event("won", value=9.0)
    assert floor.tell(won) == ["accepted"]
    assert floor.tell(won, won) == ["duplicate", "duplicate"]
    assert floor.tell(store_floor.event("won", value=8.0)) == ["conflict"]
    assert floor.tell(store_floor.event("lost", lead="L-9")) == ["unmatched"]
    assert floor.tell(store_floor.event("contacted", id="x"), store_floor.event("contacted", id="x")) == [
        "accepted",
        "duplicate",
    ]
    assert (floor.state().status, floor.state().value) == ("won", 9.0)
    assert examine(floor.ledger) == []


@pytest.mark.parametrize(
    "wrong", [{"event": "sold"}, {"event": "merged"}, {"event": "merged", "into": "L-1"}, {"event": ""}]
)
def test_an_event_that_says_nothing_is_refused(wrong):
    with pytest.raises(ValueError):
        OutcomeEvent(**{"event_id": "E", "lead_id": "L-1", "occurred_at": NINE, **wrong})


@pytest.mark.parametrize("kind", ["won", "lost", "merged"])
def test_the_end_of_a_lead_gives_its_slot_back_once(floor, kind):
    floor.reps(Rep("R-1", capacity=1))
    floor.decide()
    into = {"into": "L-2"} if kind == "merged" else {}
    for after in (60, 61, 62):
        floor.tell(kind=kind, after=after, **into)
    assert floor.load() == (0, 1)
    assert floor.decide("L-3") == "D-L-3"


def test_a_reopened_lead_takes_its_slot_again_over_the_limit_if_need_be(floor):
    floor.reps(Rep("R-1", capacity=1))
    floor.decide("L-1")
    floor.tell(kind="lost")
    floor.decide("L-2")
    floor.tell(kind="reopened", after=70)
    assert floor.load() == (2, 2)
    assert floor.decide("L-3") is None
    assert floor.state().status == "open"
    floor.tell(kind="won", after=80)
    assert floor.load() == (1, 2)
    assert examine(floor.ledger) == []


def test_what_was_told_before_the_decision_is_applied_with_it(floor):
    assert floor.tell(kind="won", value=5.0) == ["unmatched"]
    floor.decide()
    assert (floor.state().status, floor.state().value) == ("won", 5.0)
    assert floor.load() == (0, 1)
    assert examine(floor.ledger) == []


def test_outcomes_of_leads_that_never_came_are_counted(floor):
    floor.tell(kind="won", lead="L-never")
    floor.tell(kind="won", lead="L-1")
    floor.decide("L-1")
    with floor.ledger.reading() as conn:
        assert outcomes.never_matched(conn, received_before=NINE + timedelta(days=7)) == 1
        assert outcomes.never_matched(conn, received_before=NINE) == 0


def test_a_new_owner_named_by_the_crm_takes_the_slot(floor):
    floor.decide()
    floor.tell(kind="owner_changed", rep_id="R-2")
    assert (floor.load("R-1"), floor.load("R-2")) == ((0, 1), (1, 0))
    floor.tell(kind="owner_changed", rep_id="whom only the CRM knows", after=70)
    assert floor.load("R-2") == (0, 0)
    assert floor.state().version == 3
    floor.tell(kind="owner_changed", rep_id=None, after=80)
    assert floor.standing() is None
    assert examine(floor.ledger) == []


EVENTS = st.lists(
    st.builds(
        lambda number, kind, lead, minutes, rep, value: OutcomeEvent(
            event_id=f"E-{number}",
            lead_id=lead,
            event=kind,
            occurred_at=NINE + timedelta(minutes=minutes),
            rep_id=rep if kind == "owner_changed" else None,
            value=value,
            into="L-9" if kind == "merged" else None,
        ),
        st.integers(0, 10**6),
        st.sampled_from(outcomes.EVENTS),
        st.sampled_from(["L-1", "L-2"]),
        st.integers(-10, 90),
        st.sampled_from(["R-1", "R-2", "R-3", None]),
        st.none() | st.just(4.0),
    ),
    max_size=7,
    unique_by=lambda each: each.event_id,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, data=st.data())
def test_any_arrival_gives_the_same_states_and_loads(tmp_path, store_floor, events, data):
    def seen(arrivals):
        """States and loads after the arrivals; a lead's id stands among them where its decision comes."""
        if not (tmp_path / "empty.db").exists():
            empty = store_floor.Floor(Ledger.open(f"sqlite:///{tmp_path}/empty.db"))
            empty.reps(*(Rep(f"R-{n}", capacity=1) for n in (1, 2, 3)))
            empty.ledger.close()
        shutil.copy(tmp_path / "empty.db", tmp_path / "ledger.db")
        floor = store_floor.Floor(Ledger.open(f"sqlite:///{tmp_path}/ledger.db"))
        for each in arrivals:
            if isinstance(each, str):
                floor.decide(each, "R-1" if each == "L-1" else "R-2")
            else:
                floor.tell(*each)
        assert examine(floor.ledger) == []
        found = [floor.state(f"D-{lead}") for lead in ("L-1", "L-2")]
        found += [floor.load(f"R-{n}")[0] for n in (1, 2, 3)] + [floor.standing(lead) for lead in ("L-1", "L-2")]
        floor.ledger.close()
        return found

    leads = ["L-1", "L-2"]
    # Some told twice, some together, in any order. A decision may come last, unless the CRM gave the lead to
    # somebody before: then it would meet other loads.
    twice = data.draw(st.permutations(events + events[:3]))
    cut = data.draw(st.integers(0, len(twice)))
    together = [*leads, twice[:cut], twice[cut:]]
    if not any(each.event == "owner_changed" for each in events):
        together = data.draw(st.permutations(together))
    assert seen(together) == seen([*leads, *([event] for event in events)])


# Overrides --------------------------------------------------------------------------------------------------


def override(floor, rep="R-2", *, version=1, decision="D-L-1", force=False, after=10):
    with floor.ledger.writing() as tx:
        return overrides.record(
            tx,
            decision,
            Rep(rep),
            reason="knows them",
            actor="boss",
            expected_version=version,
            at=NINE + timedelta(minutes=after),
            force=force,
        )


def test_an_override_moves_the_lead_and_its_slot(floor):
    floor.decide()
    state = override(floor)
    assert state == floor.state()
    assert (state.rep_id, state.version, state.holds_slot) == ("R-2", 2, True)
    assert (floor.load("R-1"), floor.load("R-2")) == ((0, 1), (1, 1))
    with floor.ledger.reading() as conn:
        kept = overrides.of_decision(conn, "D-L-1")
        assert decisions.get(conn, "D-L-1").row.rep_id == "R-1"  # the decision itself does not change
    told = [(each.previous_rep_id, each.rep_id, each.version, each.actor) for each in kept]
    assert told == [("R-1", "R-2", 2, "boss")]
    assert examine(floor.ledger) == []


def test_an_override_that_saw_another_version_is_a_conflict(floor):
    floor.decide()
    override(floor)
    with pytest.raises(ConflictError, match="version 2"):
        override(floor, "R-1", version=1)
    assert floor.state().rep_id == "R-2"
    override(floor, "R-1", version=2)
    floor.tell(kind="owner_changed", rep_id="R-2", after=20)
    with pytest.raises(ConflictError):
        override(floor, "R-2", version=3)


def test_an_override_over_the_limit_must_be_forced(floor):
    floor.reps(Rep("R-1"), Rep("R-2", capacity=1))
    floor.decide("L-1", "R-1")
    floor.decide("L-2", "R-2")
    with pytest.raises(ConflictError, match="forced"):
        override(floor)
    assert (floor.load("R-1"), floor.load("R-2")) == ((1, 1), (1, 1))
    with floor.ledger.reading() as conn:
        assert overrides.of_decision(conn, "D-L-1") == []
    override(floor, force=True)
    assert (floor.load("R-1"), floor.load("R-2")) == ((0, 1), (2, 2))
    assert examine(floor.ledger) == []


@pytest.mark.parametrize("kind", ["won", "lost"])
def test_a_closed_lead_is_not_overridden(floor, kind):
    floor.decide()
    floor.tell(kind=kind)
    with pytest.raises(ConflictError, match=kind):
        override(floor)


def test_only_the_leads_latest_decision_is_overridden(floor):
    floor.decide()
    with floor.ledger.writing() as tx:
        capacity.release(tx, "D-L-1", kind="recycled", at=NINE)
    floor.decide(decision="D-2", rep="R-2", after=30)
    with pytest.raises(ConflictError, match="decided anew"):
        override(floor)
    with pytest.raises(ConflictError, match="already"):
        override(floor, "R-2", decision="D-2")


def test_a_lead_that_nobody_got_can_be_given_by_hand(floor):
    floor.decide(rep=None)
    assert override(floor).status == "open"
    assert floor.standing() == "D-L-1"
    assert floor.load("R-2") == (1, 1)
    assert examine(floor.ledger) == []


def test_an_unknown_decision_or_a_duplicate_is_not_overridden(floor):
    floor.decide(idempotency_key="K-1")
    floor.decide(idempotency_key="K-2", decision="D-2", duplicate_of="D-L-1")
    for decision in ("D-9", "D-2"):
        with pytest.raises(ValueError):
            override(floor, decision=decision)


def test_an_override_counts_after_what_was_known_when_it_was_made(floor):
    # The CRM's clock is ahead of ours.
    floor.decide()
    floor.tell(kind="owner_changed", rep_id="R-2", after=500)
    assert override(floor, "R-1", version=2, after=10).rep_id == "R-1"
    with floor.ledger.writing() as tx:
        assert capacity.release(tx, "D-L-1", kind="recycled", at=NINE)
