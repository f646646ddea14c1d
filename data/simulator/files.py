"""A world as a data set on disk."""

from pathlib import Path

import pandas as pd
import yaml

from data.simulator.world import World


def write(world: World, folder: Path, *, truth: bool = False) -> None:
    """Writes leads.csv, reps.csv, assignments.csv and dataset.yaml; with `truth`, also truth/ with tables so named."""
    _write_tables(folder, leads=world.leads, reps=world.reps, assignments=world.assignments)
    text = yaml.safe_dump(world.description(), allow_unicode=True, sort_keys=False)
    (folder / "dataset.yaml").write_text(text, encoding="utf-8")
    if truth:
        known = world.truth
        _write_tables(folder / "truth", leads=known.leads, reps=known.reps, assignments=known.assignments)


def _write_tables(folder: Path, **tables: pd.DataFrame) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        flags = table.select_dtypes("bool").columns
        plain = table.assign(**{flag: table[flag].map({True: "true", False: "false"}) for flag in flags})
        plain.to_csv(folder / f"{name}.csv", index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
