"""The pages' words: the same keys and the same places for values in both languages, and none that is missing."""

import re
from pathlib import Path

import pytest

from data.store.fold import CLOSED, NOBODY, WAITS
from serving.pages import render, words
from serving.pages.app import RULES
from serving.pages.words import LANGUAGES, negotiated

TEMPLATES = Path(words.__file__).parent / "templates"
PLACES = re.compile(r"\{(\w+)\}")


def test_both_languages_have_the_same_keys():
    assert words.words("en").keys() == words.words("zh").keys()


def test_a_phrase_has_the_same_places_in_both_languages():
    for key, phrase in words.words("en").items():
        assert set(PLACES.findall(phrase)) == set(PLACES.findall(words.words("zh")[key])), key


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_phrase_that_a_template_names_is_there(language):
    texts = [file.read_text("utf-8") for file in TEMPLATES.glob("*.html")]
    named = {key for text in texts for key in re.findall(r'say\("([\w.]+[\w])"[,)]', text)}
    assert len(named) > 100
    assert named <= words.words(language).keys()


def test_no_phrase_is_left_in_the_other_language():
    chinese = re.compile("[一-鿿]")
    same = {key for key, phrase in words.words("en").items() if phrase == words.words("zh")[key]}
    assert all(not re.search("[a-z]{3}", PLACES.sub("", words.words("en")[key])) for key in same), same
    assert not any(chinese.search(phrase) for phrase in words.words("en").values())


@pytest.mark.parametrize(
    ("asked", "given"), [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("de,en;q=0.5", "en"), ("fr", "en"), ("", "en")]
)
def test_the_browsers_first_language_of_ours_is_taken(asked, given):
    assert negotiated(asked) == given


def test_every_standing_of_a_lead_has_its_word():
    known = words.words("zh").keys()
    assert {f"status.{each}" for each in ("open", "merged", *CLOSED, *NOBODY, *WAITS.values())} <= known
    assert {f"arm.{arm}" for arm in WAITS} | {f"arm_hint.{arm}" for arm in WAITS} <= known


def test_no_inline_script_or_style_is_in_a_template():
    for file in TEMPLATES.glob("*.html"):
        text = file.read_text("utf-8")
        inline = r"<script(?![^>]*\bsrc=)|\bstyle=|\son\w+=|javascript:|\|\s*safe\b(?! if)"
        assert not re.search(inline, text), file.name


def test_every_page_says_who_may_open_it():
    assert all(rule.roles or rule.without_key == "anyone" for rule in RULES.values())
    assert {path for (_, path), rule in RULES.items() if rule.without_key == "anyone"} == {
        "/sign-in", "/sign-in/{token}", "/preferences",
    }  # fmt: skip


def test_every_template_can_be_read_before_anybody_opens_a_page():
    render.prepare()
    read = {template.name for template in render.env.cache.values()}
    assert read >= {file.name for file in TEMPLATES.glob("*.html")}
