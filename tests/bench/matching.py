"""What the prices of slots are worth: leads that come one after another, against the best that hindsight could do.

python -m tests.bench.matching --seeds 3 --explored 10
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np

from data.roster import Rep
from data.simulator.gain import equal_slots, rotation_value
from data.store.capacity import Load
from features.columns import instants
from features.spells import lead_matrix
from serving.policy.exploration import EARN, LEARN, Exploration, smoothed
from serving.policy.pace import DAYS, Pace
from serving.policy.price_book import RECENT, SOLVE_EVERY, SeenLead, prices_now
from serving.policy.prices import assign_jointly
from serving.policy.rulebook import Prices
from tests.bench.worlds import floor, learn, roster_of

Size = tuple[int, int, int]
FULL: Size = (20_000, 40, 1_000)
HISTORY, REPS, LEADS = FULL  # leads to learn from, seats, leads a day
UTILISATIONS = (0.8, 0.9, 1.0)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
PLAIN = Prices(floor=0.0, ceiling=1_000.0)
FLOORS = (0.25, 0.5, 0.7)
GREEDY, ONLINE, ONCE = "greedy", "prices, solved every 100 leads", "prices, solved once"
# Beside the presets, how much of the cost of `earn` is its temperature's.
COOLER = replace(EARN, temperature=EARN.temperature / 3)
PRESETS = {"earn": EARN, "earn at a third of its temperature": COOLER, "learn": LEARN}


@dataclass(frozen=True)
class Day:
    """One day's leads after those of the day before, over the same reps; matrices are (n, n_reps)."""

    seen: np.ndarray  # scores of yesterday's leads
    seen_eligible: np.ndarray
    scores: np.ndarray
    truth: np.ndarray
    eligible: np.ndarray

    @property
    def rep_ids(self) -> tuple[str, ...]:
        """Names for the columns."""
        return tuple(f"R-{number}" for number in range(self.scores.shape[1]))

    @property
    def pace(self) -> Pace:
        """As many leads in each hour of the week before."""
        first = int(MIDNIGHT.timestamp()) // 3_600
        hours = range(first - 24 * DAYS, first + 24)
        return Pace(dict.fromkeys(hours, len(self.scores) / 24))

    def at(self, lead: int) -> datetime:
        """When a lead arrives: evenly over the day."""
        return MIDNIGHT + timedelta(days=lead / len(self.scores))


@lru_cache(maxsize=8)
def day_of(seed: int, history: int = HISTORY, reps: int = REPS, leads: int = LEADS) -> Day:
    """A simulated floor's day, with the model of its history as the scores."""
    made = floor(history, reps, seed)
    _, model = learn(made, seed=seed)
    roster = roster_of(made, model)
    both = []
    for batch in (1, 2):
        fresh = made.world.fresh_leads(leads, batch)
        matrix = lead_matrix(fresh, made.prepared.contract)
        scores = roster.probability(matrix, instants(fresh["created_at"].dt.tz_localize(None)))
        both.append((scores, made.world.eligible(fresh), made.world.probability(fresh)))
    (seen, seen_eligible, _), (scores, eligible, truth) = both
    return Day(seen, seen_eligible, scores, truth, eligible)


@dataclass(frozen=True)
class Walk:
    """What became of the leads of a day, one after another."""

    chances: np.ndarray  # (n, n_reps)
    reps: np.ndarray  # (n,) who got the lead; -1: nobody was free


def batch_optimum(day: Day, slots: np.ndarray) -> np.ndarray:
    """The best joint assignment in hindsight as chances of 0 and 1, (n, n_reps)."""
    chosen = assign_jointly(day.scores, day.eligible, slots.astype(float))
    chances = np.zeros(day.scores.shape)
    served = np.flatnonzero(chosen >= 0)
    chances[served, chosen[served]] = 1.0
    return chances


def online(
    day: Day,
    slots: np.ndarray,
    rules: Prices | None,
    *,
    exploration: Exploration | None = None,
    every: int = SOLVE_EVERY,
    rng: np.random.Generator | None = None,
) -> Walk:
    """Each lead's chances as the service gives them while leads come, and the draws; slots are the daily limits.

    What chances are worth is exact at every lead, and only which slots were still free depends on the draws before.

    rules : of the prices; None: none, so each lead goes to its likeliest free rep. exploration : the draw; None: the
    best after prices, always.
    """
    reps = [Rep(rep_id, daily_limit=int(limit)) for rep_id, limit in zip(day.rep_ids, slots, strict=True)]
    used, prices, chances = np.zeros(len(reps), dtype=int), np.zeros(len(reps)), np.zeros(day.scores.shape)
    given = np.full(len(day.scores), -1)
    past = list(_seen(day, range(-len(day.seen), 0)))
    for lead in range(len(day.scores)):
        if rules is not None and lead % every == 0:
            loads = {rep.rep_id: Load(open=0, today=int(n)) for rep, n in zip(reps, used, strict=True)}
            solved = prices_now(past[-RECENT:], reps, loads, rules, day.pace, at=day.at(lead))
            prices = np.array([solved.get(rep.rep_id, 0.0) for rep in reps])
        available = day.eligible[lead] & (used < slots)
        if available.any():
            if exploration is None:
                rep = int(np.argmax(np.where(available, day.scores[lead] - prices, -np.inf)))
                chances[lead, rep] = 1.0
            else:
                assert rng is not None
                chances[lead] = smoothed(day.scores[lead], prices, available, exploration)
                rep = int(rng.choice(len(reps), p=chances[lead]))
            used[rep] += 1
            given[lead] = rep
        past.extend(_seen(day, [lead]))
    return Walk(chances, given)


