"""What the torture of events does at full size, small: killed senders, outcomes told often and in any order."""

import json

import pytest

from data.store.outcomes import OutcomeEvent
from tests.torture import outcomes, senders


def test_senders_killed_after_sending_lose_nothing_and_repeat_ids(floor, tmp_path):
    kills = 5 if floor.ledger.sqlite_file else 2
    killed = senders.kill(floor.ledger, tmp_path, kills)
    assert (killed.lost, killed.renamed, killed.overtaken) == (0, 0, 0)
    assert killed.arrived > killed.messages  # else nobody was killed between sending and writing it down


@pytest.fixture
def two_floors(tmp_path, store_floor):
    made = []
    for name in ("in_order", "shuffled"):
        floor = store_floor.Floor(store_floor.Ledger.open(f"sqlite:///{tmp_path}/{name}.db"))
        floor.reps(store_floor.Rep("R-1"), store_floor.Rep("R-2"))
        made.append(floor)
    yield made
    for floor in made:
        floor.ledger.close()


def test_outcomes_told_often_and_in_any_order_end_as_those_told_once_in_order(two_floors):
    compared = outcomes.compare(*two_floors, 400, seed=7)
    assert compared.sent > 2 * compared.events
    assert (compared.different, compared.findings) == ([], [])


def test_the_comparison_sees_one_outcome_more(two_floors):
    in_order, shuffled = two_floors
    outcomes.compare(in_order, shuffled, 40, seed=7)
    at = shuffled.row().decided_at
    extra = OutcomeEvent(event_id="extra", lead_id="L-0", event="won", occurred_at=at.replace(year=2030))
    outcomes.tell(shuffled.ledger, [extra], at)
    assert len(outcomes.different(in_order.ledger, shuffled.ledger)) >= 2


def test_a_burst_after_a_day_of_silence_is_taken(desk):
    """What does not fit is put off with Retry-After; sent again, it is taken, and nothing counts twice."""
    desk.roster({"rep_id": "R-1"})
    desk.assign("L-0")
    events = [
        {"event_id": f"e-{number}", "lead_id": f"L-{number % 50}", "event": "contacted",
         "occurred_at": desk.now.isoformat()}
        for number in range(2_000)
    ]  # fmt: skip
    batches = [events[start : start + 500] for start in range(0, len(events), 500)]
    taken = 0
    for _ in range(3):
        for batch in batches:
            answer = desk.call("POST", "/v1/outcomes", json.dumps(batch).encode())
            assert answer.status_code in (200, 429, 503)
            assert answer.status_code == 200 or "retry-after" in answer.headers
            if answer.status_code == 200:
                results = [one["result"] for one in answer.json()["results"]]
                taken += sum(result in ("accepted", "unmatched") for result in results)
    assert taken == len(events)
