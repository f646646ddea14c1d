"""econml's doubly robust forest with the rep as the treatment, as a rival of our model.

Needs the package `econml` (`make rivals`). It grows a forest for each rep against the first one, so its time grows
with the reps: ten are what it can be asked.
"""

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
from econml.dr import ForestDRLearner

from features.columns import ColumnContract
from training.plain_design import PlainDesign, measure_design

TREES = 200
LEAST_PROPENSITY = 0.01
NUISANCE = {
    "n_estimators": 80, "learning_rate": 0.06, "num_leaves": 15, "min_child_samples": 40, "reg_lambda": 5.0,
    "n_jobs": 1, "verbosity": -1,
}  # fmt: skip


@dataclass(frozen=True)
class Forest:
    """A fitted forest: a rep's effect against the others', on top of what the lead alone makes likely."""

    learner: ForestDRLearner
    lead_alone: lgb.LGBMClassifier
    design: PlainDesign
    reps: np.ndarray  # int, the reps with enough rows to be a treatment, in order
    n_reps: int

    def probability(self, leads: np.ndarray) -> np.ndarray:
        """P(convert), shape (n_leads, n_reps); a rep who is no treatment counts as the mean one."""
        plain = self.design.matrix(leads)[:, 1:]
        over_first = np.reshape(self.learner.const_marginal_effect(plain), (len(plain), -1))  # one outcome
        effect = np.zeros((len(leads), self.n_reps))
        known = np.column_stack([np.zeros(len(leads)), over_first])
        effect[:, self.reps] = known - known.mean(axis=1, keepdims=True)
        alone = self.lead_alone.predict_proba(plain)[:, 1]
        return np.clip(alone[:, None] + effect, 1e-4, 1 - 1e-4)


def fit_forest(
    contract: ColumnContract, *, leads: np.ndarray, rep: np.ndarray, converted: np.ndarray, n_reps: int, seed: int = 0
) -> Forest:
    """The forest of a history; arguments as for `training.baselines.fit_s_learner`. Reps with few rows are left out."""
    design = measure_design(contract, leads)
    plain = design.matrix(leads)[:, 1:]
    wins, rows = np.bincount(rep, converted, n_reps), np.bincount(rep, minlength=n_reps)
    enough = np.flatnonzero((wins >= 10) & (rows - wins >= 10))
    kept = np.isin(rep, enough)
    learner = ForestDRLearner(
        model_regression=lgb.LGBMClassifier(**NUISANCE),
        model_propensity=lgb.LGBMClassifier(**NUISANCE),
        discrete_outcome=True,
        min_propensity=LEAST_PROPENSITY,
        cv=2,
        n_estimators=TREES,
        min_samples_leaf=20,
        n_jobs=1,
        random_state=seed,
    )
    learner.fit(converted[kept].astype(int), rep[kept], X=plain[kept])
    alone = lgb.LGBMClassifier(**NUISANCE).fit(plain, converted.astype(int))
    return Forest(learner, alone, design, enough, n_reps)
