"""The model's way into serving: signed plain files, a throw-away process, one reference swapped."""

import json
import os
import re
import stat
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from data.store.promotions import Promotion
from serving.models import bundle, canary, signing
from serving.models.bundle import BundleRefusedError
from serving.models.bundle_store import FIRST_PAUSE_S, KEPT, BundleStore
from serving.models.child import ChildFailedError, Limits
from training import model_files

LEADS = np.array([[0.0, 100.0, 9.0, 1.0], [1.0, np.nan, 14.0, 5.0], [3.0, 2.0, np.nan, 0.0]])


@pytest.fixture(scope="session")
def key():
    return Ed25519PrivateKey.generate()


@pytest.fixture(scope="session")
def saved(small_model, tmp_path_factory):
    """The small model's files, not sealed, by name: each test writes a copy of its own."""
    folder = tmp_path_factory.mktemp("saved")
    model_files.save(small_model, folder)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture
def sealed(saved, key, tmp_path):
    return write_sealed(tmp_path / "sealed", saved, key)


@pytest.fixture
def home(key, tmp_path):
    """A LEADMATCH_HOME whose public key is that of `key`."""
    return home_of(key, tmp_path / "home")


def home_of(key, home):
    (home / "keys").mkdir(parents=True)
    private = key.private_bytes(signing.Encoding.PEM, signing.PrivateFormat.PKCS8, signing.NoEncryption())
    file = home / "keys" / signing.PRIVATE
    file.write_bytes(private)
    file.chmod(0o600)
    signing.signing_key(home)
    file.unlink()  # serving needs only the public half
    return home


def write_sealed(folder, files, key, **about):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    bundle.seal(folder, key, about=about)
    return folder


def variant(saved, number):
    """Another sound model: the same but for a fact it carries."""
    about = json.loads(saved["model.json"])
    about["facts"] = {"variant": number}
    return {**saved, "model.json": json.dumps(about).encode()}


def promotion(digest, version="1"):
    return Promotion(1, version, digest, None, "ana", {}, datetime(2026, 1, 1, tzinfo=UTC))


def digest_of(folder):
    return json.loads((folder / bundle.MANIFEST).read_bytes())["digest"]


def unreachable(version, to):
    raise ChildFailedError("the registry is down")


def copying(*folders):
    """A registry that holds these bundles as versions 1, 2, ..."""

    def fetch(version, to):
        bundle.copy_files(folders[int(version) - 1], to)

    return fetch


# --- keys -----------------------------------------------------------------------------------------------


def test_the_signing_key_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    first, second = signing.signing_key(tmp_path), signing.signing_key(tmp_path)
    assert first.private_bytes_raw() == second.private_bytes_raw()
    assert stat.S_IMODE((tmp_path / "keys" / signing.PRIVATE).stat().st_mode) == 0o600
    assert signing.public_key(tmp_path).public_bytes_raw() == first.public_key().public_bytes_raw()
    assert sorted(file.name for file in (tmp_path / "keys").iterdir()) == [signing.PRIVATE, signing.PUBLIC]


def test_a_signing_key_that_others_can_read_is_refused(tmp_path):
    signing.signing_key(tmp_path)
    (tmp_path / "keys" / signing.PRIVATE).chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        signing.signing_key(tmp_path)


# --- seal and verify ------------------------------------------------------------------------------------


def test_a_sealed_bundle_verifies_and_loads_as_the_same_model(sealed, key, small_model):
    manifest = bundle.verify(sealed, key.public_key())
    at_days = np.full(3, 20_000.0)
    loaded = model_files.RosterModel(model_files.load(sealed), small_model.reps)
    expected = model_files.RosterModel(small_model, small_model.reps).probability(LEADS, at_days)
    assert np.array_equal(loaded.probability(LEADS, at_days), expected)
    assert manifest.digest == digest_of(sealed)


def test_the_digest_is_of_the_content_alone(saved, key, tmp_path):
    first = write_sealed(tmp_path / "a", saved, key, run_id="1", trained_at="2026-01-01")
    second = write_sealed(tmp_path / "b", saved, Ed25519PrivateKey.generate(), run_id="2")
    other = write_sealed(tmp_path / "c", variant(saved, 1), key, run_id="1")
    assert digest_of(first) == digest_of(second) != digest_of(other)
    assert bundle.verify(first, key.public_key()).about == {"run_id": "1", "trained_at": "2026-01-01"}


def test_a_bundle_signed_by_another_key_is_refused(sealed):
    with pytest.raises(BundleRefusedError, match="signature"):
        bundle.verify(sealed, Ed25519PrivateKey.generate().public_key())


def _truncate(folder):
    os.truncate(folder / "lead_model.txt", 100)


def _pickle_beside(folder):
    (folder / "model.pkl").write_bytes(b"\x80\x04.")


def _code_beside(folder):
    (folder / "code").mkdir()


