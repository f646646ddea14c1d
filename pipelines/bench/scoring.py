"""One lead x every rep, in process: against what a user would write, bare predictions, and the floor."""

import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from pipelines.bench.measure import Spread, case, growth, in_turn
from pipelines.bench.world import pair_frame, roster_of
from pipelines.progress import Step
from serving.deciding.scorer import Scorer
from training.conversion import ConversionModel
from training.explain import tree_explainer

SIZES = (20, 200, 1_000, 5_000)
MATRICES = 20  # ready-made pair matrices, so that no two calls in a row see the same one
PAIR_LEADS = 60  # leads x 1,000 reps that the rival is fitted to
EXPLAINED = 5
RIVAL: dict[str, Any] = {"n_estimators": 300, "num_leaves": 63, "min_child_samples": 5, "n_jobs": 1, "verbosity": -1}


class Scoring:
    """Our own way for one roster: scored, intervals and reasons for the best five."""

    def __init__(self, model: ConversionModel, leads: list[dict[str, Any]], size: int) -> None:
        self.model, reps = roster_of(model, size)
        self.scorer, self.leads, self.size = Scorer(self.model, reps), leads, size
        self._everybody = np.ones(size, dtype=bool)
        self._at = datetime.now(UTC)
        self._rows = [np.array(self.scorer.encoder.encode(lead)[0]) for lead in leads]
        self._z = [self.model.lead_design.matrix(row[None])[0] for row in self._rows]

    def ours(self, number: int) -> object:
        """A raw lead in; every rep's probability, five intervals and every term's share of five uplifts out."""
        scores = self.scorer.score(self.leads[number % len(self.leads)], at=self._at)
        best = np.argpartition(scores.probability, self.size - EXPLAINED)[self.size - EXPLAINED :]
        return scores.uplifts(best, self._everybody), scores.shares_of(best, self._everybody)

    def floor(self, number: int) -> object:
        """The least there is: F's trees for a lead that is encoded already, and one product with all effects."""
        place = number % len(self._rows)
        return self.model.lead_model.log_odds_of(self._rows[place]) + self.model.effects.effects @ self._z[place]

    def table_floor(self, number: int) -> object:
        """The same with the booster's own predict, as anybody would call it."""
        place = number % len(self._rows)
        return self.model.lead_model.log_odds(self._rows[place][None]) + self.model.effects.effects @ self._z[place]


class Rival:
    """A classifier over pairs: 300 trees of 63 leaves, fitted to 1,000 reps of the same floor."""

    def __init__(self, model: ConversionModel, leads: list[dict[str, Any]], seed: int = 0) -> None:
        from lightgbm import LGBMClassifier  # takes seconds, and only this needs it

        wide, reps = roster_of(model, 1_000)
        self.leads, self.reps = leads, reps
        frame = pair_frame(leads[:PAIR_LEADS], reps)
        self._levels = {name: sorted(frame[name].dropna().unique()) for name in frame if not _is_number(frame[name])}
        self._columns = list(frame.columns)  # a lead that lacks an attribute lacks its column
        scorer, at = Scorer(wide, reps), datetime.now(UTC)
        chances = np.concatenate([scorer.score(lead, at=at).probability for lead in leads[:PAIR_LEADS]])
        converted = np.random.default_rng(seed).random(len(chances)) < chances
        self._classifier = LGBMClassifier(**RIVAL).fit(self._typed(frame), converted.astype(int))
        self._explainer = tree_explainer(self._classifier.booster_)
        self._matrices: dict[int, list[np.ndarray]] = {}

    def by_frame(self, number: int) -> object:
        """What a user would write: a frame of pairs, predict_proba, and shap for the best five."""
        frame, chances = self._predicted(number)
        return chances, self._explainer.shap_values(frame.iloc[np.argsort(-chances)[:EXPLAINED]])

    def by_frame_anew(self, number: int) -> object:
        """The same, with the explainer made where it is used."""
        frame, chances = self._predicted(number)
        explainer = tree_explainer(self._classifier.booster_)
        return chances, explainer.shap_values(frame.iloc[np.argsort(-chances)[:EXPLAINED]])

    def by_matrix(self, size: int) -> Callable[[int], object]:
        """`Booster.predict` on a matrix of pairs that is there already."""
        matrices = [self._matrix(number, size) for number in range(MATRICES)]
        booster = self._classifier.booster_
        return lambda number: booster.predict(matrices[number % MATRICES], num_threads=1)

    def _predicted(self, number: int) -> tuple[pd.DataFrame, np.ndarray]:
        frame = self._typed(pair_frame([self.leads[number % len(self.leads)]], self.reps))
        return frame, np.asarray(self._classifier.predict_proba(frame))[:, 1]

    def _matrix(self, number: int, size: int) -> np.ndarray:
        reps = [self.reps[place % len(self.reps)] for place in range(size)]
        typed = self._typed(pair_frame([self.leads[number]], reps))
        codes = {name: typed[name].cat.codes.replace(-1, np.nan) for name in self._levels}
        return typed.assign(**codes).to_numpy(dtype=float)

    def _typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        whole = frame.reindex(columns=self._columns)
        for name, levels in self._levels.items():
            whole[name] = pd.Categorical(whole[name], categories=levels)
        return whole


def scoring_cases(
    model: ConversionModel, leads: list[dict[str, Any]], *, quick: bool, step: Step
) -> list[dict[str, Any]]:
    """Every case of one lead in process."""
    step("fitting the rival: 300 trees of 63 leaves over pairs")
    rival = Rival(model, leads)
    sizes = SIZES[:3] if quick else SIZES
    ours = {size: Scoring(model, leads, size) for size in sizes}
    rounds = 15 if quick else 60
    cases: list[dict[str, Any]] = []
    for size in sizes:
        step(f"one lead x {size:,} reps")
        at_size = ours[size]
        found = in_turn(
            {
                "ours": (at_size.ours, 10),
                "matrix": (rival.by_matrix(size), 2),
                "floor": (at_size.floor, 10),
                "table_floor": (at_size.table_floor, 4),
            },
            rounds,
        )
        named = f"1 lead x {size:,} reps, scored, 5 intervals, 5 explained"
        cases.append(case(named, found["ours"], found["matrix"], against="Booster.predict on ready pairs, 300 x 63"))
        cases.append(case(named, found["ours"], found["floor"], against="the floor: F's trees and one product"))
        cases.append(case(named, found["ours"], found["table_floor"], against="the floor with Booster.predict"))
        if size == 1_000:
            cases += _against_frames(at_size, rival, named, rounds=3 if quick else 12, step=step)
    return cases


def _against_frames(at_size: Scoring, rival: Rival, named: str, *, rounds: int, step: Step) -> list[dict[str, Any]]:
    step("what a user would write: a frame, predict_proba, shap")
    jobs = {"ours": (at_size.ours, 10), "kept": (rival.by_frame, 1), "anew": (rival.by_frame_anew, 1)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # shap says of LightGBM what no longer holds
        found = in_turn(jobs, rounds)
    told = {
        "kept": "a frame, predict_proba, shap for five, the explainer kept",
        "anew": "a frame, predict_proba, shap for five, the explainer made anew",
    }
    return [case(named, found["ours"], found[name], against=text) for name, text in told.items()]


def fitted_growth(name: str, times: dict[int, Spread]) -> dict[str, Any]:
    """How one of our times grows with the number of reps."""
    sizes = sorted(times)
    return {
        "growth": name,
        "sizes": sizes,
        "median_us": [times[size].median for size in sizes],
        "exponent": growth(sizes, [times[size].median for size in sizes]),
    }


def _is_number(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column))