def _seen(day: Day, leads: Iterable[int]) -> Iterable[SeenLead]:
    """Leads as the price book remembers them; negative numbers are yesterday's."""
    for lead in leads:
        scores, eligible = (day.seen, day.seen_eligible) if lead < 0 else (day.scores, day.eligible)
        ids = tuple(name for name, able in zip(day.rep_ids, eligible[lead], strict=True) if able)
        yield SeenLead(ids, scores[lead][eligible[lead]])


def value(day: Day, chances: np.ndarray) -> float:
    """True conversions per lead to expect of chances, (n, n_reps)."""
    return float(np.sum(day.truth * chances) / len(chances))


def share(day: Day, chances: np.ndarray, best: float) -> float:
    """Part of the batch optimum's gain over rotation that chances bring."""
    rotation = rotation_value(day.truth, day.eligible)
    return (value(day, chances) - rotation) / (best - rotation)


def slots_of(day: Day, utilisation: float) -> np.ndarray:
    """Slots of each rep, so many that the day's leads fill this part of them."""
    return equal_slots(len(day.scores), day.scores.shape[1], utilisation)


@lru_cache(maxsize=8)
def priced(seed: int, utilisation: float, size: Size = FULL) -> np.ndarray:
    """The chances, 0 and 1, of the best after prices on one day."""
    day = day_of(seed, *size)
    return online(day, slots_of(day, utilisation), PLAIN).chances


def compared(seed: int, utilisation: float, *, size: Size = FULL) -> dict[str, float]:
    """By method, the share of the batch optimum's gain on one day."""
    day = day_of(seed, *size)
    slots = slots_of(day, utilisation)
    best = value(day, batch_optimum(day, slots))
    return {
        ONLINE: share(day, priced(seed, utilisation, size), best),
        ONCE: share(day, online(day, slots, PLAIN, every=10**9).chances, best),
        GREEDY: share(day, online(day, slots, None).chances, best),
    }


def floors_cost(seed: int, utilisation: float = 0.9, *, size: Size = FULL) -> dict[float, float]:
    """By floor, the part of the value that it costs: true conversions per lead without it and with it."""
    day = day_of(seed, *size)
    slots, free = slots_of(day, utilisation), value(day, priced(seed, utilisation, size))
    return {
        each: 1 - value(day, online(day, slots, Prices(floor=each, ceiling=1_000.0)).chances) / free for each in FLOORS
    }


def exploration_cost(seed: int, utilisation: float = 0.9, *, size: Size = FULL) -> dict[str, tuple[float, float]]:
    """By preset, the part of the gain over rotation that leaving some of the choice to chance costs.

    Twice: by the truth, and by the model's own probabilities, on which the luck of one floor has no bearing. Prices
    follow the slots that the explored choices themselves use.
    """
    day = day_of(seed, *size)
    slots, sharp = slots_of(day, utilisation), priced(seed, utilisation, size)
    costs = {}
    for name, preset in PRESETS.items():
        chances = online(day, slots, PLAIN, exploration=preset, rng=np.random.default_rng(seed)).chances
        by = [(worth, rotation_value(worth, day.eligible)) for worth in (day.truth, day.scores)]
        lost, seen_lost = (
            float(np.sum(worth * (sharp - chances)) / (np.sum(worth * sharp) - len(sharp) * rotation))
            for worth, rotation in by
        )
        costs[name] = (lost, seen_lost)
    return costs


def shown(figures: list[float]) -> str:
    """Mean and standard error."""
    error = np.std(figures, ddof=1) / np.sqrt(len(figures)) if len(figures) > 1 else np.nan
    return f"{np.mean(figures):.3f} ± {error:.3f}"


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--explored", type=int, default=10, help="seeds of the last table, whose figures vary most")
    asked = parser.parse_args(arguments)
    found: dict[float, list[dict[str, float]]] = {each: [] for each in UTILISATIONS}
    floors, explored = [], []
    for seed in range(max(asked.seeds, asked.explored)):  # seed by seed: a floor is made once
        if seed < asked.seeds:
            for each in UTILISATIONS:
                found[each].append(compared(seed, each))
            floors.append(floors_cost(seed))
        if seed < asked.explored:
            explored.append(exploration_cost(seed))
    print(
        f"\n## Leads one after another, {asked.seeds} floors\n\n{LEADS:,} leads a day, {REPS} seats, the model of "
        f"{HISTORY:,} leads as scores; share of the gain over rotation that the best joint assignment in hindsight "
        "brings, by the truth. Prices are to reach .93.\n"
    )
    print("| method | " + " | ".join(f"slots {each:.0%} full" for each in UTILISATIONS) + " |")
    print("| --- " * (len(UTILISATIONS) + 1) + "|")
    for name in (ONLINE, ONCE, GREEDY):
        print(f"| {name} | " + " | ".join(shown([one[name] for one in found[each]]) for each in UTILISATIONS) + " |")
    print("\n| floor, in shares of rotation's leads | costs of the value |\n| --- | --- |")
    for each in FLOORS:
        print(f"| {each:.0%} | {shown([one[each] for one in floors])} |")
    print(f"\n{asked.explored} floors, slots 90 % full:\n")
    print("| exploration | costs of the gain | by the model's own probabilities |\n| --- | --- | --- |")
    for preset in PRESETS:
        by_truth, by_scores = zip(*(one[preset] for one in explored), strict=True)
        print(f"| {preset} | {shown(list(by_truth))} | {shown(list(by_scores))} |")


if __name__ == "__main__":
    main()
