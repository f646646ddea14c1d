"""Challenger against champion: the verdict and its grounds, a pure function of what both said of the same rows."""

from dataclasses import dataclass

import numpy as np

LEAST_ROWS = 300  # newest mature rows that neither model learned from
CERTAIN = 1.645  # standard errors: one-sided 5 %
WORST_GROUP = 0.02  # nats that one rep's rows may lose before it counts as much worse
LEAST_GROUP = 50  # rows of a rep that is looked at by itself
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
        return Decision(True, ("There is no champion yet.", _say("the base rate", gain, error)))
    return Decision(False, ("There is no champion yet.", _say("the base rate", gain, error)))


def judge(
    converted: np.ndarray, rep: np.ndarray, challenger: np.ndarray, champion: np.ndarray, *, compatible: bool
) -> Decision:
    """Whether the challenger is better, in log-loss, on the newest rows, and worse for no rep.

    converted : 0/1 (n,); rep : int (n,); challenger, champion : log-odds (n,) from fits that did not see these
    rows; compatible : the challenger needs no column that the champion's users do not send.
    """
    if len(converted) < LEAST_ROWS:
        need = f"{len(converted)} mature rows are newer than the champion's; {LEAST_ROWS} are needed to compare."
        return Decision(False, (need,))
    gain, error = _difference(converted, champion, challenger)
    grounds = [_say("the champion", gain, error)]
    worse = [r for r in np.unique(rep) if _much_worse(converted, champion, challenger, rep == r)]
    if worse:
        grounds.append(f"For {len(worse)} rep(s) it is more than {WORST_GROUP:g} nats a lead worse, beyond noise.")
    level = _level_off(converted, challenger)
    if level:
        grounds.append(level)
    if not compatible:
        grounds.append("It needs columns that the champion did not use: check that the CRM sends them.")
    better = gain > CERTAIN * error
    if not better:
        grounds.append("The gain is within the noise, so the champion stays.")
    return Decision(better and not worse and not level, tuple(grounds))


def _losses(converted: np.ndarray, log_odds: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, log_odds) - converted * log_odds


def _difference(converted: np.ndarray, reference: np.ndarray, candidate: np.ndarray) -> tuple[float, float]:
    """Mean log-loss that the candidate saves over the reference, and its standard error (paired)."""
    saved = _losses(converted, reference) - _losses(converted, candidate)
    return float(saved.mean()), float(saved.std(ddof=1) / np.sqrt(len(saved)))


def _much_worse(converted: np.ndarray, champion: np.ndarray, challenger: np.ndarray, rows: np.ndarray) -> bool:
    if rows.sum() < LEAST_GROUP:
        return False
    gain, error = _difference(converted[rows], champion[rows], challenger[rows])
    return gain < -WORST_GROUP and gain < -3 * error


def _level_off(converted: np.ndarray, log_odds: np.ndarray) -> str | None:
    p = 1 / (1 + np.exp(-log_odds))
    off = p.mean() / max(converted.mean(), 1e-9) - 1
    noise = 3 * np.sqrt(np.mean(p * (1 - p)) / len(p)) / max(converted.mean(), 1e-9)
    if abs(off) <= MISCALIBRATED + noise:
        return None
    return f"Its level is off: {p.mean():.3f} predicted, {converted.mean():.3f} seen."


def _say(other: str, gain: float, error: float) -> str:
    word = "better" if gain >= 0 else "worse"
    return f"Log-loss on the newest rows is {abs(gain):.4f} {word} than {other} (standard error {error:.4f})."
