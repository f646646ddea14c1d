"""The table of faults names every fault once, and only tests that exist."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
TABLE = (HERE.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = [line for line in TABLE.splitlines() if re.match(r"\| \d+ \|", line)]


def functions_of(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_fault_is_there_once():
    assert [int(row.split("|")[1]) for row in ROWS] == list(range(1, 95))


def test_every_row_names_a_test_or_says_why_not():
    for row in ROWS:
        _, _, _, happens, test, _ = row.split("|")
        assert re.search(r"`[\w/]+\.py", test) or " - " in f"{happens} ", row


def test_every_named_test_exists():
    named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", "\n".join(ROWS))
    assert len(named) > 90
    for file, name in named:
        assert (HERE / file).exists(), file
        assert not name or name in functions_of(HERE / file), f"{file}::{name}"
