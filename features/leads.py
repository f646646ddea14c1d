"""The design z(x): in which directions a rep's success may differ from lead to lead."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from features.columns import ColumnContract

MOST_WIDTH = 40  # columns of z: a rep's effects form a matrix of this width squared
MOST_LEVELS_A_COLUMN = 12
LEAST_SHARE = 0.02  # of the rows; a rarer level has no effect of its own
CLIP = 3.0  # standard deviations, so that one odd number cannot carry a rep's whole effect
SKEWED = 2.0  # positive numbers more skewed than this are taken as log(1 + x)


@dataclass(frozen=True)
class Direction:
    """One column of z: a level of a category (0/1), or a standardised number."""

    feature: str
    group: int  # effects of one group share a variance; 0 is the intercept
    level: int | None = None  # position among the feature's levels; None for a number
    level_name: str | None = None
    mean: float = 0.0
    scale: float = 1.0
    logarithm: bool = False


@dataclass(frozen=True)
class LeadDesign:
    """Which columns z(x) has; built once from the training rows and saved with the model."""

    directions: tuple[Direction, ...]
    positions: tuple[int, ...]  # of each direction's feature in the lead matrix

    @cached_property
    def width(self) -> int:
        """Columns of z, the intercept included."""
        return 1 + len(self.directions)

    @property
    def groups(self) -> np.ndarray:
        """Group of each column of z, shape (width,)."""
        return np.array([0, *(direction.group for direction in self.directions)])

    def matrix(self, leads: np.ndarray) -> np.ndarray:
        """z(x), shape (n_leads, width); first column 1. A missing value is 0: the average lead."""
        design = np.empty((len(leads), self.width))
        design[:, 0] = 1.0
        for column, (direction, position) in enumerate(zip(self.directions, self.positions, strict=True), start=1):
            values = leads[:, position]
            if direction.level is not None:
                design[:, column] = values == direction.level
            else:
                design[:, column] = _standardised(values, direction)
        return design

    def row(self, lead: Sequence[float]) -> list[float]:
        """z(x) of one lead, width long, by the same formulas as `matrix`; lead : encoded, n_features long."""
        z = [0.0] * self.width
        z[0] = 1.0
        for position, column_of in self._levels:
            column = column_of.get(lead[position])
            if column is not None:
                z[column] = 1.0
        for position, column, direction in self._numbers:
            value = lead[position]
            if value == value:  # a missing value is 0: the average lead
                scaled = math.log1p(max(value, 0.0)) if direction.logarithm else value
                z[column] = min(max((scaled - direction.mean) / direction.scale, -CLIP), CLIP)
        return z

    @cached_property
    def _levels(self) -> list[tuple[int, dict[float, int]]]:
        """Position of each category in the lead matrix, and the column of z of each of its levels."""
        found: dict[int, dict[float, int]] = {}
        for column, (direction, position) in enumerate(zip(self.directions, self.positions, strict=True), start=1):
            if direction.level is not None:
                found.setdefault(position, {})[float(direction.level)] = column
        return list(found.items())

    @cached_property
    def _numbers(self) -> list[tuple[int, int, Direction]]:
        """Position of each number in the lead matrix, its column of z, and how it is standardised."""
        columns = enumerate(zip(self.directions, self.positions, strict=True), start=1)
        return [(position, column, each) for column, (each, position) in columns if each.level is None]

    def to_json(self) -> dict[str, Any]:
        """A plain mapping that `from_json` reads back."""
        return {"directions": [asdict(direction) for direction in self.directions], "positions": self.positions}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "LeadDesign":
        """The design that `to_json` wrote."""
        return cls(tuple(Direction(**d) for d in value["directions"]), tuple(value["positions"]))


def choose_design(contract: ColumnContract, leads: np.ndarray, *, most_width: int = MOST_WIDTH) -> LeadDesign:
    """z(x) from the columns that have enough support, widest spread first, until `most_width` is reached.

    Support is the chance that two leads differ in the column (Gini); for a number, among the rows that have
    it, times their share. The arrival's hour and weekday are left to F: reps seldom differ in them.
    """
    candidates = []
    for position, feature in enumerate(contract.features):
        if feature.column == "created_at":
            continue
        if feature.kind == "category":
            made = _levels_of(leads[:, position], feature.name, feature.levels)
        else:
            made = _number_of(leads[:, position], feature.name)
        if made:
            candidates.append((_support(leads[:, position], feature.kind), position, made))
    candidates.sort(key=lambda candidate: -candidate[0])
    directions: list[Direction] = []
    positions: list[int] = []
    group = 0
    for _, position, made in candidates:
        if 1 + len(directions) + len(made) <= most_width:
            group += 1
            directions += [Direction(**(asdict(direction) | {"group": group})) for direction in made]
            positions += [position] * len(made)
    return LeadDesign(tuple(directions), tuple(positions))


def _levels_of(values: np.ndarray, feature: str, levels: tuple[str, ...]) -> list[Direction]:
    shares = np.array([np.mean(values == code) for code in range(len(levels))])
    common = [int(code) for code in np.argsort(-shares, kind="stable") if shares[code] >= LEAST_SHARE]
    kept = sorted(common[:MOST_LEVELS_A_COLUMN])
    if len(kept) == 1 and shares[kept[0]] > 1 - LEAST_SHARE:
        return []
    return [Direction(feature, 0, level=code, level_name=levels[code]) for code in kept]


def _number_of(values: np.ndarray, feature: str) -> list[Direction]:
    known = values[~np.isnan(values)]
    if len(known) < LEAST_SHARE * len(values) or len(known) < 2 or np.ptp(known) == 0:
        return []
    logarithm = skewed(known)
    scaled = np.log1p(known) if logarithm else known
    return [Direction(feature, 0, mean=float(scaled.mean()), scale=float(scaled.std()) or 1.0, logarithm=logarithm)]


def skewed(known: np.ndarray) -> bool:
    """Whether numbers, none of them below 0, have so long a tail that their logs say more."""
    if not len(known) or known.min() < 0 or np.ptp(known) == 0:
        return False
    deviations = (known - known.mean()) / known.std()
    return bool(np.mean(deviations**3) > SKEWED)


def _support(values: np.ndarray, kind: str) -> float:
    known = values[~np.isnan(values)]
    if kind == "number":
        share = len(known) / len(values)
        _, counts = np.unique(known, return_counts=True)
        return share * (1 - np.sum((counts / len(known)) ** 2)) if len(known) else 0.0
    _, counts = np.unique(values, return_counts=True)  # missing counts as a value of its own
    return float(1 - np.sum((counts / len(values)) ** 2))


def _standardised(values: np.ndarray, direction: Direction) -> np.ndarray:
    scaled = np.log1p(np.maximum(values, 0.0)) if direction.logarithm else values
    return np.clip(np.nan_to_num((scaled - direction.mean) / direction.scale, nan=0.0), -CLIP, CLIP)