def _link(folder):
    (folder / "reps.json").rename(folder.parent / "reps.json")
    (folder / "reps.json").symlink_to(folder.parent / "reps.json")


def _pipe(folder):
    (folder / "reps.json").unlink()
    os.mkfifo(folder / "reps.json")


def _missing(folder):
    (folder / "reps.json").unlink()


def _unsigned(folder):
    (folder / bundle.SIGNATURE).unlink()


def _fields_moved(folder):
    manifest = json.loads((folder / bundle.MANIFEST).read_bytes())
    (folder / bundle.MANIFEST).write_text(json.dumps(manifest))  # the same values, other bytes


def _grown(folder):
    (folder / bundle.MANIFEST).write_bytes(b" " * (bundle.LARGEST_MANIFEST_BYTES + 1))


TAMPERINGS = [_truncate, _pickle_beside, _code_beside, _link, _pipe, _missing, _unsigned, _fields_moved, _grown]


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_a_tampered_bundle_is_refused(tamper, sealed, key):
    tamper(sealed)
    with pytest.raises(BundleRefusedError):
        bundle.verify(sealed, key.public_key())


def test_only_a_bundles_own_names_are_copied(sealed, tmp_path):
    _pickle_beside(sealed)
    (tmp_path / "copy").mkdir()
    with pytest.raises(BundleRefusedError, match="no bundle has"):
        bundle.copy_files(sealed, tmp_path / "copy")
    assert not list((tmp_path / "copy").iterdir())


def test_a_bundle_of_another_lightgbm_is_refused(saved, key, tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "version", lambda _: "3.3.5")
    folder = write_sealed(tmp_path / "old", saved, key)
    monkeypatch.undo()
    with pytest.raises(BundleRefusedError, match=r"LightGBM 3\.3\.5"):
        bundle.verify(folder, key.public_key())


def test_a_folder_with_anything_else_is_not_sealed(saved, key, tmp_path):
    with pytest.raises(ValueError, match="unexpected"):
        write_sealed(tmp_path / "x", {**saved, "notes.txt": b""}, key)


# --- damage with a good signature; without one: tests/test_torture_bundles.py ---------------------------


SIGNED_DAMAGE = {
    "cut in the middle of a tree": lambda text: text[: text.index("Tree=3") + 200],
    "a child that is not there": lambda text: re.sub(r"left_child=\S+", "left_child=99999", text, count=1),
    "a split on no feature": lambda text: re.sub(r"split_feature=\S+", "split_feature=99999", text, count=1),
    "a leaf that is no number": lambda text: re.sub(r"leaf_value=\S+", "leaf_value=nan", text, count=1),
    "another model": lambda text: re.sub(r"^base=\S+", "base=0.5", text, count=1),
}


@pytest.mark.parametrize("damage", SIGNED_DAMAGE.values(), ids=SIGNED_DAMAGE.keys())
def test_a_damaged_model_with_a_good_signature_dies_in_the_child(damage, saved, key, home, tmp_path):
    text = damage(saved["lead_model.txt"].decode())
    folder = write_sealed(tmp_path / "mutant", {**saved, "lead_model.txt": text.encode()}, key)
    store = BundleStore(home)
    with pytest.raises(ChildFailedError):
        store.install(folder)
    assert not [one for one in (home / "bundles").iterdir() if one.is_dir()]


def test_a_sound_bundle_passes_the_child(sealed):
    canary.check_in_child(sealed)


def test_the_child_is_held_to_its_limits(sealed):
    with pytest.raises(ChildFailedError, match="not done"):
        canary.check_in_child(sealed, Limits(seconds=0.05))
    with pytest.raises(ChildFailedError):
        canary.check_in_child(sealed, Limits(memory_bytes=100 * 2**20))


# --- the store ------------------------------------------------------------------------------------------


@pytest.fixture
def no_child(monkeypatch):
    """For tests of the store's own steps: the child has tests of its own, and takes seconds."""
    monkeypatch.setattr("serving.models.bundle_store.check_in_child", lambda *_: None)


def test_a_promoted_bundle_is_fetched_checked_and_put_in_force(sealed, home):
    store = BundleStore(home)
    assert store.current() is None
    loaded = store.refresh(promotion(digest_of(sealed)), copying(sealed))
    assert store.current() is loaded
    assert (loaded.version, loaded.digest, loaded.source) == ("1", digest_of(sealed), "promoted")
    assert store.problem is None


def test_without_a_promotion_there_is_no_model(sealed, home, no_child):
    store = BundleStore(home)
    store.refresh(promotion(digest_of(sealed)), copying(sealed))
    assert store.refresh(None, unreachable) is None
    assert "promoted" in store.problem


