"""What others are told is written with what it tells: both, or neither."""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, select

from data.roster import Rep
from data.store import outbox, overrides, promotions
from data.store.tables import endpoints
from data.store.tables import outbox as table

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)


def listen(ledger, endpoint_id="E-1", topics=outbox.TOPICS, **changes):
    row = {
        "endpoint_id": endpoint_id, "kind": "webhook", "url": "https://example.com/in",
        "topics": f",{','.join(topics)},", "client_id": None, "secret_from": "env:SECRET", "private_allowed": False,
        "options": {}, "active": True, "actor": "test", "created_at": NINE,
    }  # fmt: skip
    with ledger.writing() as tx:
        tx.execute(insert(endpoints), {**row, **changes})


def told(ledger):
    with ledger.reading() as conn:
        rows = conn.execute(select(table).order_by(table.c.seq)).all()
    return [(row.endpoint_id, row.topic, json.loads(row.body)["data"]) for row in rows]


def test_a_decision_is_announced_to_those_who_asked_for_it(floor):
    listen(floor.ledger)
    listen(floor.ledger, "E-2", topics=["overridden"])
    listen(floor.ledger, "E-3", client_id="crm")
    listen(floor.ledger, "E-4", active=False)
    floor.decide("L-1", "R-1", lead_score=87, grade="A", uplift=0.09)
    rows = told(floor.ledger)
    assert [(endpoint, topic) for endpoint, topic, _ in rows] == [("E-1", "assigned"), ("E-3", "assigned")]
    data = rows[0][2]
    assert data["client_id"] == "crm"
    assert (data["lead_id"], data["rep_id"], data["lead_score"], data["version"]) == ("L-1", "R-1", 87, 1)


def test_nothing_is_written_where_nobody_listens(floor):
    floor.decide()
    assert told(floor.ledger) == []


def test_what_gives_the_lead_to_nobody_announces_no_assignment(floor):
    listen(floor.ledger)
    floor.decide("L-1", None)
    floor.decide("L-2", "R-1", mode="shadow")
    floor.decide("L-3", "R-1")
    floor.decide("L-3", "R-1", decision="D-again", duplicate_of="D-L-3", spell_id="D-L-3", idempotency_key="k")
    assert [data["lead_id"] for _, _, data in told(floor.ledger)] == ["L-3"]


def test_a_decision_that_is_rolled_back_is_told_to_nobody(floor):
    listen(floor.ledger)
    with pytest.raises(ZeroDivisionError), floor.ledger.writing() as tx:
        _ = floor.write(tx, floor.row()), 1 / 0
    assert told(floor.ledger) == []


def test_overrides_and_promotions_are_announced(floor):
    listen(floor.ledger)
    floor.decide()
    with floor.ledger.writing() as tx:
        overrides.record(
            tx, "D-L-1", Rep("R-2"), reason="knows them", actor="manager:k1", expected_version=1, at=NINE
        )
        promotions.promote(
            tx, version="3", digest="d", expected_previous=None, actor="admin:k2", grounds={}, at=NINE
        )
    assert [topic for _, topic, _ in told(floor.ledger)] == ["assigned", "overridden", "model.promoted"]
    override, promotion = told(floor.ledger)[1][2], told(floor.ledger)[2][2]
    assert (override["previous_rep_id"], override["rep_id"], override["version"]) == ("R-1", "R-2", 2)
    assert "reason" not in override  # free text may name a person
    assert promotion["version"] == "3"


def test_a_topic_that_nobody_knows_is_refused(ledger):
    with pytest.raises(ValueError, match="topic"), ledger.writing() as tx:
        outbox.announce(tx, "sneezed", at=NINE, data={})
