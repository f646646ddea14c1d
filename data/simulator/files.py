"""A world as a data set on disk."""

from pathlib import Path

import pandas as pd
import yaml

from data.intake.reading import SUFFIXES
from data.names import TABLES
from data.simulator.world import DESCRIBED, World


def write(world: World, folder: Path, *, truth: bool = False) -> None:
    """Writes leads.csv, reps.csv, assignments.csv and dataset.yaml; with `truth`, also truth/ with tables so named."""
    _write_tables(folder, leads=world.leads, reps=world.reps, assignments=world.assignments)
    text = yaml.safe_dump(world.description(), allow_unicode=True, sort_keys=False)
    (folder / "dataset.yaml").write_text(text, encoding="utf-8")
    if truth:
        known = world.truth
        _write_tables(folder / "truth", leads=known.leads, reps=known.reps, assignments=known.assignments)


def holds_another(folder: Path) -> bool:
    """Whether a data set lies there that was not simulated, or was described anew since: none to write over."""
    described = folder / "dataset.yaml"
    if not described.is_file():
        return any((folder / f"{table}{suffix}").exists() for table in TABLES for suffix in SUFFIXES)
    try:
        said = yaml.safe_load(described.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return True
    return not isinstance(said, dict) or {**said, "exported_at": None} != {**DESCRIBED, "exported_at": None}


def _write_tables(folder: Path, **tables: pd.DataFrame) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        flags = table.select_dtypes("bool").columns
        plain = table.assign(**{flag: table[flag].map({True: "true", False: "false"}) for flag in flags})
        plain.to_csv(folder / f"{name}.csv", index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