def test_a_request_keeps_the_model_it_began_with(saved, key, home, tmp_path, no_child):
    first = write_sealed(tmp_path / "1", variant(saved, 1), key)
    second = write_sealed(tmp_path / "2", variant(saved, 2), key)
    store = BundleStore(home)
    begun = store.refresh(promotion(digest_of(first)), copying(first, second))
    store.refresh(promotion(digest_of(second), "2"), copying(first, second))
    assert begun.model.facts == {"variant": 1}
    assert store.current().model.facts == {"variant": 2}


def test_the_registry_is_not_asked_for_what_lies_on_disk(sealed, home, no_child):
    BundleStore(home).refresh(promotion(digest_of(sealed)), copying(sealed))
    restarted = BundleStore(home)
    assert restarted.refresh(promotion(digest_of(sealed)), unreachable).source == "promoted"


def test_a_new_version_of_the_same_content_is_only_renamed(sealed, home, no_child):
    store = BundleStore(home)
    model = store.refresh(promotion(digest_of(sealed)), copying(sealed)).model
    renamed = store.refresh(promotion(digest_of(sealed), "2"), unreachable)
    assert renamed.version == "2"
    assert renamed.model is model


def test_with_the_registry_down_the_old_model_stays_in_force(sealed, home, no_child):
    store = BundleStore(home)
    store.refresh(promotion(digest_of(sealed)), copying(sealed))
    kept = store.refresh(promotion("f" * 64, "2"), unreachable)
    assert (kept.version, kept.source) == ("1", "last_good")
    assert "registry is down" in store.problem
    back = store.refresh(promotion(digest_of(sealed), "1"), unreachable)
    assert back.source == "promoted"
    assert store.problem is None


def test_after_a_restart_with_the_registry_down_the_last_good_one_serves(saved, key, home, tmp_path, no_child):
    folders = [write_sealed(tmp_path / str(i), variant(saved, i), key) for i in range(2)]
    store = BundleStore(home)
    for number, folder in enumerate(folders, start=1):
        store.refresh(promotion(digest_of(folder), str(number)), copying(*folders))
    restarted = BundleStore(home)
    loaded = restarted.refresh(promotion("f" * 64, "3"), unreachable)
    assert (loaded.version, loaded.source) == ("2", "last_good")
    # The newest is damaged on disk: the one before it serves.
    (home / "bundles" / digest_of(folders[1]) / "reps.json").write_text("[]")
    assert BundleStore(home).use_last_good("the ledger cannot be read").version == "1"


def test_a_damaged_bundle_on_disk_is_fetched_anew(sealed, home, no_child):
    BundleStore(home).refresh(promotion(digest_of(sealed)), copying(sealed))
    (home / "bundles" / digest_of(sealed) / "lead_model.txt").write_text("base=0\ntree")
    restarted = BundleStore(home)
    assert restarted.refresh(promotion(digest_of(sealed)), unreachable) is None
    restarted = BundleStore(home)
    assert restarted.refresh(promotion(digest_of(sealed)), copying(sealed)).source == "promoted"


def test_another_model_under_the_promoted_version_is_refused(sealed, home, no_child):
    store = BundleStore(home)
    assert store.refresh(promotion("e" * 64), copying(sealed)) is None
    assert "another model" in store.problem


def test_a_failed_promotion_is_tried_again_after_growing_pauses(sealed, home, no_child):
    now, tries = [0.0], []

    def failing(version, to):
        tries.append(now[0])
        raise ChildFailedError("down")

    store = BundleStore(home, clock=lambda: now[0])
    while now[0] < 20 * FIRST_PAUSE_S:
        store.refresh(promotion("e" * 64), failing)
        now[0] += 1.0
    pauses = np.diff(tries)
    assert pauses[0] == FIRST_PAUSE_S
    assert (np.diff(pauses) > 0).all()
    # Another promotion does not wait for the pause of the last.
    assert store.refresh(promotion(digest_of(sealed)), copying(sealed)).source == "promoted"


def test_the_disk_keeps_the_last_three(saved, key, home, tmp_path, no_child):
    folders = [write_sealed(tmp_path / str(i), variant(saved, i), key) for i in range(KEPT + 2)]
    store = BundleStore(home)
    for number, folder in enumerate(folders, start=1):
        store.refresh(promotion(digest_of(folder), str(number)), copying(*folders))
    kept = {one.name for one in (home / "bundles").iterdir() if one.is_dir()}
    assert kept == {digest_of(folder) for folder in folders[-KEPT:]}


def test_without_a_public_key_nothing_is_believed(sealed, tmp_path):
    store = BundleStore(tmp_path / "empty")
    assert store.refresh(promotion(digest_of(sealed)), copying(sealed)) is None
    assert "bundle.pub" in store.problem


def test_what_a_worker_imports_brings_neither_the_registrys_client_nor_plots():
    asked = "serving.models.bundle_store, serving.deciding.scorer, serving.telling.reasons"
    ask = f"import sys, {asked}; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    assert not {"mlflow", "shap", "matplotlib"} & set(modules)
