"""A hundred and fifty mutated bundles and thirty-four crafted ones: none is accepted, none harms who looks at it."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lightgbm.basic import LightGBMError

from serving.models import bundle, canary, signing
from serving.models.bundle import BundleRefusedError
from serving.models.bundle_store import BundleStore
from serving.models.child import ChildFailedError
from tests.torture.bundles import crafted_inside, crafted_outside, mutants
from training import model_files

OUTSIDE = 20
INSIDE = 14


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    made = tmp_path_factory.mktemp("home")
    signing.signing_key(made)
    return made


@pytest.fixture(scope="module")
def saved(small_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    model_files.save(small_model, folder)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def sealed(folder, files, home):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    bundle.seal(folder, signing.signing_key(home))
    return folder


def nothing_kept(home):
    return not (home / "bundles").exists() or not [one for one in (home / "bundles").iterdir() if one.is_dir()]


def test_a_hundred_and_fifty_mutants_are_refused_before_anything_is_read(saved, home, tmp_path, monkeypatch):
    monkeypatch.setattr("serving.models.bundle_store.check_in_child", lambda *_: pytest.fail("no child for a bad hash"))
    monkeypatch.setattr("serving.models.bundle_store.load", lambda *_: pytest.fail("never loaded"))
    folder, store = sealed(tmp_path / "bundle", saved, home), BundleStore(home)
    for mutant in mutants(saved["lead_model.txt"].decode(), 150):
        (folder / "lead_model.txt").write_text(mutant)
        with pytest.raises(BundleRefusedError):
            store.install(folder)
    assert nothing_kept(home)


@pytest.mark.parametrize("number", range(OUTSIDE))
def test_a_crafted_bundle_is_refused_before_anything_is_read(number, saved, home, tmp_path, monkeypatch):
    monkeypatch.setattr("serving.models.bundle_store.check_in_child", lambda *_: pytest.fail("no child for this"))
    folder, marker = sealed(tmp_path / "bundle", saved, home), tmp_path / "marker"
    wrongs = crafted_outside(folder, signing.signing_key(home), Ed25519PrivateKey.generate(), marker)
    assert len(wrongs) == OUTSIDE
    list(wrongs.values())[number]()
    with pytest.raises(BundleRefusedError):
        BundleStore(home).install(folder)
    assert nothing_kept(home)
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("number", range(INSIDE))
def test_a_crafted_bundle_with_a_good_signature_fails_on_its_canaries(number, saved, home, tmp_path):
    # What the throw-away process does, done here: these files make Python raise, not LightGBM die.
    marker = tmp_path / "marker"
    wrongs = crafted_inside(saved, tmp_path, marker)
    assert len(wrongs) == INSIDE
    folder = sealed(tmp_path / "bundle", list(wrongs.values())[number], home)
    bundle.verify(folder, signing.public_key(home))  # the signature is no help here
    with pytest.raises((ValueError, KeyError, TypeError, IndexError, LightGBMError)):
        canary._check([str(folder)])
    assert not marker.exists()


def test_the_same_in_the_throw_away_process_is_one_refusal_with_its_reason(saved, home, tmp_path):
    about = json.loads(saved["model.json"])
    about["calibration"]["slope"] = 2.0
    folder = sealed(tmp_path / "bundle", {**saved, "model.json": json.dumps(about).encode()}, home)
    with pytest.raises(ChildFailedError, match="canary rows"):
        BundleStore(home).install(folder)
    assert nothing_kept(home)
