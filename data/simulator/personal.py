"""Invented people and firms, so that the personal columns look like a CRM's and belong to nobody."""

import numpy as np
import pandas as pd

from data.simulator.words import (
    CITIES,
    ENGLISH_NAMES,
    GIVEN_NAMES,
    INDUSTRIES,
    REGIONS,
    SURNAMES,
    SYLLABLES,
    TRADE_WORDS,
)

STRIDE = 4_001  # without a factor in common with the number of pairs of syllables: all come before one comes twice
PHONES = 800 * 100  # numbers under 555-01xx, which are kept free for fiction


def people(rng: np.random.Generator, n: int) -> tuple[list[str], list[str]]:
    """Names in pinyin, in characters or with an English first name, and the same as a mailbox, n of each."""
    surname, given = rng.integers(len(SURNAMES), size=n), rng.integers(len(GIVEN_NAMES), size=n)
    english, style = rng.integers(len(ENGLISH_NAMES), size=n), rng.random(n)
    names, mailboxes = [], []
    for s, g, e, how in zip(surname, given, english, style, strict=True):
        latin_first = ENGLISH_NAMES[e] if how < 0.15 else GIVEN_NAMES[g][0]
        latin = f"{latin_first} {SURNAMES[s][0]}" if how < 0.15 else f"{SURNAMES[s][0]} {latin_first}"
        names.append(SURNAMES[s][1] + GIVEN_NAMES[g][1] if how > 0.6 else latin)
        mailboxes.append(f"{SURNAMES[s][0]}.{latin_first}".lower())
    return names, mailboxes


def personal_columns(
    rng: np.random.Generator, *, serial: np.ndarray, region: np.ndarray, industry: np.ndarray, free_email: np.ndarray
) -> pd.DataFrame:
    """Columns name, company, phone and email of leads; a lead's `serial` number makes them its own."""
    names, mailboxes = people(rng, len(serial))
    city = rng.integers(4, size=len(serial))
    rows = []
    for i, number in enumerate(serial.tolist()):
        pair = number * STRIDE % len(SYLLABLES) ** 2
        firm = SYLLABLES[pair // len(SYLLABLES)] + SYLLABLES[pair % len(SYLLABLES)]
        trade = TRADE_WORDS[INDUSTRIES[industry[i]]][number // len(SYLLABLES) ** 2 % 4]
        company = f"{CITIES[REGIONS[region[i]]][city[i]]} {firm.capitalize()} {trade}"
        domain = "freemail.example" if free_email[i] else f"{firm}-{trade.lower().replace(' ', '')}.example"
        phone = f"+1 {200 + number % PHONES // 100} 555 01{number % 100:02d}"
        rows.append((names[i], company, phone, f"{mailboxes[i]}.{number}@{domain}"))
    return pd.DataFrame(rows, columns=["name", "company", "phone", "email"])
