"""A decision is written once, comes back as it was written, and is found by key, by lead and page by page."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sqlalchemy.exc import IntegrityError

from data.errors import ConflictError, InputError
from data.store import customers, decisions, keys, personal
from data.store.columns import from_microseconds, to_microseconds
from data.store.ledger import Ledger
from data.store.packing import pack, unpack
from pipelines import keeping

VECTORS = st.one_of(
    arrays(float, st.integers(0, 5), elements=st.floats(allow_nan=False)),
    arrays(bool, st.integers(0, 5)),
    arrays(np.int64, st.integers(0, 5)),
    arrays(np.int64, st.integers(0, 5), elements=st.sampled_from([0, 127, -128, 128, -129, 32_767, -32_768, 32_768])),
)


@given(st.dictionaries(st.text(), VECTORS))
def test_packed_vectors_come_back_bit_for_bit(vectors):
    back = unpack(pack(vectors))
    assert list(back) == list(vectors)
    for name, values in vectors.items():
        assert back[name].dtype == values.dtype
        assert back[name].tobytes() == values.tobytes()
        assert not back[name].flags.writeable
        (alone,) = unpack(pack(vectors), [name]).values()
        assert alone.tobytes() == values.tobytes()


def test_small_whole_numbers_take_a_byte_each():
    assert len(pack({"open": np.arange(100)})) < 150 < 200 < len(pack({"open": np.arange(100) + 100})) < 250


@pytest.mark.parametrize("values", [np.zeros((2, 2)), np.array(["a"]), np.array([1j])])
def test_only_vectors_of_numbers_are_packed(values):
    with pytest.raises(ValueError, match="vector"):
        pack({"x": values})


def test_a_packed_blob_that_was_cut_off_or_added_to_is_noticed():
    blob = pack({"x": np.zeros(4)})
    one_value = pack({"y": np.zeros(9), "x": np.ones(9, dtype=bool)})
    for wrong in (blob[:-1], blob + b"x", b"", one_value[:-1], one_value[:-9]):
        for names in (None, ("x",)):
            with pytest.raises(ValueError):
                unpack(wrong, names)


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_come_back_to_the_microsecond(at):
    assert from_microseconds(to_microseconds(at)) == at


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        to_microseconds(datetime(2026, 1, 1))


def full_row(floor):
    return floor.row(
        idempotency_key="K-1",
        customer_id="C-1",
        mode="trial",
        lead_snapshot={"source": "web", "size": 12, "note": "NUL \0, lone \ud800, 江苏"},
        policy_version=3,
        model_version="12",
        model_digest="abc",
        excluded={"another region": ["R-8", "R-9"]},
        probability=np.array([0.1, 1 / 3]),
        prices=np.array([np.nan, np.inf]),
        state={"open": np.array([3, 4]), "since": np.array([0.5, np.nan])},
        holdout_share=0.15,
        seed=2**63 - 1,
        draw_number=2,
        probability_chosen=0.1,
        baseline=0.2,
        uplift=-0.1,
        uplift_low=-0.2,
        uplift_high=0.1,
        lead_score=87,
        grade="A",
        degraded="no model",
        unassigned_reason=None,
    )


def test_a_decision_comes_back_as_it_was_written(floor):
    row = full_row(floor)
    with floor.ledger.writing() as tx:
        assert floor.write(tx, row)
    with floor.ledger.reading() as conn:
        back = decisions.get(conn, row.decision_id).row
    for field in fields(row):
        want, have = getattr(row, field.name), getattr(back, field.name)
        if isinstance(want, np.ndarray):
            np.testing.assert_array_equal(want, have)
        elif field.name == "state":
            assert list(want) == list(have)
            [np.testing.assert_array_equal(want[name], have[name]) for name in want]
        else:
            assert want == have, field.name


def test_an_unknown_decision_is_none(floor):
    with floor.ledger.reading() as conn:
        assert decisions.get(conn, "D-9") is None
        assert decisions.find_by_key(conn, "crm", "K-9") is None
        assert decisions.open_decision(conn, "crm", "L-9") is None


def test_the_key_finds_the_stored_bytes_for_its_own_client_alone(floor):
    floor.decide(idempotency_key="K-1", request_digest="of the body")
    with floor.ledger.reading() as conn:
        found = decisions.find_by_key(conn, "crm", "K-1")
        assert (found.decision_id, found.request_digest, found.rep_id) == ("D-L-1", "of the body", "R-1")
        assert found.answer == b'{"decision_id": "D-L-1", "lead_id": "L-1", "rep_id": "R-1", "arm": "model"}'
        assert decisions.find_by_key(conn, "other", "K-1") is None


def test_a_key_used_twice_is_a_conflict_and_takes_no_slot(floor):
    floor.decide("L-1", idempotency_key="K-1")
    with pytest.raises(ConflictError):
        floor.decide("L-2", idempotency_key="K-1")
    assert floor.load() == (1, 1)


def test_two_clients_may_use_one_key_and_one_lead_id(floor):
    with floor.ledger.writing() as tx:
        keys.ensure_client(tx, "other", at=datetime(2026, 1, 1, tzinfo=UTC))
    floor.decide(idempotency_key="K-1")
    floor.decide(idempotency_key="K-1", decision="D-2", client_id="other")
    assert floor.standing() == "D-L-1"


def test_a_lead_with_a_standing_decision_takes_no_second(floor):
    floor.decide()
    with pytest.raises(ConflictError):
        floor.decide(decision="D-2")
    assert floor.standing() == "D-L-1"
    assert floor.load() == (1, 1)


def test_a_lead_that_nobody_got_is_decided_anew(floor):
    floor.decide(rep=None, unassigned_reason="all at capacity")
    assert floor.standing() is None
    assert floor.state().status == "unassigned"
    floor.decide(decision="D-2", after=5)
    assert floor.standing() == "D-2"


@pytest.mark.parametrize("kind", ["won", "lost"])
def test_a_closed_lead_keeps_its_decision(floor, kind):
    floor.decide()
    floor.tell(kind=kind)
    assert floor.standing() == "D-L-1"


def test_a_duplicate_is_a_row_under_its_own_key_that_changes_nothing_else(floor):
    floor.decide(idempotency_key="K-1")
    floor.decide(idempotency_key="K-2", decision="D-2", spell_id="D-L-1", duplicate_of="D-L-1", after=1)
    assert floor.standing() == "D-L-1"
    assert floor.load() == (1, 1)
    assert floor.state("D-2") == floor.state("D-L-1")
    with floor.ledger.reading() as conn:
        assert decisions.find_by_key(conn, "crm", "K-2").duplicate_of == "D-L-1"


def test_a_shadow_decision_stands_and_takes_no_slot(floor):
    floor.decide(mode="shadow")
    assert floor.standing() == "D-L-1"
    assert floor.load() == (0, 0)
    assert floor.state().rep_id is None
    floor.tell(kind="owner_changed", rep_id="R-2", after=-1)
    assert (floor.state().rep_id, floor.state().holds_slot) == ("R-2", False)


def test_a_rep_without_a_reserved_slot_is_refused(floor):
    with pytest.raises(ValueError, match=r"capacity\.reserve"), floor.ledger.writing() as tx:
        decisions.record(tx, floor.row(), b"{}")


def test_a_row_that_does_not_fit_together_is_refused(floor):
    for wrong in (
        {"probability": np.zeros(3)},
        {"state": {"open": np.zeros(1)}},
        {"seed": 2**63},
        {"seed": -1},
        {"personal": {"source": "web"}},
    ):
        with pytest.raises(ValueError):
            floor.decide(rep=None, **wrong)


def test_a_decision_of_an_unknown_client_is_refused(floor):
    with pytest.raises(IntegrityError):
        floor.decide(rep=None, client_id="nobody")


def test_pages_run_from_newest_to_oldest_and_end(floor):
    for number in range(7):
        floor.decide(f"L-{number}", after=number)
    with floor.ledger.reading() as conn:
        seen, cursor = [], None
        while True:
            page, cursor = decisions.search(conn, cursor=cursor, limit=3)
            seen.append([each.row.lead_id for each in page])
            if cursor is None:
                break
    assert seen == [["L-6", "L-5", "L-4"], ["L-3", "L-2", "L-1"], ["L-0"]]


def test_a_page_can_be_of_a_lead_a_rep_a_client_or_a_time(floor):
    floor.decide("L-1", "R-1")
    floor.decide("L-2", "R-2", after=10)
    floor.decide("L-1", "R-1", decision="D-2", idempotency_key="K", duplicate_of="D-L-1", after=20)
    nine = datetime(2026, 3, 2, 9, tzinfo=UTC)

    def ids(**wanted):
        with floor.ledger.reading() as conn:
            return [each.row.decision_id for each in decisions.search(conn, **wanted)[0]]

    assert ids(lead_id="L-1") == ["D-2", "D-L-1"]
    assert ids(rep_id="R-1") == ["D-L-1"]
    assert ids(rep_id="R-2") == ["D-L-2"]
    assert ids(client_id="other") == []
    assert ids(since=nine + timedelta(minutes=10)) == ["D-2", "D-L-2"]


def test_a_cursor_that_is_not_ours_is_refused(floor):
    for cursor in ("", "x", "-1", "1.5", "9" * 30, "١"):
        with floor.ledger.reading() as conn, pytest.raises(InputError):
            decisions.search(conn, cursor=cursor)


def test_forgotten_answers_leave_their_decisions(floor):
    floor.decide("L-1", idempotency_key="K-1")
    floor.decide("L-2", after=40 * 24 * 60)
    later = datetime(2026, 4, 12, 9, tzinfo=UTC)  # the floor's days begin on the 2nd of March
    gone = keeping.retained(floor.ledger, days=30, answer_days=30, actor="test", now=later, dry_run=False)
    assert gone["answers"] == 1
    with floor.ledger.reading() as conn:
        assert decisions.find_by_key(conn, "crm", "K-1").answer is None
        assert decisions.open_decision(conn, "crm", "L-2").answer is not None


def test_a_customers_leads_are_found_by_her_keys_the_newest_first(floor):
    def owners():
        with floor.ledger.reading() as conn:
            found = customers.same(conn, "crm", "L-9", ["k", "other"], since=datetime(2026, 1, 1, tzinfo=UTC))
        return [(lead.lead_id, lead.rep_id, lead.kind) for lead in found]

    assert owners() == []
    floor.decide("L-1", "R-1", customer_keys={"k": "email"})
    floor.decide("L-2", "R-2", customer_keys={"k": "email"}, after=1)
    floor.decide("L-3", None, customer_keys={"k": "email"}, after=2)
    floor.decide("L-4", "R-1", customer_keys={"another": "email"}, after=3)
    assert owners() == [("L-2", "R-2", "email"), ("L-1", "R-1", "email")]
    floor.tell(kind="owner_changed", lead="L-2", rep_id="R-1")
    assert owners()[0] == ("L-2", "R-1", "email")


def test_personal_data_lie_apart_and_can_be_erased(floor):
    floor.decide(personal={"name": "Li Na", "email": "li@example.com"})
    with floor.ledger.reading() as conn:
        assert personal.read(conn, "crm", "L-1") == {"name": "Li Na", "email": "li@example.com"}
        assert personal.read(conn, "crm", "L-2") == {}
        assert decisions.get(conn, "D-L-1").row.personal == {}
    with floor.ledger.writing() as tx:
        assert personal.erase(tx, "crm", "L-1")
        assert not personal.erase(tx, "crm", "L-1")
    with floor.ledger.reading() as conn:
        assert personal.read(conn, "crm", "L-1") == {}
    assert floor.standing() == "D-L-1"


def test_what_was_erased_is_no_longer_in_the_file(tmp_path, store_floor):
    floor = store_floor.Floor(Ledger.open(f"sqlite:///{tmp_path}/ledger.db"))
    floor.decide(rep=None, personal={"name": "Planted Canary"})
    with floor.ledger.writing() as tx:
        personal.erase(tx, "crm", "L-1")
    floor.ledger.close()  # the last to leave empties the write-ahead log
    assert not any(b"Planted Canary" in file.read_bytes() for file in tmp_path.iterdir())
