"""F(x) of trees that were saved, read through LightGBM's C library without its Python package.

`import lightgbm` brings pandas, scikit-learn and scipy along, seconds and 150 MB of them, and its `predict` spends ten
times as long on a row's way there and back as the trees take. The library's single-row call does neither; a test
holds its answers equal to `Booster.predict`, bit for bit.
"""

import ctypes
import importlib.util
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from training.tree_paths import tree_paths

try:
    from training.shap_kernel import ShapKernel
except ImportError:  # no compiler was there when this was installed: LightGBM's own, several times as slow
    ShapKernel = None

RAW_SCORE, CONTRIBUTIONS = 1, 3  # what is predicted, in the library's numbers
FLOAT64, ROW_MAJOR = 1, 1
ONE_THREAD = b"num_threads=1"


class SavedTrees:
    """F as LightGBM's text and base rate. Its last column is `by hand`, which is 0 at prediction."""

    kind = "trees"

    def __init__(self, text: str, base: float) -> None:
        """Raises ValueError for a text that LightGBM refuses; verify one from elsewhere first, as it trusts it."""
        self.text = text
        self.base = base
        self._booster = ctypes.c_void_p()
        trees, columns = ctypes.c_int(), ctypes.c_int()
        self._call("LGBM_BoosterLoadModelFromString", text.encode(), ctypes.byref(trees), ctypes.byref(self._booster))
        self._call("LGBM_BoosterGetNumFeature", self._booster, ctypes.byref(columns))
        self._columns = columns.value
        self._log_odds_of_row = _RowCall(self._booster, RAW_SCORE, self._columns, 1)
        self._contributions_of_row = self._explainer()

    def _explainer(self) -> Callable[[Sequence[float] | np.ndarray], np.ndarray]:
        """TreeSHAP of a row without its last column: compiled where that could be, else LightGBM's own."""
        paths = tree_paths(self.text) if ShapKernel else None
        if paths is None:
            own = _RowCall(self._booster, CONTRIBUTIONS, self._columns, self._columns + 1)
            return lambda row: np.array(own(row))
        kernel = ShapKernel(paths, self._columns)
        return lambda row: kernel(np.array([*row, 0.0]))

    def __del__(self) -> None:
        """Give the trees' memory back."""
        if getattr(self, "_booster", None):
            _library().LGBM_BoosterFree(self._booster)

    def __reduce__(self) -> tuple[type["SavedTrees"], tuple[str, float]]:
        """To be sent to another process: the text is all there is to it."""
        return SavedTrees, (self.text, self.base)

    def log_odds(self, leads: np.ndarray) -> np.ndarray:
        """F(x) in log-odds, shape (n,)."""
        return self.base + self._predict(leads, RAW_SCORE, 1)[:, 0]

    def contributions(self, leads: np.ndarray) -> np.ndarray:
        """TreeSHAP (LightGBM's pred_contrib), shape (n, n_features + 1); the last is the base value."""
        return np.array([self._with_base(row) for row in self._predict(leads, CONTRIBUTIONS, self._columns + 1)])

    def log_odds_of(self, row: Sequence[float] | np.ndarray) -> float:
        """F(x) of one lead, encoded, n_features long."""
        return self.base + self._log_odds_of_row(row)[0]

    def contributions_of(self, row: Sequence[float] | np.ndarray) -> np.ndarray:
        """TreeSHAP of one lead, shape (n_features + 1,)."""
        return self._with_base(self._contributions_of_row(row))

    def _with_base(self, values: np.ndarray) -> np.ndarray:
        parts = values[:-1].copy()
        parts[-1] += values[-1] + self.base  # `by hand` is fixed, so its part belongs to the base
        return parts

    def _predict(self, leads: np.ndarray, what: int, width: int) -> np.ndarray:
        design = np.ascontiguousarray(np.column_stack([leads, np.zeros(len(leads))]), dtype=np.float64)
        if design.shape[1] != self._columns:
            raise ValueError(f"The trees read {self._columns - 1} columns, got {design.shape[1] - 1}.")
        told = np.empty((len(leads), width))
        length = ctypes.c_int64()
        if len(leads):
            self._call(
                "LGBM_BoosterPredictForMat", self._booster, _address(design), FLOAT64,
                ctypes.c_int32(len(design)), ctypes.c_int32(design.shape[1]), ROW_MAJOR, what, 0, -1,
                ONE_THREAD, ctypes.byref(length), _address(told),
            )  # fmt: skip
        return told

    def _call(self, name: str, *arguments: Any) -> None:
        if getattr(_library(), name)(*arguments):
            raise ValueError(_last_error())


class _RowCall:
    """The library's call for one row, with everything but the row settled beforehand."""

    def __init__(self, booster: ctypes.c_void_p, what: int, columns: int, width: int) -> None:
        plan = ctypes.c_void_p()
        _library().LGBM_BoosterPredictForMatSingleRowFastInit(
            booster, what, 0, -1, FLOAT64, ctypes.c_int32(columns), ONE_THREAD, ctypes.byref(plan)
        )
        self._plan = plan
        # Python's lock stays held: a call takes some ten microseconds, to get the lock back may take milliseconds.
        self._predict = ctypes.PyDLL(_library()._name).LGBM_BoosterPredictForMatSingleRowFast
        self._predict.argtypes = [ctypes.c_void_p] * 4
        self._row, self._told, self._length = np.zeros(columns), np.empty(width), ctypes.c_int64()
        self._arguments = (plan, _address(self._row), ctypes.byref(self._length), _address(self._told))
        self._alone = threading.Lock()

    def __del__(self) -> None:
        """Give the plan's memory back."""
        if getattr(self, "_plan", None):
            _library().LGBM_FastConfigFree(self._plan)

    def __call__(self, row: Sequence[float] | np.ndarray) -> list[float]:
        """The answer for a row without its last column, `width` long."""
        with self._alone:
            self._row[:-1] = row
            if self._predict(*self._arguments):
                raise ValueError(_last_error())
            told: list[float] = self._told.tolist()
            return told


def _last_error() -> str:
    return f"LightGBM: {_library().LGBM_GetLastError().decode(errors='replace')}"


def _address(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """LightGBM's library, found beside its Python package, which is not imported."""
    found = importlib.util.find_spec("lightgbm")
    folder = Path(str(found.origin)).parent if found else Path()
    files = [*folder.glob("lib/lib_lightgbm.*"), *folder.parent.glob("lib_lightgbm.*")]
    if not files:
        raise ImportError("LightGBM's library was not found; install the package lightgbm.")
    library = ctypes.CDLL(str(files[0]))
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library
