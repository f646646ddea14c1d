"""Mappings: descriptions of a CRM's export, ready ones by name, one's own by file."""

from importlib import resources
from pathlib import Path
from typing import Any

from data.description import Description, read_description
from data.errors import InputError
from data.names import listed, nearest, plain

_DEEPEST = 5


def ready_mappings() -> tuple[str, ...]:
    """The names of the mappings that come with leadmatch."""
    folder = resources.files("data.mappings")
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def find_mapping(name: str | Path) -> Description:
    """The ready mapping of that name, or the one in that file, with whatever it extends.

    Raises InputError where there is none, saying which there are.
    """
    return _completed(_find(name, Path()), _DEEPEST, Path(name).parent)


def described(file: Path) -> Description:
    """The description in a YAML file, with whatever it extends."""
    return _completed(read_description(file), _DEEPEST, file.parent)


def _find(name: str | Path, beside: Path) -> Description:
    known = ready_mappings()
    ready = next((each for each in known if plain(each) == plain(str(name))), None)
    if ready:
        with resources.as_file(resources.files("data.mappings") / f"{ready}.yaml") as file:
            return read_description(file)
    for file in (Path(name), beside / name):
        if file.is_file():
            return read_description(file)
    near = nearest(str(name), known)
    raise InputError(
        f"{name}: no such mapping"
        + (f", did you mean {near}?" if near else f"; ready are {listed(known, 30)}, or name a YAML file.")
    )


def _completed(description: Description, depth: int, beside: Path) -> Description:
    """What the description says, over what the one that it extends says."""
    if description.extends is None:
        return description
    if depth == 0:
        raise InputError(f"{description.extends}: mappings extend one another in a ring; take one extends: out.")
    base = _completed(_find(description.extends, beside), depth - 1, beside)
    return base.model_copy(update={key: _over(key, base, description) for key in description.model_fields_set})


def _over(key: str, base: Description, description: Description) -> Any:
    below, above = getattr(base, key), getattr(description, key)
    if key == "table_columns":
        return {**below, **{table: {**below.get(table, {}), **columns} for table, columns in above.items()}}
    return {**below, **above} if isinstance(above, dict) else above
