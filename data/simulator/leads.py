"""Which leads arrive, and how likely each is to convert before any rep is thought of."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from data.simulator.words import (
    INDUSTRIES,
    LANGUAGE_OF_REGION,
    LANGUAGES,
    REGION_SHARES,
    REGIONS,
    RISING_SOURCES,
    SOURCES,
)

UTC_OFFSET_DAYS = 8 / 24  # the floor works in Asia/Shanghai, which has no summer time
INTERCEPT = -3.55
LOG_EMPLOYEES, LOG_EMPLOYEES_SPREAD = 4.4, 1.3  # the middle firm has 80 employees
SIZE_BAND_EDGES = (-0.9, 0.0, 0.9)  # in standardised log-employees: four bands
LOG_PAGES, LOG_PAGES_SPREAD = 1.16, 0.6  # of log(1 + pages)
SEASON_DAYS, SEASON_LOGIT = 91.0, 0.1
TASTE_RANK, TASTE_SPREAD = 3, 1.2
LOG_MINUTES, LOG_MINUTES_SPREAD = 1.1, 0.71
FREE_SHARE = 0.23
SENIORITY_MEAN, SENIORITY_SPREAD = 3.0, 1.03
HOUR_WEIGHTS = np.array([1, 1, 1, 1, 1, 1, 2, 4, 8, 12, 13, 11, 7, 8, 12, 13, 12, 10, 7, 5, 5, 4, 3, 2], dtype=float)
WEEKDAY_WEIGHTS = np.array([1.1, 1.1, 1.05, 1.0, 0.95, 0.45, 0.35])


@dataclass(frozen=True)
class Market:
    """What a world's leads have in common; drawn once from the world's seed."""

    start_days: float  # the history's first day, in days since 1970-01-01 UTC
    industry_given_region: np.ndarray  # (8, 12)
    size_of_industry: np.ndarray  # (12,) mean of standardised log-employees
    source_given_band: np.ndarray  # (4, 8)
    industry_logit: np.ndarray  # (12,)
    region_logit: np.ndarray  # (8,)
    source_logit: np.ndarray  # (8,)
    cross_logit: np.ndarray  # (12, 8) industry x source
    source_drift: np.ndarray  # (8,) logit a year
    taste_of: np.ndarray  # (4, 3) how the lead's numbers make up the directions in which reps' tastes differ
    hidden_grade: float  # logit per standard deviation of what nobody recorded


@dataclass(frozen=True)
class Traits:
    """What the truth needs of each lead, as arrays of shape (n,)."""

    region: np.ndarray
    industry: np.ndarray
    source: np.ndarray
    language: np.ndarray
    size: np.ndarray  # standardised log-employees
    seniority: np.ndarray  # 1 to 5
    pages: np.ndarray
    minutes: np.ndarray
    free_email: np.ndarray  # bool
    arrived_days: np.ndarray
    hidden: np.ndarray  # standard normal: what the managers saw and nobody recorded

    def __len__(self) -> int:
        return len(self.region)


def draw_market(rng: np.random.Generator, *, start_days: float, drift: float, hidden_grade: float) -> Market:
    """A market with effects of given spread; centred, so that worlds differ in pattern and not in level."""
    industry_given_region = rng.dirichlet(np.full(len(INDUSTRIES), 2.0), size=len(REGIONS))
    size_of_industry = rng.normal(0, 0.4, len(INDUSTRIES))
    source_given_band = rng.dirichlet(np.full(len(SOURCES), 3.0), size=len(SIZE_BAND_EDGES) + 1)
    industries = np.array(REGION_SHARES) @ industry_given_region
    below = norm.cdf(np.subtract.outer(SIZE_BAND_EDGES, size_of_industry) / np.sqrt(1 - 0.4**2))
    bands = np.diff(np.vstack([np.zeros(len(INDUSTRIES)), below, np.ones(len(INDUSTRIES))]), axis=0) @ industries
    sources = bands @ source_given_band
    return Market(
        start_days=start_days,
        industry_given_region=industry_given_region,
        size_of_industry=size_of_industry,
        source_given_band=source_given_band,
        industry_logit=_spread(rng.normal(size=len(INDUSTRIES)), industries, 0.35),
        region_logit=_spread(rng.normal(size=len(REGIONS)), np.array(REGION_SHARES), 0.25),
        source_logit=_spread(rng.normal(size=len(SOURCES)), sources, 0.5),
        cross_logit=_spread(rng.normal(size=(len(INDUSTRIES), len(SOURCES))), np.outer(industries, sources), 0.25),
        source_drift=drift * (1 + np.isin(np.arange(len(SOURCES)), RISING_SOURCES)),
        taste_of=TASTE_SPREAD * np.linalg.qr(rng.normal(size=(4, 4)))[0][:, :TASTE_RANK],
        hidden_grade=hidden_grade,
    )


def _spread(values: np.ndarray, weights: np.ndarray, sd: float) -> np.ndarray:
    """`values` moved and scaled to weighted mean 0 and standard deviation `sd`."""
    centred = values - np.average(values, weights=weights)
    return centred * sd / np.sqrt(np.average(centred**2, weights=weights))


def arrivals(rng: np.random.Generator, n: int, start_days: float, days: int) -> np.ndarray:
    """Sorted moments of n arrivals, fewer at night and at weekends, in days since 1970-01-01 UTC."""
    day = np.floor(start_days + UTC_OFFSET_DAYS) + np.arange(days)
    weekday = ((day + 3) % 7).astype(int)  # 1970-01-01 was a Thursday
    weights = WEEKDAY_WEIGHTS[weekday]
    chosen = rng.choice(day, n, p=weights / weights.sum())
    hour = rng.choice(24, n, p=HOUR_WEIGHTS / HOUR_WEIGHTS.sum()) + rng.random(n)
    return np.sort(chosen + hour / 24 - UTC_OFFSET_DAYS)


def draw_leads(rng: np.random.Generator, market: Market, arrived_days: np.ndarray) -> tuple[Traits, pd.DataFrame]:
    """Leads that arrive at the given moments: what the truth needs, and the attributes that a CRM records."""
    n = len(arrived_days)
    region = rng.choice(len(REGIONS), n, p=REGION_SHARES)
    industry = _rows_of(rng, market.industry_given_region, region)
    size = market.size_of_industry[industry] + np.sqrt(1 - 0.4**2) * rng.normal(size=n)
    employees = np.maximum(1, np.rint(np.exp(LOG_EMPLOYEES + LOG_EMPLOYEES_SPREAD * size))).astype(int)
    source = _rows_of(rng, market.source_given_band, size_band(size))
    spoken = np.array(LANGUAGE_OF_REGION)[region]
    language = np.where(rng.random(n) < 0.12, rng.integers(len(LANGUAGES), size=n), spoken)
    hidden, intent = rng.normal(size=n), rng.normal(size=n)
    pages = rng.poisson(np.exp(0.9 + 0.45 * intent + 0.15 * hidden))
    minutes = np.maximum(0.1, np.round(np.exp(1.1 + 0.5 * intent + 0.5 * rng.normal(size=n)), 1))
    seniority = np.clip(np.rint(SENIORITY_MEAN - 0.25 * size + rng.normal(size=n)), 1, 5).astype(int)
    budget = np.exp(10.5 + 0.5 * size + 0.15 * hidden + 0.7 * rng.normal(size=n))
    free_email = rng.random(n) < np.clip(0.25 - 0.12 * size, 0.03, 0.7)
    traits = Traits(
        region, industry, source, language, standard_size(employees), seniority, pages, minutes, free_email,
        arrived_days, hidden,
    )  # fmt: skip
    attributes = pd.DataFrame(
        {
            "region": np.array(REGIONS)[region],
            "industry": np.array(INDUSTRIES)[industry],
            "employees": employees,
            "source": np.array(SOURCES)[source],
            "language": np.array(LANGUAGES)[language],
            "pages_viewed": pages,
            "minutes_on_site": minutes,
            "emails_opened": rng.poisson(np.exp(0.2 + 0.35 * intent)),
            "seniority": seniority,
            "budget_cny": np.where(rng.random(n) < 0.45, np.nan, np.round(budget, -2)),
            "mailbox": np.where(free_email, "free", "company"),
        }
    )
    return traits, attributes


def _rows_of(rng: np.random.Generator, table: np.ndarray, row: np.ndarray) -> np.ndarray:
    """One draw from the distribution in `table[row]` for each entry of `row`."""
    cumulative = np.cumsum(table, axis=1)
    cumulative[:, -1] = 1.0
    return (rng.random(len(row))[:, None] >= cumulative[row]).sum(axis=1)


def standard_size(employees: np.ndarray) -> np.ndarray:
    """Log-employees with mean 0 and standard deviation 1 over the market."""
    return (np.log(employees) - LOG_EMPLOYEES) / LOG_EMPLOYEES_SPREAD


def size_band(size: np.ndarray) -> np.ndarray:
    """0 (smallest firms) to 3."""
    return np.searchsorted(SIZE_BAND_EDGES, size)


def traits_of(leads: pd.DataFrame, arrived_days: np.ndarray, hidden: np.ndarray) -> Traits:
    """The truth's view of a leads table whose hidden grades are known."""
    return Traits(
        region=_codes(leads["region"], REGIONS),
        industry=_codes(leads["industry"], INDUSTRIES),
        source=_codes(leads["source"], SOURCES),
        language=_codes(leads["language"], LANGUAGES),
        size=standard_size(leads["employees"].to_numpy(dtype=float)),
        seniority=leads["seniority"].to_numpy(dtype=float),
        pages=leads["pages_viewed"].to_numpy(dtype=float),
        minutes=leads["minutes_on_site"].to_numpy(dtype=float),
        free_email=leads["mailbox"].to_numpy() == "free",
        arrived_days=arrived_days,
        hidden=hidden,
    )


