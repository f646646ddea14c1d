"""Who works on the floor, and what each rep does to a lead's chance."""

from dataclasses import dataclass

import numpy as np

from data.simulator.leads import TASTE_RANK, Traits
from data.simulator.words import INDUSTRIES, LANGUAGE_OF_REGION, LANGUAGES, REGION_SHARES, REGIONS

SKILL, AFFINITY, TERRITORY, SIZE_SLOPE, TASTE = 0.25, 0.22, 0.15, 0.20, 0.12  # standard deviations, log-odds
LANGUAGE_MATCH, HOME_MATCH = 0.30, 0.15
RAMP, RAMP_DAYS = -0.6, 45.0
RESPONSE, USUAL_RESPONSE_HOURS = -0.12, 4.0  # log-odds per e-fold of the hours until first contact
FATIGUE = -0.35  # log-odds per usual load above the usual load
COVERAGE = 0.6
LEAST_SEATS_A_REGION = 2
TURNOVER_A_YEAR = 0.25
LONGEST_TENURE_DAYS = 1_500
DECLARED_INDUSTRIES = 2


@dataclass(frozen=True)
class Staff:
    """Everybody who ever worked here. A seat has one rep at a time; a leaver's seat is taken at once."""

    seat: np.ndarray  # (reps,)
    hired_days: np.ndarray  # (reps,)
    left_days: np.ndarray  # (reps,) inf where still here
    home: np.ndarray  # (seats,) region
    covers: np.ndarray  # bool (seats, 8)
    effect: float  # scales everything that a rep does to a lead's chance
    skill: np.ndarray  # (reps,) log-odds before scaling
    perceived: np.ndarray  # (reps,) reputation, standard normal
    affinity: np.ndarray  # (reps, 12) by industry
    territory: np.ndarray  # (reps, 8) by region
    size_slope: np.ndarray  # (reps,)
    taste: np.ndarray  # (reps, 3)
    speaks: np.ndarray  # bool (reps, 4)
    response_hours: np.ndarray  # (reps,) typical hours until first contact
    declared: np.ndarray  # (reps, 2) industries that the rep says to know

    @property
    def seats(self) -> int:
        """Places on the floor, all of them taken at any time."""
        return len(self.home)

    @property
    def current(self) -> np.ndarray:
        """Positions of the reps who are still here, in seat order, shape (seats,)."""
        return np.flatnonzero(np.isinf(self.left_days))

    def occupants(self, at_days: np.ndarray) -> np.ndarray:
        """Who sits in each seat at each moment, shape (n, seats)."""
        sitting = np.empty((len(at_days), self.seats), dtype=np.intp)
        for seat in range(self.seats):
            reps = np.flatnonzero(self.seat == seat)  # in the order in which they were hired
            sitting[:, seat] = reps[np.searchsorted(self.left_days[reps], at_days, side="right")]
        return sitting


def draw_staff(
    rng: np.random.Generator, *, seats: int, start_days: float, days: int, effect: float, perceived_correlation: float
) -> Staff:
    """A floor of `seats` with its turnover over `days`."""
    home, covers = _territories(rng, seats)
    seat, hired, left = _turnover(rng, seats, start_days, days)
    n = len(seat)
    skill = rng.normal(size=n)
    affinity = rng.normal(0, AFFINITY, (n, len(INDUSTRIES)))
    claimed = affinity + rng.normal(0, AFFINITY, affinity.shape)  # people know their strengths only so well
    speaks = rng.random((n, len(LANGUAGES))) < (0.5, 0.3, 0.35, 0.08)
    speaks[np.arange(n), np.array(LANGUAGE_OF_REGION)[home[seat]]] = True
    noise = np.sqrt(1 - perceived_correlation**2) * rng.normal(size=n)
    return Staff(
        seat=seat,
        hired_days=hired,
        left_days=left,
        home=home,
        covers=covers,
        effect=effect,
        skill=SKILL * skill,
        perceived=perceived_correlation * skill + noise,
        affinity=affinity,
        territory=rng.normal(0, TERRITORY, (n, len(REGIONS))),
        size_slope=rng.normal(0, SIZE_SLOPE, n),
        taste=rng.normal(0, TASTE, (n, TASTE_RANK)),
        speaks=speaks,
        response_hours=USUAL_RESPONSE_HOURS * np.exp(rng.normal(0, 1.0, n)),
        declared=np.argsort(-claimed, axis=1)[:, :DECLARED_INDUSTRIES],
    )


def _territories(rng: np.random.Generator, seats: int) -> tuple[np.ndarray, np.ndarray]:
    """Home region and covered regions of each seat; every region has a home and at least two seats if it can."""
    rest = rng.choice(len(REGIONS), max(0, seats - len(REGIONS)), p=REGION_SHARES)
    home = np.concatenate([np.arange(len(REGIONS)), rest])[:seats]
    covers = rng.random((seats, len(REGIONS))) < COVERAGE
    covers[np.arange(seats), home] = True
    for region in range(len(REGIONS)):
        missing = min(LEAST_SEATS_A_REGION, seats) - covers[:, region].sum()
        if missing > 0:
            covers[rng.choice(np.flatnonzero(~covers[:, region]), missing, replace=False), region] = True
    return home, covers


def _turnover(
    rng: np.random.Generator, seats: int, start_days: float, days: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Seat, day of hiring and day of leaving of each rep; ordered by seat, then by hiring."""
    seat, hired, left = [], [], []
    for place in range(seats):
        begun = start_days - rng.uniform(0, LONGEST_TENURE_DAYS)
        ended = start_days + rng.exponential(365 / TURNOVER_A_YEAR)
        while True:
            seat.append(place)
            hired.append(begun)
            left.append(ended if ended < start_days + days else np.inf)
            if np.isinf(left[-1]):
                break
            begun, ended = ended, ended + rng.exponential(365 / TURNOVER_A_YEAR)
    return np.array(seat), np.array(hired), np.array(left)


def rep_logit(
    staff: Staff,
    traits: Traits,
    lead_tastes: np.ndarray,
    *,
    lead: np.ndarray,
    rep: np.ndarray,
    at_days: np.ndarray,
    load: np.ndarray | float = 1.0,
    response_hours: np.ndarray | None = None,
) -> np.ndarray:
    """What the rep adds to the lead's log-odds, in the shape that `lead` and `rep` broadcast to.

    lead, rep : positions; at_days : moment of assignment by lead, (n,); lead_tastes : `leads.tastes` of the leads.
    load : the rep's load at that moment, 1 is usual; response_hours : of this pair, the rep's typical if not given.
    """
    hours = staff.response_hours[rep] if response_hours is None else response_hours
    tenure = np.maximum(at_days[lead] - staff.hired_days[rep], 0.0)
    total = staff.skill[rep] + staff.affinity[rep, traits.industry[lead]] + staff.territory[rep, traits.region[lead]]
    total = total + staff.size_slope[rep] * traits.size[lead]
    for direction in range(TASTE_RANK):
        total = total + staff.taste[rep, direction] * lead_tastes[lead, direction]
    total = total + LANGUAGE_MATCH * staff.speaks[rep, traits.language[lead]]
    total = total + HOME_MATCH * (staff.home[staff.seat[rep]] == traits.region[lead])
    total = total + RAMP * np.exp(-tenure / RAMP_DAYS)
    total = total + RESPONSE * np.log(hours / USUAL_RESPONSE_HOURS)
    return staff.effect * (total + FATIGUE * np.maximum(np.asarray(load) - 1.0, 0.0))
