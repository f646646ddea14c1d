"""Keys are kept as their hash alone; promotions and rule books change only for who saw the latest."""

from datetime import UTC, datetime, timedelta

import pytest

from data.errors import ConflictError, InputError
from data.store import keys, policies, promotions
from data.store.ledger import Ledger

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
LATER = NINE + timedelta(hours=1)


def create(ledger, **changes):
    with ledger.writing() as tx:
        return keys.create(tx, **{"role": "crm", "label": "Salesforce", "at": NINE, **changes})


def find(ledger, presented, at=NINE):
    with ledger.reading() as conn:
        return keys.find(conn, presented, at=at)


def test_a_key_opens_what_its_role_and_client_allow(ledger):
    made = create(ledger, client_id="salesforce")
    found = find(ledger, made.key)
    assert (found.id, found.role, found.label, found.client_id) == (made.id, "crm", "Salesforce", "salesforce")
    assert find(ledger, create(ledger).key).client_id == keys.DEFAULT_CLIENT
    assert find(ledger, create(ledger, role="rep", rep_id="R-1").key).rep_id == "R-1"


def test_two_keys_of_one_client_are_two_secrets(ledger):
    assert create(ledger).key != create(ledger).key
    with ledger.reading() as conn:
        assert len(keys.list_keys(conn)) == 2


def test_nothing_but_the_whole_key_opens(ledger):
    made = create(ledger)
    other = create(ledger)
    mixed = made.key[: len("lm_") + len(made.id)] + other.key[len("lm_") + len(other.id) :]
    wrong = ["", made.id, made.key[:-1], made.key + "x", made.key.upper(), f"lm_{made.id}_", "lm__x", mixed, "lm_ü_x"]
    assert [find(ledger, each) for each in wrong] == [None] * len(wrong)


def test_an_expired_key_opens_nothing(ledger):
    made = create(ledger, expires_at=LATER)
    assert find(ledger, made.key, LATER - timedelta(microseconds=1)) is not None
    assert find(ledger, made.key, LATER) is None


def rotate(ledger, key_id, days=7):
    with ledger.writing() as tx:
        return keys.rotate(tx, key_id, at=NINE, old_ends_at=NINE + timedelta(days=days))


def test_a_rotated_key_and_its_successor_both_open_until_the_old_one_ends(ledger):
    old = create(ledger, client_id="salesforce", expires_at=NINE + timedelta(days=90))
    new = rotate(ledger, old.id)
    week = NINE + timedelta(days=7)
    for key, at, opens in (
        (old, week - timedelta(seconds=1), True),
        (old, week, False),
        (new, week, True),
        (new, NINE + timedelta(days=90), False),  # it lasts as long as the old one was to
    ):
        assert (find(ledger, key.key, at) is not None) == opens
    found = find(ledger, new.key)
    assert (found.client_id, found.role, found.label) == ("salesforce", "crm", "Salesforce")


def test_no_more_than_two_keys_of_a_place_are_live(ledger):
    old = create(ledger)
    new = rotate(ledger, old.id)
    for key in (old, new):
        with pytest.raises(InputError, match="being rotated already"):
            rotate(ledger, key.id)
    with ledger.writing() as tx:
        keys.revoke(tx, old.id, at=NINE)
    assert rotate(ledger, new.id, days=0).id not in (old.id, new.id)
    assert find(ledger, new.key) is None
    with pytest.raises(InputError, match="no such key"):
        rotate(ledger, old.id)


def test_a_key_that_ends_sooner_is_not_kept_alive_by_its_rotation(ledger):
    old = create(ledger, expires_at=LATER)
    rotate(ledger, old.id)
    assert find(ledger, old.key, LATER) is None


def test_a_revoked_key_opens_nothing_and_stays_on_the_list(ledger):
    made = create(ledger)
    with ledger.writing() as tx:
        assert keys.revoke(tx, made.id, at=LATER)
        assert not keys.revoke(tx, made.id, at=LATER)
        assert not keys.revoke(tx, "nothing", at=LATER)
    assert find(ledger, made.key) is None
    with ledger.reading() as conn:
        assert [(key.id, key.revoked_at) for key in keys.list_keys(conn)] == [(made.id, LATER)]


@pytest.mark.parametrize("wrong", [{"role": "root"}, {"role": "rep"}, {"role": "crm", "rep_id": "R-1"}])
def test_a_key_without_a_proper_role_is_not_made(ledger, wrong):
    with pytest.raises(InputError):
        create(ledger, **wrong)


def test_the_secret_is_nowhere_in_the_files(tmp_path):
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    made = create(ledger)
    secret = made.key.removeprefix(f"lm_{made.id}_").encode()
    ledger.close()
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert made.id.encode() in written
    assert secret not in written
    assert secret.decode() not in repr(find(Ledger.open(f"sqlite:///{tmp_path}/ledger.db"), made.key))


def promote(ledger, version, expected):
    with ledger.writing() as tx:
        return promotions.promote(
            tx,
            version=version,
            digest=f"sha-{version}",
            expected_previous=expected,
            actor="trainer",
            grounds={"log_loss": [0.31, 0.29]},
            at=NINE,
        )


def test_only_who_saw_the_champion_replaces_it(ledger):
    assert promote(ledger, "1", None).previous is None
    assert promote(ledger, "2", "1").previous == "1"
    for expected in ("1", None, "3"):
        with pytest.raises(ConflictError, match="champion is 2"):
            promote(ledger, "3", expected)
    back = promote(ledger, "1", "2")  # a rollback
    with ledger.reading() as conn:
        assert promotions.champion(conn) == back
        assert [each.version for each in promotions.history(conn)] == ["1", "2", "1"]
        assert [each.number for each in promotions.history(conn)] == [1, 2, 3]
    assert back.grounds == {"log_loss": [0.31, 0.29]}


def test_there_is_no_champion_before_the_first(ledger):
    with ledger.reading() as conn:
        assert promotions.champion(conn) is None
        assert policies.active(conn) is None
        assert policies.version(conn) == 0


def test_a_rule_book_gets_a_new_version_only_where_its_text_is_another(ledger):
    def activate(text):
        with ledger.writing() as tx:
            return policies.activate(tx, text, actor="boss", why="because", at=NINE)

    assert [activate(text) for text in ("a", "a", "b", "a")] == [1, 1, 2, 3]
    with ledger.reading() as conn:
        assert policies.active(conn).version == policies.version(conn) == 3
        assert policies.get(conn, 2).text == "b"
        assert policies.get(conn, 9) is None
        assert [each.text for each in policies.history(conn)] == ["a", "b", "a"]