def _codes(values: pd.Series, levels: tuple[str, ...]) -> np.ndarray:
    place = {level: code for code, level in enumerate(levels)}
    return np.array([place[value] for value in values], dtype=np.intp)


def observed_logit(market: Market, traits: Traits, at_days: np.ndarray) -> np.ndarray:
    """Log-odds of conversion from what the CRM records and the date, shape (n,)."""
    local = at_days + UTC_OFFSET_DAYS
    hour, weekend = (local % 1) * 24, (np.floor(local) + 3) % 7 >= 5
    years = (at_days - market.start_days) / 365.0
    return (
        INTERCEPT
        + market.industry_logit[traits.industry]
        + market.region_logit[traits.region]
        + market.source_logit[traits.source]
        + market.cross_logit[traits.industry, traits.source]
        + 0.35 * np.log1p(traits.pages)
        + 0.25 * np.log(traits.minutes)
        + 0.22 * (traits.seniority - SENIORITY_MEAN)
        - 0.5 * traits.free_email
        + 0.15 * np.clip(traits.size, -1.5, 1.5)
        - 0.15 * weekend
        - 0.15 * ((hour >= 20) | (hour < 7))
        + market.source_drift[traits.source] * years
        + SEASON_LOGIT * np.sin(2 * np.pi * (at_days - market.start_days) / SEASON_DAYS)
    )


