"""The model in force, for jobs: the promoted bundle, verified, from disk or from the registry."""

from data.errors import InputError
from data.settings import Settings
from data.store import promotions
from data.store.ledger import Ledger
from serving.models.bundle_store import BundleStore, Loaded
from serving.models.fetch import fetcher


def champion(settings: Settings, ledger: Ledger) -> Loaded:
    """The champion, loaded.

    Raises InputError where nothing has been promoted, or where its bundle cannot be had or verified.
    """
    with ledger.reading() as conn:
        held = promotions.champion(conn)
    store = BundleStore(settings.home)
    loaded = store.refresh(held, fetcher(settings.home, timeout_s=settings.registry_timeout_seconds))
    if loaded is None:
        raise InputError(f"No model is in force ({store.problem}). Run `leadmatch train --data DIR` first.")
    return loaded
