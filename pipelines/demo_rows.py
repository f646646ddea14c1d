"""The simulated floor's rows as a CRM would send them."""

from typing import Any

import numpy as np
import pandas as pd

NEVER_FEATURES = ("hidden_grade",)


def sendable(row: dict[Any, Any]) -> dict[str, Any]:
    """A table's row as JSON: nothing for what is missing, moments with their offset."""
    plain: dict[str, Any] = {}
    for name, value in row.items():
        if value is None or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
            continue
        if isinstance(value, pd.Timestamp):
            value = value.isoformat()
        plain[str(name)] = value.item() if isinstance(value, np.generic) else value
    return plain
