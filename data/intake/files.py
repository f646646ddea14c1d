"""Which file of a folder, or of those named, holds which table."""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.description import Description, Lookup
from data.errors import InputError
from data.intake.reading import SUFFIXES, stem
from data.names import TABLES, listed

DESCRIPTION = "dataset.yaml"
REJECTS = "rejects.csv"
_ROLES = ("reps", "assignments", "leads", "flat")  # patterns of reps are tried before "*lead*"


@dataclass(frozen=True)
class Chosen:
    """The files of each table; `lookups` with what to join them by."""

    tables: dict[str, list[Path]]
    lookups: list[tuple[Lookup, Path]]
    absent: tuple[str, ...] = ()  # lookups that the description names and nobody gave

    @property
    def no_assignments(self) -> bool:
        """Whether a file called leads was taken as flat, for there is none of assignments."""
        return any(stem(path).casefold() == "leads" for path in self.tables.get("flat", ()))


def in_folder(folder: Path, description: Description) -> Chosen:
    """The files of a data set's folder: as dataset.yaml names them, else by their own names, else the only one."""
    there = sorted(path for path in folder.iterdir() if _is_data(path))
    tables: dict[str, list[Path]] = {}
    for role in _ROLES:
        patterns = getattr(description.files, role)
        found = [path for path in there if _fits(path, patterns)]
        if patterns and not found:
            wanted, seen = listed(patterns), _names(there)
            raise InputError(f"{DESCRIPTION}: files: {role} names {wanted}, which is not in the folder; there: {seen}.")
        named = found or ([path for path in there if stem(path).casefold() == role] if role in TABLES else [])
        if not patterns and len(named) > 1:
            raise InputError(
                f"{_names(named)}: several files for {role}; keep one, or name it under files: in {DESCRIPTION}."
            )
        if named:
            tables[role] = named
    lookups = _lookups(there, description)
    missing = [name for name, lookup in description.lookups.items() if lookup not in [each for each, _ in lookups]]
    if missing:
        raise InputError(f"{DESCRIPTION}: lookups: {listed(missing)} is not in the folder; there: {_names(there)}.")
    left = [path for path in there if path not in [each for _, each in lookups]]
    return Chosen(_completed(tables, left, folder.resolve().name, description), lookups)


def among(files: Sequence[Path], description: Description) -> Chosen:
    """The table that each of the named files holds, told from its name."""
    if not files:
        raise InputError("No file was given; name at least one.")
    names = [path.name for path in files]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise InputError(f"{listed(twice)}: two files of this name were given; rename one.")
    lookups = _lookups(files, description) if len(files) > 1 else []
    left = [path for path in files if path not in [each for _, each in lookups]]
    if len(left) == 1:
        tables = {"flat": left}
    else:
        tables = {}
        for path in left:
            tables.setdefault(_role(path, description) or "?", []).append(path)
        unknown = tables.pop("?", [])
        if len(unknown) == 1 and not {"flat", "leads"} & set(tables):
            tables["flat"] = unknown
        elif unknown:
            raise InputError(
                f"{_names(unknown)}: which table this is, its name does not tell; call it leads, reps or assignments, "
                "or name it under files: in the mapping (leads, reps, assignments, flat)."
            )
    there = [each for each, _ in lookups]
    absent = tuple(name for name, lookup in description.lookups.items() if lookup not in there)
    return Chosen(_completed(tables, left, "the files given", description), lookups, absent)


def _completed(
    tables: dict[str, list[Path]], left: list[Path], place: str, description: Description
) -> dict[str, list[Path]]:
    """The same with a lone file taken as flat. Raises InputError where a table is missing."""
    if "flat" in tables:
        return {role: paths for role, paths in tables.items() if role in ("flat", "reps")}
    if "assignments" not in tables and "leads" in tables:  # leads with rep and outcome in each row
        return {"flat": tables["leads"], **({"reps": tables["reps"]} if "reps" in tables else {})}
    if not tables and len(left) == 1:
        return {"flat": left}
    needed = [role for role in TABLES if role not in tables and not (role == "reps" and description.reps == "none")]
    if needed:
        seen = f"it holds {_names(left)}" if left else "it holds no .csv, .csv.gz or .parquet"
        raise InputError(
            f"{place}: {listed(needed)} not found ({seen}); add {listed(f'{role}.csv' for role in needed)}, "
            f"or name the files under files: in {DESCRIPTION}."
        )
    return tables


def _is_data(path: Path) -> bool:
    return path.is_file() and path.name.casefold().endswith(SUFFIXES) and path.name != REJECTS


def _fits(path: Path, patterns: Iterable[str]) -> bool:
    names = (path.name.casefold(), stem(path).casefold())
    return any(fnmatch.fnmatchcase(name, pattern.casefold()) for pattern in patterns for name in names)


def _role(path: Path, description: Description) -> str | None:
    stated = next((role for role in _ROLES if _fits(path, getattr(description.files, role))), None)
    return stated or (stem(path).casefold() if stem(path).casefold() in TABLES else None)


def _lookups(paths: Iterable[Path], description: Description) -> list[tuple[Lookup, Path]]:
    return [(lookup, path) for name, lookup in description.lookups.items() for path in paths if _fits(path, [name])]


def _names(paths: Iterable[Path]) -> str:
    return listed(path.name for path in paths) or "nothing"
