"""Registered models as jobs: list, show, promote by hand, roll back. The ledger decides; the alias follows."""

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from data.errors import InputError, RegistryError
from data.settings import Settings
from data.store import promotions
from data.store.ledger import Ledger
from serving.models.bundle import BundleRefusedError
from serving.models.bundle_store import BundleStore
from serving.models.child import ChildFailedError
from training.registry import Registry


def listed(settings: Settings, ledger: Ledger) -> dict[str, Any]:
    """Every version with its verdict, newest first; `champion` as the ledger has it."""
    held = _champion(ledger)
    versions = [
        {
            "version": one.version,
            "created_at": one.created_at.isoformat(),
            "champion": held is not None and one.version == held.version,
            "aliases": list(one.aliases),
            "digest": one.digest,
            "run_id": one.run_id,
        }
        for one in _registry(settings).versions()
    ]
    return {"models": versions}


def shown(settings: Settings, ledger: Ledger, version: str | None) -> dict[str, Any]:
    """What one version's run was logged with; the champion's if `version` is None."""
    held = _champion(ledger)
    wanted = version or (held.version if held else None)
    if wanted is None:
        raise InputError("There is no champion yet; name a version, or train with `leadmatch train --data DIR`.")
    registry = _registry(settings)
    one = next((v for v in registry.versions() if v.version == wanted), None)
    if one is None:
        raise InputError(f"There is no model version {wanted}; see `leadmatch model list`.")
    run = registry.run(one.run_id)
    return {
        "version": wanted,
        "champion": held is not None and held.version == wanted,
        "digest": one.digest,
        "run_id": one.run_id,
        "created_at": one.created_at.isoformat(),
        "parameters": dict(run.parameters),
        "metrics": {n: {"value": m.value, "standard_error": m.standard_error} for n, m in run.metrics.items()},
        "tags": {name: value for name, value in run.tags.items() if not name.startswith("mlflow.")},
    }


def promote(settings: Settings, ledger: Ledger, version: str, *, actor: str, at: datetime) -> dict[str, Any]:
    """Make a version champion by a person's word, once its bundle is fetched, verified and tried."""
    registry = _registry(settings)
    if all(one.version != version for one in registry.versions()):
        raise InputError(f"There is no model version {version}; see `leadmatch model list`.")
    held = _champion(ledger)
    if held is not None and held.version == version:
        raise InputError(f"Version {version} is the champion already.")
    with tempfile.TemporaryDirectory(prefix="leadmatch-") as scratch:
        folder = Path(scratch) / "bundle"
        try:
            registry.download(version, folder)
            manifest = BundleStore(settings.home).install(folder)
        except (RegistryError, BundleRefusedError, ChildFailedError) as error:
            raise InputError(f"Version {version} cannot be promoted: {error}") from None
    return _put_in_force(registry, ledger, version, manifest.digest, actor, "promoted by hand", at)


def rollback(settings: Settings, ledger: Ledger, *, actor: str, at: datetime) -> dict[str, Any]:
    """Make the champion before the present one champion again; a second time, the one before that."""
    with ledger.reading() as conn:
        risen = promotions.risen(promotions.history(conn))
    if len(risen) < 2:
        raise InputError("There was no champion before this one, so there is nothing to roll back to.")
    back = risen[-2]
    return _put_in_force(_registry(settings), ledger, back.version, back.digest, actor, promotions.ROLLED_BACK, at)


def _put_in_force(
    registry: Registry, ledger: Ledger, version: str, digest: str, actor: str, ground: str, at: datetime
) -> dict[str, Any]:
    with ledger.writing() as tx:
        held = promotions.champion(tx)
        made = promotions.promote(
            tx,
            version=version,
            digest=digest,
            expected_previous=held.version if held else None,
            actor=actor,
            grounds={"grounds": [ground]},
            at=at,
        )
    registry.name_champion(version)
    return {"version": version, "digest": digest, "previous": made.previous, "grounds": [ground]}


def _champion(ledger: Ledger) -> promotions.Promotion | None:
    with ledger.reading() as conn:
        return promotions.champion(conn)


def _registry(settings: Settings) -> Registry:
    return Registry(settings.home, timeout_s=settings.registry_timeout_seconds)
