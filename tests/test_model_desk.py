"""Models changed by hand through the interface: promotion by compare-and-swap, rollback, a registry that is down."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from data.store import promotions
from serving.models import bundle, model_desk, signing
from serving.models.child import ChildFailedError
from training import model_files


@pytest.fixture
def registry(desk, small_model, tmp_path, monkeypatch):
    """Two versions that can be fetched, and a registry whose alias can be moved."""
    key = Ed25519PrivateKey.generate()
    home = desk.parts.home
    (home / "keys").mkdir(parents=True, exist_ok=True)
    private = key.private_bytes(signing.Encoding.PEM, signing.PrivateFormat.PKCS8, signing.NoEncryption())
    signing.write_atomically(home / "keys" / signing.PRIVATE, private)
    (home / "keys" / signing.PRIVATE).chmod(0o600)
    signing.signing_key(home)
    moved = []

    def fetch(version, to):
        if version not in ("1", "2"):
            raise ChildFailedError(f"there is no version {version}")
        model_files.save(small_model, to)
        about = json.loads((to / "model.json").read_bytes())
        about["facts"] = {"variant": version}
        (to / "model.json").write_text(json.dumps(about), encoding="utf-8")
        bundle.seal(to, key)

    monkeypatch.setattr(desk.parts.models, "_fetch", fetch)
    monkeypatch.setattr(model_desk, "name_champion", lambda home, version, timeout_s: moved.append(version))
    return moved


def promote(desk, version, expected, role="manager"):
    body = {"version": version, "expected": expected, "why": "a look at its figures"}
    return desk.call("POST", "/v1/model/promote", body, role=role)


def champion(desk):
    with desk.ledger.reading() as conn:
        return promotions.champion(conn)


def test_a_version_is_promoted_by_hand_and_the_alias_follows(desk, registry):
    answer = promote(desk, "1", None)
    assert answer.status_code == 200, answer.text
    assert answer.json()["warnings"] == []
    assert champion(desk).version == "1"
    assert champion(desk).grounds == {"grounds": ["promoted by hand: a look at its figures"]}
    assert registry == ["1"]
    told = desk.call("GET", "/v1/model", role="rep").json()
    assert [one["model_version"] for one in told["history"]] == ["1"]
    assert not told["can_roll_back"]


def test_whoever_saw_another_champion_changes_nothing(desk, registry):
    promote(desk, "1", None)
    assert promote(desk, "2", None).status_code == 409
    assert promote(desk, "1", "1").status_code == 409
    assert champion(desk).version == "1"


def test_a_rollback_brings_the_one_before_back(desk, registry):
    promote(desk, "1", None)
    promote(desk, "2", "1")
    answer = desk.call("POST", "/v1/model/rollback", {"expected": "2", "why": "it reads worse"}, role="manager")
    assert answer.status_code == 200, answer.text
    assert champion(desk).version == "1"
    again = desk.call("POST", "/v1/model/rollback", {"expected": "1", "why": "once more"}, role="manager")
    assert again.status_code == 409
    assert "nothing to roll back to" in again.json()["detail"]


def test_a_version_that_cannot_be_had_is_one_clear_line(desk, registry):
    answer = promote(desk, "9", None)
    assert answer.status_code == 422
    assert "Version 9 cannot be promoted: there is no version 9" in answer.text
    assert champion(desk) is None


def test_an_alias_that_cannot_follow_is_told_and_the_promotion_stands(desk, registry, monkeypatch):
    def down(home, version, timeout_s):
        raise ChildFailedError("not done after 60 seconds")

    monkeypatch.setattr(model_desk, "name_champion", down)
    answer = promote(desk, "1", None).json()
    assert answer["warnings"] == ["the registry's alias did not follow: not done after 60 seconds"]
    assert champion(desk).version == "1"


def test_the_list_of_versions_is_asked_for_once_in_a_while(desk, monkeypatch):
    asked = []
    monkeypatch.setattr(model_desk, "newest_versions", lambda home, timeout_s: asked.append(home) or [{"version": "3"}])
    for _ in range(2):
        answer = desk.call("GET", "/v1/model/versions", role="analyst")
        assert answer.json() == {"versions": [{"version": "3"}]}
    assert len(asked) == 1


def test_a_registry_that_is_down_stops_nothing_else(desk, monkeypatch):
    def down(home, timeout_s):
        raise ChildFailedError("not done after 60 seconds")

    monkeypatch.setattr(model_desk, "newest_versions", down)
    answer = desk.call("GET", "/v1/model/versions", role="manager")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert desk.call("GET", "/v1/model", role="manager").status_code == 200


def test_that_the_registry_is_down_is_found_out_once_in_a_while(desk, monkeypatch):
    asked = []

    def down(home, timeout_s):
        asked.append(home)
        raise ChildFailedError("not done after 60 seconds")

    monkeypatch.setattr(model_desk, "newest_versions", down)
    statuses = [desk.call("GET", "/v1/model/versions", role="manager").status_code for _ in range(3)]
    assert (statuses, len(asked)) == ([503] * 3, 1)


def test_a_registry_that_does_not_answer_holds_one_request_and_not_all(desk, monkeypatch):
    called, answers = threading.Event(), threading.Event()

    def slow(home, timeout_s):
        called.set()
        answers.wait()
        return [{"version": "3"}]

    monkeypatch.setattr(model_desk, "newest_versions", slow)
    monkeypatch.setattr(model_desk, "WAIT_S", 0.01)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(desk.parts.models.versions)
        called.wait()
        assert desk.call("GET", "/v1/model/versions", role="manager").status_code == 503
        answers.set()
        assert first.result() == [{"version": "3"}]
    assert desk.call("GET", "/v1/model/versions", role="manager").status_code == 200


def test_one_version_is_fetched_at_a_time(desk, registry, monkeypatch):
    fetch, tried = desk.parts.models._fetch, []

    def another_meanwhile(version, to):
        tried.append(promote(desk, "2", None).status_code)
        fetch(version, to)

    monkeypatch.setattr(desk.parts.models, "_fetch", another_meanwhile)
    assert promote(desk, "1", None).status_code == 200
    assert tried == [409]
    assert champion(desk).version == "1"

def test_who_may_not_is_told_who_may(shared_desk):
    refused = shared_desk.call("GET", "/v1/model/versions", role="crm").json()
    assert refused["detail"] == "A key of the role crm may not do this; one of manager, analyst, admin may."
