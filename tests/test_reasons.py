"""Reasons as sentences: the value seen, the effect in points, careful words, in both languages."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.roster import Rep
from serving.telling import phrases, reasons
from training.explain import Contribution

LI_NA = Rep("R-7", name="Li Na", region="Jiangsu", regions=("Zhejiang",), languages=("zh", "en"), skills=("ERP",))
WANG = Rep("R-2", name="王伟")
KINDS = ("overall", "segment", "number", "match", "tenure", "lead", "other")
LANGUAGES = ("en", "zh")

contributions = st.builds(
    Contribution,
    feature=st.sampled_from(["industry", "company_size", "region", "other", "created_at", "tags=vip", "预算"]),
    value=st.one_of(
        st.none(), st.text(max_size=80), st.floats(), st.integers(), st.booleans(), st.lists(st.text(), max_size=3)
    ),
    contribution=st.floats(-1, 1),
    kind=st.sampled_from(KINDS),
)


def part(kind, feature, value, contribution):
    return Contribution(feature, value, contribution, kind)


@pytest.mark.parametrize(
    ("contribution", "english", "chinese"),
    [
        (
            part("segment", "industry", "manufacturing", 0.041),
            "Li Na looks good with industry manufacturing (+4.1 pts)",
            "Li Na较擅长行业为manufacturing的线索（+4.1 个百分点）",
        ),
        (
            part("segment", "industry", "制造业", -0.007),
            "Li Na looks less used to industry 制造业 (-0.7 pts)",
            "Li Na对行业为制造业的线索不太熟悉（-0.7 个百分点）",
        ),
        (
            part("number", "company_size", 250.0, 0.026),
            "Li Na looks good with company size 250 (+2.6 pts)",
            "Li Na较擅长公司规模为250的线索（+2.6 个百分点）",
        ),
        (
            part("number", "company_size", None, -0.01),
            "Li Na looks less used to no company size given (-1.0 pts)",
            "Li Na对未填写公司规模的线索不太熟悉（-1.0 个百分点）",
        ),
        (
            part("overall", "overall", None, 0.02),
            "Li Na looks stronger than most, whatever the lead (+2.0 pts)",
            "Li Na跟进各类线索的预期都高于多数同事（+2.0 个百分点）",
        ),
        (
            part("match", "province", "jiangsu", 0.02),
            "Li Na covers jiangsu (+2.0 pts)",
            "Li Na负责jiangsu（+2.0 个百分点）",
        ),
        (
            part("match", "language", "fr", -0.02),
            "Li Na does not list fr as a language (-2.0 pts)",
            "Li Na未登记语言fr（-2.0 个百分点）",
        ),
        (
            part("match", "segment", "gold", -0.02),
            "Li Na fits segment gold less well (-2.0 pts)",
            "Li Na与线索不太相合：segment为gold（-2.0 个百分点）",
        ),
        (
            part("tenure", "tenure", 12.0, -0.007),
            "Li Na is still new here, 12 days (-0.7 pts)",
            "Li Na入职不久，仅12 天（-0.7 个百分点）",
        ),
        (
            part("tenure", "tenure", 800.0, 0.004),
            "Li Na has been here 2 years (+0.4 pts)",
            "Li Na已入职2 年（+0.4 个百分点）",
        ),
        (
            part("tenure", "tenure", None, 0.004),
            "time here speaks for Li Na (+0.4 pts)",
            "在职时间对Li Na有利（+0.4 个百分点）",
        ),
        (
            part("other", "other", None, 0.00001),
            "everything else together (under 0.1 pts)",
            "其他因素合计（不到 0.1 个百分点）",
        ),
    ],
)
def test_a_reason_reads_aloud(contribution, english, chinese):
    assert reasons.reason_text(contribution, LI_NA, "en") == english
    assert reasons.reason_text(contribution, LI_NA, "zh") == chinese


def test_a_leads_own_reasons_say_which_way_they_count():
    assert reasons.lead_text(part("lead", "lead_source", "referral", 0.11), "en") == (
        "lead source referral: in the lead's favour (+11 pts)"
    )
    assert reasons.lead_text(part("lead", "free_email", True, -0.04), "zh") == (
        "免费邮箱为是：对线索不利（-4.0 个百分点）"
    )
    assert reasons.lead_text(part("lead", "other", None, 0.01), "en") == "everything else together (+1.0 pts)"


def test_over_text_says_in_what_each_is_ahead():
    contrast = [
        part("segment", "industry", "manufacturing", 0.041),
        part("number", "company_size", 250, -0.012),
        part("other", "other", None, 0.0001),
    ]
    assert reasons.over_text(LI_NA, WANG, contrast, "en") == (
        "Li Na rather than 王伟: likelier by 2.9 pts. For Li Na: industry manufacturing +4.1 pts."
        " For 王伟: company size 250 +1.2 pts."
    )
    assert reasons.over_text(LI_NA, WANG, contrast, "zh") == (
        "选择Li Na而不是王伟：预期转化概率高 2.9 个百分点。Li Na占优：行业为manufacturing +4.1 个百分点。"
        "王伟占优：公司规模为250 +1.2 个百分点。"
    )


def test_over_text_says_when_a_price_decided_against_the_likelier_rep():
    contrast = [part("overall", "overall", None, -0.02)]
    assert reasons.over_text(LI_NA, WANG, contrast, "en", price_decided=True) == (
        "Li Na rather than 王伟, although 王伟 looks likelier by 2.0 pts. For 王伟: leads of any kind +2.0 pts."
        " The next free slot of 王伟 is worth more to other leads."
    )
    assert "价值更高" in reasons.over_text(LI_NA, WANG, contrast, "zh", price_decided=True)


def test_two_reps_alike_are_said_to_be_alike():
    assert reasons.over_text(LI_NA, WANG, [part("other", "other", None, 0.0)], "en") == (
        "Li Na rather than 王伟: about as likely."
    )


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.0411, "+4.1 pts"), (-0.1234, "-12 pts"), (0.09949, "+9.9 pts"), (0.0996, "+10 pts"), (0.0004, "under 0.1 pts")],
)
def test_points_have_no_more_digits_than_can_be_meant(probability, text):
    assert reasons.points_text(probability, "en") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2019, "2019"),
        (12345, "12,300"),
        (0.123456, "0.123"),
        (123.456, "123"),
        (1e12, "1,000,000,000,000"),
        (["vip", "trial"], "vip, trial"),
        (datetime(2026, 3, 1, 9, 30, tzinfo=UTC), "2026-03-01 09:30"),
        ("江苏", "江苏"),
        ("a\u202eb\ncd", "a b cd"),
        ("x" * 60, "x" * 39 + "…"),
    ],
)
def test_values_are_short_and_harmless(value, text):
    assert reasons.value_text(value, "en") == text


@given(contributions, st.sampled_from(LANGUAGES), st.text(max_size=60))
def test_every_contribution_has_a_sentence(contribution, language, name):
    text = reasons.reason_text(contribution, Rep("R-7", name=name), language)
    sign = "-" if contribution.contribution < 0 else r"\+"
    assert re.search(rf"{sign}\d+(\.\d)? |under 0.1|不到 0.1", text)
    assert text.isprintable()
    assert reasons.lead_text(contribution, language).isprintable()
    assert reasons.over_text(LI_NA, WANG, [contribution], language, price_decided=True).isprintable()


@given(st.text(alphabet="{}%rep0:!", max_size=12))
def test_braces_in_what_people_type_stay_as_they_are(typed):
    text = reasons.reason_text(part("segment", "industry", "x" + typed, 0.1), Rep("R-1", name=typed or None), "en")
    assert "x" + typed in text


def test_no_wording_speaks_of_causes():
    words = repr([phrases.REASON, phrases.FIT, phrases.OVER]).lower()
    assert not re.search(r"caus|because|due to|leads? to |makes? |因为|导致|使得|由于", words)


def test_both_languages_have_every_sentence():
    for table in (phrases.REASON, phrases.FIT, phrases.OVER, phrases.TOPIC, phrases.AGE):
        assert table["en"].keys() == table["zh"].keys()
        for key, sentence in table["en"].items():
            fields = set(re.findall(r"\{\w*\}", sentence))
            assert fields == set(re.findall(r"\{\w*\}", table["zh"][key])), key


def test_reasons_for_nobody_are_translated_and_unknown_ones_kept():
    assert reasons.exclusion_text("at capacity", "zh") == "名额已满"
    assert reasons.exclusion_text("at capacity", "en") == "at capacity"
    assert reasons.exclusion_text("our own rule", "zh") == "our own rule"
    assert reasons.unassigned_text("nobody is free", "zh") == "符合规则的销售名额都已满"


def test_every_exclusion_of_the_rule_book_is_translated():
    from serving.policy import eligibility as e

    for reason in (e.INACTIVE, e.LEFT, e.NOT_YET, e.ABSENT, e.ELSEWHERE, e.OFF_HOURS, e.FULL):
        assert reasons.exclusion_text(reason, "zh") != reason
