"""The rule book's page: complete, every example usable, every test that it names there."""

import ast
import re
from pathlib import Path

import pytest

from serving.policy.rulebook import parse_rule_book
from serving.policy.sections import MethodName, RuleBook

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "rule-book.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)))


def headings():
    titles = re.findall(r"^#+ (.*)$", PAGE, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_is_a_rule_book(number):
    assert parse_rule_book(EXAMPLES[number]).model_fields_set


def test_every_method_has_its_row_its_example_and_its_test():
    rows = dict(re.findall(r"^\| `(\w+)` \| .*? \| \[.*?\]\(#(\w+)\) \| `test_", PAGE, flags=re.MULTILINE))
    assert rows.keys() == set(MethodName.__args__)
    for method, anchor in rows.items():
        section = PAGE.split(f"### {anchor}\n")[1].split("###")[0]
        assert anchor == method
        assert f"method: {method}" in section


def test_every_section_of_the_rule_book_is_shown_in_an_example():
    shown = {name for example in EXAMPLES for name in parse_rule_book(example).model_fields_set}
    assert set(RuleBook.model_fields) - shown == {"seed"}


def test_every_test_that_the_page_names_is_there():
    assert len(NAMED) > 20
    for file, name in NAMED:
        tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


def test_every_link_leads_somewhere():
    assert set(re.findall(r"\]\(#([\w-]+)\)", PAGE)) <= headings()
