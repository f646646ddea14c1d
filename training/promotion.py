"""Challenger against champion: the verdict and its grounds, a pure function of what both said of the same rows.

Log-loss sees the lead and hardly the rep, so where propensities were logged the worth of what each would have chosen
is a ground of its own: it can earn the promotion, and it can forbid it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from training.policy_value import PolicyValue

LEAST_ROWS = 300  # newest mature rows that neither model learned from
CERTAIN = 1.645  # standard errors: one-sided 5 %
WORST_GROUP = 0.02  # nats that one group's rows may lose before it counts as much worse
LEAST_GROUP = 50  # rows of a rep that is looked at by itself; the reps with fewer are one group
OTHER_DATA = (
    "If the champion comes from other data, such as the demo's, use another LEADMATCH_HOME, or promote this one by "
    "hand: `leadmatch model list` names it, `leadmatch model promote` does it."
)
MISCALIBRATED = 0.10  # difference of the mean prediction from what was seen, relative, beyond noise


@dataclass(frozen=True)
class Decision:
    """Whether the challenger becomes the champion, and the grounds, in sentences."""

    promoted: bool
    grounds: tuple[str, ...]


def first_champion(converted: np.ndarray, log_odds: np.ndarray, base_rate: float) -> Decision:
    """The verdict where there is no champion: the model must not be worse than the base rate beyond noise.

    converted : 0/1 (n,); log_odds : (n,), of rows that it has not seen; base_rate : of those it was trained on.
    """
    constant = np.full(len(converted), np.log(base_rate / (1 - base_rate)))
    gain, error = _difference(converted, constant, log_odds)
    if gain > -CERTAIN * error:
        return Decision(True, ("There was no champion.", _say("the base rate", gain, error)))
    return Decision(False, ("There is no champion yet.", _say("the base rate", gain, error)))


@dataclass(frozen=True)
class Columns:
    """Where the two models' contracts differ, by column name."""

    added: tuple[str, ...] = ()  # needed by the challenger alone
    changed: tuple[str, ...] = ()  # read as something else than the champion reads them

    @classmethod
    def between(cls, champion: Mapping[str, str], challenger: Mapping[str, str]) -> "Columns":
        """The differences of two contracts, each a mapping from column to kind."""
        common = champion.keys() & challenger.keys()
        changed = tuple(sorted(name for name in common if champion[name] != challenger[name]))
        return cls(tuple(sorted(challenger.keys() - champion.keys())), changed)


def judge(
    converted: np.ndarray,
    rep: np.ndarray,
    challenger: np.ndarray,
    champion: np.ndarray,
    *,
    columns: Columns,
    worth: PolicyValue | None = None,
) -> Decision:
    """Whether the challenger is better on the newest rows, in log-loss or in what it chooses, and worse nowhere.

    converted : 0/1 (n,); rep : int (n,); challenger, champion : log-odds (n,) from fits that did not see these
    rows; columns : where their contracts differ; worth : conversions per lead that the challenger's choices gain over
    the champion's, from logged propensities, None where there are none or too little overlap.
    """
    if len(converted) < LEAST_ROWS:
        need = f"{len(converted)} mature rows are newer than the champion's; {LEAST_ROWS} are needed to compare."
        return Decision(False, (need, OTHER_DATA))
    gain, error = _difference(converted, champion, challenger)
    grounds, against = [_say("the champion", gain, error)], []
    better, worse = gain > CERTAIN * error, gain < -CERTAIN * error
    if worth is not None:
        grounds.append(_say_worth(worth))
        worth_error = CERTAIN * worth.standard_error
        better, worse = better or worth.value > worth_error, worse or worth.value < -worth_error
    against += [*_groups_worse(converted, rep, champion, challenger), *_level_off(converted, challenger)]
    if columns.changed:
        names = ", ".join(columns.changed)
        against.append(f"It reads {names} as another kind than the champion does: promote it by hand once that is so.")
    if columns.added:
        names = ", ".join(columns.added)
        grounds.append(f"It needs columns that the champion did not use ({names}): check that the CRM sends them.")
    grounds += against
    if worse:
        grounds.append("It is worse beyond noise in one of these, so the champion stays.")
    elif not better:
        grounds.append("The gain is within the noise, so the champion stays.")
    return Decision(better and not worse and not against, tuple(grounds))


def _losses(converted: np.ndarray, log_odds: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, log_odds) - converted * log_odds


def _difference(converted: np.ndarray, reference: np.ndarray, candidate: np.ndarray) -> tuple[float, float]:
    """Mean log-loss that the candidate saves over the reference, and its standard error (paired)."""
    saved = _losses(converted, reference) - _losses(converted, candidate)
    return float(saved.mean()), float(saved.std(ddof=1) / np.sqrt(len(saved)))


def _groups_worse(
    converted: np.ndarray, rep: np.ndarray, champion: np.ndarray, challenger: np.ndarray
) -> list[str]:
    """A sentence for each kind of group that is much worse off: single reps, and those with few rows together."""
    places, rows = np.unique(rep, return_inverse=True)
    counts = np.bincount(rows, minlength=len(places))
    saved = _losses(converted, champion) - _losses(converted, challenger)
    large = np.flatnonzero(counts >= LEAST_GROUP)
    worse = [one for one in large if _much_worse(saved[rows == one])]
    said = []
    if worse:
        said.append(f"For {len(worse)} rep(s) it is more than {WORST_GROUP:g} nats a lead worse, beyond noise.")
    few = counts[rows] < LEAST_GROUP
    if few.sum() >= LEAST_GROUP and _much_worse(saved[few]):
        said.append(f"For the reps with few rows it is more than {WORST_GROUP:g} nats a lead worse, beyond noise.")
    return said


def _much_worse(saved: np.ndarray) -> bool:
    gain, error = float(saved.mean()), float(saved.std(ddof=1) / np.sqrt(len(saved)))
    return gain < -WORST_GROUP and gain < -3 * error


def _level_off(converted: np.ndarray, log_odds: np.ndarray) -> list[str]:
    p = 1 / (1 + np.exp(-log_odds))
    off = p.mean() / max(converted.mean(), 1e-9) - 1
    noise = 3 * np.sqrt(np.mean(p * (1 - p)) / len(p)) / max(converted.mean(), 1e-9)
    if abs(off) <= MISCALIBRATED + noise:
        return []
    return [f"Its level is off: {p.mean():.3f} predicted, {converted.mean():.3f} seen."]


def _say(other: str, gain: float, error: float) -> str:
    word = "better" if gain >= 0 else "worse"
    return f"Log-loss on the newest rows is {abs(gain):.4f} {word} than {other} (standard error {error:.4f})."


def _say_worth(worth: PolicyValue) -> str:
    word = "more" if worth.value >= 0 else "less"
    return (
        f"By the logged propensities its choices are worth {100 * abs(worth.value):.2f} points {word} than the "
        f"champion's (standard error {100 * worth.standard_error:.2f})."
    )
