"""What is said in English is said in Chinese on a Chinese page: every sentence that can come to one is known."""

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from features import infer, leak_names, leakage
from serving.pages import said
from serving.policy.rulebook import parse_rule_book
from training import promotion

ROOT = Path(__file__).parent.parent
CHINESE = re.compile("[一-鿿]")
RAISED = {"Problem", "InputError", "ConflictError", "retry_later", "FieldError"}
# Where pages get their answers from; and where rules are checked, whose problems are yielded.
FILES = [
    *(ROOT / "serving" / "pages").glob("*.py"),
    *(
        ROOT / f"{name}.py"
        for name in (
            "serving/routes/decisions", "serving/routes/model", "serving/routes/pool", "serving/routes/reports",
            "serving/routes/roster", "serving/routes/rules", "serving/web/auth", "serving/web/quotas",
            "serving/web/problems", "serving/deciding/decide", "serving/deciding/pool", "serving/deciding/turns",
            "serving/models/model_desk", "data/store/overrides", "data/store/sessions", "data/store/promotions",
        )
    ),
]  # fmt: skip
CHECKS = [ROOT / "serving" / "policy" / f"{name}.py" for name in
          ("rulebook", "written", "checking", "contradictions", "conditions", "hours")]  # fmt: skip
NOT_OF_PAGES = (
    "An Idempotency-Key stands for one request.", "must be the same request as before", "The Idempotency-Key cannot",
    "must have 1 to 255 visible", "was used with another body",
)  # fmt: skip
PUT_TOGETHER = (  # from sentences of their own
    "X", "there is no tier 'X': X", "X; there is no 'X'", "no X has a column X; X, name it under columns.Xs",
)  # fmt: skip


def sentences(files, *, checks=False):
    """Every sentence that these files raise, or yield as a problem, with X for each value."""
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            given = []
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                given = node.args if name in RAISED or (checks and name == "ValueError") else []
            elif checks and isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple):
                given = node.value.elts[1:]
            for text in map(written, given):
                if text and " " in text and not text.startswith(NOT_OF_PAGES) and text not in PUT_TOGETHER:
                    yield file.name, text


def written(node):
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_part, node.values))
    return None


def _part(node):
    if isinstance(node, ast.FormattedValue):
        return "'X'" if node.conversion == ord("r") else "X"
    return node.value


def test_every_sentence_that_can_come_to_a_page_is_known():
    found = [*sentences(FILES), *sentences(CHECKS, checks=True)]
    assert len(found) > 90
    assert [each for each in found if said.code_of(each[1]) is None] == []


KNOWN = yaml.safe_load(said.FILE.read_text("utf-8"))
SENTENCES = [(f"{part}.{name}", both["en"], both["zh"]) for part, all_ in KNOWN.items() for name, both in all_.items()]
NAMES = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")


def test_a_sentence_has_the_same_places_in_both_languages():
    for code, english, chinese in SENTENCES:
        assert set(NAMES.findall(chinese)) <= set(NAMES.findall(english)), code
        assert CHINESE.search(chinese) or code == "role.crm"
        assert not CHINESE.search(english), code


@given(st.data())
def test_a_sentence_is_known_again_with_what_stood_in_it(data):
    code, english, _ = data.draw(st.sampled_from(SENTENCES))
    word = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=12)
    values = {name: data.draw(word) for name in NAMES.findall(english)}
    text = english.format(**values)
    found = said.code_of(text)
    assert found == said.Said(code, values)
    assert said.told(text, "en") == text


def test_what_nobody_knows_stays_as_it_was_said():
    assert said.told("The moon is full.", "zh") == "The moon is full."


def test_a_sentence_in_a_sentence_is_told_too():
    assert said.told("R-1 cannot claim this lead: at capacity.", "zh") == "R-1 不能领取这条线索：名额已满。"
    why = "R-1 cannot claim this lead: 5 claimed leads are open, at most 5 may be."
    assert said.told(why, "zh") == "R-1 不能领取这条线索：已有 5 条领取的线索未结，上限为 5 条。"


def test_who_may_is_told():
    refused = "A key of the role crm may not do this; one of manager, admin may."
    assert said.told(refused, "zh") == "CRM的密钥无权这样做，需要主管、管理员的密钥。"


def test_what_is_wrong_with_a_rule_book_is_told_line_by_line():
    text = "holdout:\n  live: 2\nmethot: model\nweights: {R-1: 2}\n" + "routes: [{name: a, method: nothing}]\n"
    with pytest.raises(InputError) as refused:
        parse_rule_book(text)
    told = said.told(str(refused.value), "zh")
    assert "第 2 行 holdout.live：应不大于" in told
    assert "第 3 行 methot：没有这个字段，是否想写 method？" in told
    assert not re.search(r"\b(should|line|there is|cannot)\b", told)


def test_the_grounds_of_a_promotion_are_told(rng):
    converted = (rng.random(4_000) < 0.2).astype(float)
    rep = rng.integers(0, 5, 4_000)
    good, bad = np.where(converted > 0, 1.0, -2.0), np.where(converted > 0, -2.0, 1.0)
    none = promotion.Columns()
    decided = [
        promotion.first_champion(converted, good, 0.2),
        promotion.first_champion(converted, bad, 0.2),
        promotion.judge(converted[:5], rep[:5], good[:5], bad[:5], columns=none),
        promotion.judge(converted, rep, good, bad, columns=promotion.Columns(("age",), ("size",))),
        promotion.judge(converted, rep, bad, good, columns=none),
        promotion.judge(converted, rep, good, good, columns=none),
    ]
    grounds = {each for one in decided for each in one.grounds}
    assert len(grounds) > 8
    assert [each for each in grounds if not CHINESE.search(said.told(each, "zh"))] == []
    for each in ("promoted by hand", "promoted by hand: better", "rolled back"):
        assert CHINESE.search(said.told(each, "zh"))


def test_why_a_column_was_left_out_is_told(rng):
    n = 4_000
    converted = (rng.random(n) < 0.2).astype(float)
    converted[-400:] = np.nan
    won, known = np.nan_to_num(converted) > 0, ~np.isnan(converted)
    attributes = pd.DataFrame({
        "said": rng.random(n), "email": "a@example.com", "Lead Status": "x", "deal_amount": np.where(won, 5.0, np.nan),
        "note": np.where(known, 1.0, np.nan), "oracle": won * 2.0 + rng.random(n),
        "reason": np.where(~won & known, "z", None),
    })  # fmt: skip
    found = [each.why for each in leakage.find_leaks(attributes, converted, declared=["said"])]
    found += [f"by its name it tells {meaning}; not known when a lead arrives" for meaning, _ in leak_names._PATTERNS]
    useless = pd.DataFrame({
        "empty": [None] * 500, "same": ["a"] * 500, "row": np.arange(500), "text": [f"word {n}" for n in range(500)],
    })  # fmt: skip
    found += [each.why for each in infer.infer_contract(useless)[1]]
    assert len(set(found)) > 12
    for why in found:
        told = said.told(why, "zh")
        assert CHINESE.search(told), why
        assert not re.search(r"\b(the|of|it|rows)\b", told), why