def lead_logit(market: Market, traits: Traits, at_days: np.ndarray) -> np.ndarray:
    """Log-odds of conversion with an average rep, hidden grade included, shape (n,)."""
    return observed_logit(market, traits, at_days) + market.hidden_grade * traits.hidden


def grade(market: Market, traits: Traits) -> np.ndarray:
    """How good a lead looks to a manager: .8 what is recorded + .6 what is not, about standard normal."""
    seen = observed_logit(market, traits, np.full(len(traits), market.start_days))
    return 0.8 * (seen - seen.mean()) / (seen.std() or 1.0) + 0.6 * traits.hidden


def tastes(market: Market, traits: Traits) -> np.ndarray:
    """Three directions in which reps' tastes differ: mixtures of seniority, interest and mailbox, shape (n, 3)."""
    numbers = np.column_stack(
        [
            (traits.seniority - SENIORITY_MEAN) / SENIORITY_SPREAD,
            (np.log1p(traits.pages) - LOG_PAGES) / LOG_PAGES_SPREAD,
            (np.log(traits.minutes) - LOG_MINUTES) / LOG_MINUTES_SPREAD,
            (traits.free_email - FREE_SHARE) / np.sqrt(FREE_SHARE * (1 - FREE_SHARE)),
        ]
    )
    return numbers @ market.taste_of
