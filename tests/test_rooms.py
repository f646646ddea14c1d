"""The map of the house: a room uses itself and the rooms on its left, nothing else; one door per library."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ["data", "features", "training", "serving", "pipelines"]
MAY_IMPORT = {room: set(ROOMS[: place + 1]) for place, room in enumerate(ROOMS)}
DOORS = {
    "mlflow": {"training/registry.py", "training/notebook.py"},
    "shap": {"training/explain.py"},
    "bentoml": {"serving/service.py"},
    "sqlalchemy": {"data/store"},
    "alembic": {"data/store"},
}


def imported_by(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_look_only_left(room):
    for file in (ROOT / room).rglob("*.py"):
        assert imported_by(file) & set(ROOMS) <= MAY_IMPORT[room], file


@pytest.mark.parametrize("library", DOORS)
def test_each_outside_library_has_one_door(library):
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            path = file.relative_to(ROOT).as_posix()
            if not any(path.startswith(door) for door in DOORS[library]):
                assert library not in imported_by(file), path
