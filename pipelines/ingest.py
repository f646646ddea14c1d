"""`leadmatch import`: a CRM's export -> a data set, and a report of what became of its rows and columns."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.dataset import Dataset, load_files, save_dataset
from data.errors import InputError
from data.mapping import find_mapping
from pipelines.progress import Step, silent


@dataclass(frozen=True)
class IngestReport:
    """What was read, what was refused and why, and what the columns were taken for."""

    out: str
    mapping: str
    files: dict[str, dict[str, int]]  # file -> rows read, accepted, rejected
    tables: dict[str, int]  # table -> rows written
    outcomes: dict[str, int]
    rejected: dict[str, int]  # kind of reason -> rows; each row with its reason is in rejects.csv
    recognised: dict[str, list[str]]  # our column -> the file's
    not_recognised: list[str]  # columns that the mapping does not name; they are attributes now
    personal: list[str]  # columns that are never features
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return asdict(self)


def ingest(
    files: Sequence[Path | str], mapping: str | Path, out: Path | str, *, step: Step = silent
) -> IngestReport:
    """Read an export as the mapping says and write it to the folder `out` in the canonical form.

    mapping : the name of a ready mapping, or a YAML file of the same form as dataset.yaml.
    Raises InputError, one line, where a file, the mapping or the folder is of no use.
    """
    paths, folder = [Path(file) for file in files], Path(out)
    inside = [path.name for path in paths if path.resolve().parent == folder.resolve()]
    if inside:
        raise InputError(f"{', '.join(inside)}: lies in the folder to be written; choose another --out.")
    described = find_mapping(mapping)
    step(f"reading {', '.join(map(str, paths))}")
    dataset = load_files(paths, described)
    step(f"writing {folder}")
    save_dataset(dataset, folder)
    return report_on(dataset, mapping=str(mapping), out=str(out))


def report_on(dataset: Dataset, *, mapping: str, out: str) -> IngestReport:
    """The report of a data set that was read with a mapping."""
    tables = {"leads": dataset.leads, "reps": dataset.reps, "assignments": dataset.assignments}
    kinds = Counter(reason.split(":")[0] for reason in dataset.rejects["reason"])
    return IngestReport(
        out=out,
        mapping=mapping,
        files={file: dict(counts) for file, counts in dataset.counts.items()},
        tables={name: len(table) for name, table in tables.items()},
        outcomes={str(outcome): int(n) for outcome, n in dataset.assignments["outcome"].value_counts().items()},
        rejected=dict(kinds.most_common()),
        recognised={ours: list(theirs) for ours, theirs in dataset.recognised.items()},
        not_recognised=list(dataset.unknown),
        personal=list(dataset.personal_columns),
        notes=list(dataset.notes),
    )
