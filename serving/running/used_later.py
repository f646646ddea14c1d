"""A library that another one imports and hardly ever uses need not be waited for at every start."""

from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType


class UsedLater(MetaPathFinder):
    """Finds one library, which is then loaded when something in it is used, and not when it is imported."""

    def __init__(self, library: str) -> None:
        self._library = library

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The library as Python itself finds it, but for when it is loaded; None for any other."""
        found = PathFinder.find_spec(fullname, path, target) if fullname == self._library else None
        if found is not None and found.loader is not None:
            found.loader = LazyLoader(found.loader)
        return found
