"""Columns that know the future are named with their reason; honest ones are left alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from data.simulator import simulate
from features.leak_names import told_by_name
from features.leakage import _area_under_curve, _rates_elsewhere, find_leaks

PUBLIC_DATA = Path(__file__).parents[2] / "shared" / "data"  # never part of this repository


def public(file):
    if not (PUBLIC_DATA / file).is_file():
        pytest.skip("the folder of public data sets is not there")
    return pd.read_csv(PUBLIC_DATA / file, dtype="str")


def named(attributes, converted, **options):
    return {leak.column: leak.why for leak in find_leaks(attributes, np.asarray(converted, dtype=float), **options)}


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.fixture
def outcome(rng):
    """2,000 leads of which some 20 % convert, 200 more whose outcome is not known yet."""
    converted = (rng.random(2_200) < 0.2).astype(float)
    converted[2_000:] = np.nan
    return converted


# --- names ---


@pytest.mark.parametrize(
    "name",
    [
        # X Education and bank marketing
        "Last Activity", "Last Notable Activity", "Lead Quality", "Lead Profile", "Asymmetrique Activity Index",
        "Asymmetrique Profile Score", "duration",
        # Salesforce
        "IsConverted", "ConvertedDate", "ConvertedOpportunityId", "LastActivityDate", "Last Modified Date",
        "Status", "Lead Status", "StageName", "SystemModstamp", "IsWon", "CloseDate", "ForecastCategory",
        "Converted",
        # HubSpot
        "hs_lead_status", "lifecyclestage", "Lifecycle Stage", "hs_lifecyclestage_customer_date",
        "notes_last_contacted", "num_notes", "num_contacted_notes", "hs_is_closed_won", "lastmodifieddate",
        "hubspotscore", "dealstage",
        # Zoho
        "Lead_Status", "Last_Activity_Time", "Modified Time", "Converted__s", "Is Converted",
        "Converted_Date_Time", "Lead_Conversion_Time", "Converted Account.id",
        # Pipedrive
        "Deal - Won time", "Deal - Lost reason", "Deal - Stage", "Deal - Status", "next_activity_id",
        "update_time", "activities_count", "probability", "Deal - Deal closed on", "stage_change_time", "was_seen",
        # Odoo, Dynamics, Frappe, EspoCRM, SuiteCRM
        "date_closed", "date_open", "lost_reason_id", "won_status", "automated_probability", "stage_id",
        "write_date", "statecode", "statuscode", "modifiedon", "salesstage", "first_response_time", "sla_status",
        "status_change_log", "convertedAt", "modifiedAt", "createdOpportunityId", "opportunity_status",
        "date_modified",
        # anywhere
        "first_contact_at", "call_duration", "number_of_calls", "days_to_close", "call outcome", "days_in_stage",
        "跟进状态", "最近跟进时间", "下次跟进时间", "最后联系时间", "成交时间", "成交金额", "赢单率", "输单原因",
        "线索状态", "商机阶段", "客户意向", "意向度", "通话时长", "更新时间", "是否转化", "转化时间", "无效原因",
        "状态",
    ],
)  # fmt: skip
def test_names_that_tell_of_the_sales_work_are_known(name):
    assert told_by_name(name) is not None


@pytest.mark.parametrize(
    "name",
    [
        # X Education
        "Lead Origin", "Lead Source", "Do Not Email", "TotalVisits", "Total Time Spent on Website",
        "Page Views Per Visit", "Country", "Specialization", "What is your current occupation", "City", "Search",
        "Through Recommendations", "Receive More Updates About Our Courses", "Update me on Supply Chain Content",
        "Get updates on DM Content", "I agree to pay the amount through cheque",
        "A free copy of Mastering The Interview", "Tags",
        # bank marketing, bids, mail test
        "age", "job", "marital", "education", "default", "balance", "housing", "loan", "contact", "day", "month",
        "campaign", "pdays", "previous", "poutcome", "Client Category", "Solution Type", "Sector", "Location",
        "Deal Cost", "recency", "history_segment", "newbie", "channel",
        # a floor's own
        "region", "industry", "employees", "source", "language", "pages_viewed", "minutes_on_site",
        "emails_opened", "seniority", "budget_cny", "mailbox", "lead_id", "campaign_name", "product_interest",
        "urgency",
        # near misses
        "marital_status", "employment_status", "company_stage", "latest_funding_stage", "last_year_sales",
        "StateCode", "State", "credit_score", "contract_duration_months", "preferred_contact_time",
        "number_of_employees", "won_awards", "conversion_rate", "prior_loss_amount", "Annual Revenue", "Rating",
        "Created Date", "wants_update", "closest_store", "meeting_rooms", "call_to_action", "lead_interest",
        "first_name_known", "notebook", "婚姻状态", "意向产品", "意向城市", "付款方式", "来源", "行业", "创建时间",
        "公司规模",
    ],
)  # fmt: skip
def test_honest_names_are_left_alone(name):
    assert told_by_name(name) is None


# --- the other rules ---


def test_declared_columns_are_excluded_however_they_are_spelled(outcome):
    leaks = named(pd.DataFrame({"Call Result X": ["a"] * 2_200}), outcome, declared=["call_result_x"])
    assert "post_assignment" in leaks["Call Result X"]


def test_personal_data_is_never_a_feature(outcome):
    attributes = pd.DataFrame({"E-Mail": "a@b.example", "reach": "a@b.example", "Mobile": "1"}, index=range(2_200))
    assert named(attributes, outcome) == dict.fromkeys(attributes.columns, "personal data")


def test_a_column_filled_only_in_closed_rows_is_named(outcome):
    known = ~np.isnan(outcome)
    leaks = named(pd.DataFrame({"survey": np.where(known, "done", None), "form": ["x"] * 2_200}), outcome)
    assert list(leaks) == ["survey"]
    assert "filled in 100% of the rows with a known outcome but in 0% of the open ones" in leaks["survey"]


def test_a_column_that_is_new_on_the_form_is_honest(outcome, rng):
    newer = np.arange(2_200) > 1_500
    assert named(pd.DataFrame({"asked": np.where(newer, rng.choice(["a", "b"], 2_200), None)}), outcome) == {}


@pytest.mark.parametrize("ending", [1.0, 0.0])
def test_a_column_filled_for_one_outcome_is_named(ending):
    converted = np.tile([1.0, 0.0, 0.0], 300)
    value = np.where((converted == ending) & (np.arange(900) % 4 > 0), "because", None)
    why = named(pd.DataFrame({"note_to_file": value}), converted)["note_to_file"]
    assert ("converted (of all rows 33%)" if ending else "did not convert (of all rows 67%)") in why
    assert "100.0%" in why


def test_blank_text_counts_as_missing():
    converted = np.tile([1.0, 0.0], 300)
    why = named(pd.DataFrame({"x": np.where(converted == 1, "Y", "  ")}), converted)["x"]
    assert "300 rows that have a value" in why


def test_missing_that_only_hints_at_the_outcome_is_honest(rng):
    converted = (rng.random(5_000) < 0.3).astype(float)
    filled = rng.random(5_000) < np.where(converted == 1, 0.9, 0.4)
    assert named(pd.DataFrame({"occupation": np.where(filled, "yes", None)}), converted) == {}


@pytest.mark.parametrize(("n", "rate", "share"), [(20_000, 0.005, 0.5), (1_000, 0.02, 0.1)])
def test_where_conversions_are_rare_a_half_empty_column_is_honest(rng, n, rate, share):
    # Nearly all rows that have a value did not convert; nor did the rows that have none.
    converted = (rng.random(n) < rate).astype(float)
    filled = (rng.random(n) < share) & ((converted == 0) | (n > 1_000))
    assert named(pd.DataFrame({"budget": np.where(filled, "yes", None)}), converted) == {}


@pytest.mark.parametrize("as_text", [True, False])
def test_a_number_that_tells_all_is_too_good_even_when_it_does_not_rise_with_conversion(rng, as_text):
    converted = (rng.random(3_000) < 0.3).astype(float)
    amount = rng.normal(size=3_000) * 0.1 + np.where(converted == 1, 0.0, np.where(rng.random(3_000) < 0.5, -3, 3))
    column = pd.Series(amount).map("{:.4f}".format) if as_text else pd.Series(amount)
    assert "too good" in named(pd.DataFrame({"amount": column}), converted)["amount"]


def test_a_category_that_tells_all_is_too_good(rng):
    converted = (rng.random(3_000) < 0.1).astype(float)
    value = np.where(converted == 1, rng.choice(["gold", "silver"], 3_000), rng.choice(["none", "declined"], 3_000))
    assert "area under the curve 1.000" in named(pd.DataFrame({"plan": value}), converted)["plan"]


def test_a_level_that_only_customers_have_is_too_good(rng):
    converted = (rng.random(4_000) < 0.1).astype(float)
    value = np.where((converted == 1) & (rng.random(4_000) < 0.5), "welcome pack sent", rng.choice(["a", "b"], 4_000))
    assert "at least 99% of the leads convert" in named(pd.DataFrame({"mailing": value}), converted)["mailing"]


def test_a_strong_honest_column_stays(rng):
    logit = rng.normal(size=10_000) * 2.5
    converted = (rng.random(10_000) < 1 / (1 + np.exp(1 - logit))).astype(float)
    assert roc_auc_score(converted, logit) > 0.87
    assert named(pd.DataFrame({"intent": logit, "band": np.round(logit).astype(int).astype(str)}), converted) == {}


def test_identifiers_and_free_text_are_not_mistaken_for_leaks(rng):
    converted = (rng.random(2_000) < 0.3).astype(float)
    texts = [f"{number:08x}" for number in rng.integers(2**32, size=2_000)]
    assert named(pd.DataFrame({"token": texts, "serial": np.arange(2_000)}), converted) == {}


def test_nothing_is_judged_from_a_handful_of_rows():
    converted = np.tile([1.0, 0.0], 50)
    assert named(pd.DataFrame({"x": converted.astype(str)}), converted) == {}


def test_dates_dates_with_zone_and_flags_are_read(outcome):
    known = ~np.isnan(outcome)
    moments = pd.Series(pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(2_200), unit="h"))
    late = moments + pd.to_timedelta(np.where(outcome == 1, 4_000, 0), unit="D")
    attributes = pd.DataFrame(
        {
            "arrival": moments,
            "arrival_text": moments.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "renewal": late,
            "renewal_text": late.dt.strftime("%Y-%m-%d"),
            "renewed": pd.array(np.where(known, outcome == 1, False), dtype=bool),
        }
    )
    assert list(named(attributes, outcome)) == ["renewal", "renewal_text", "renewed"]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40))
def test_area_under_the_curve_equals_scikit_learn_s(seed, levels):
    rng = np.random.default_rng(seed)
    score, converted = rng.integers(levels, size=60) / levels, rng.permutation(np.repeat([0.0, 1.0], [40, 20]))
    assert _area_under_curve(score, converted) == pytest.approx(roc_auc_score(converted, score))


def test_rates_come_from_the_other_rows_by_hand():
    # Rows 0 and 5 are one fifth: level 1 elsewhere is row 6 alone, which converted; the mean is 3/7.
    levels = np.array([1, 0, 0, 0, 0, 1, 1])
    converted = np.array([0.0, 1, 0, 0, 0, 1, 1])
    rates = _rates_elsewhere(levels, converted)
    assert rates[0] == rates[5] == pytest.approx((1 + 3 / 7) / (1 + 1))
    assert rates[2] == pytest.approx((1 + 0 + 0 + 3 / 7) / (3 + 1))


# --- worlds and public data ---


def test_every_attribute_of_the_simulated_floor_is_honest_but_the_personal():
    floor = simulate(leads=5_000, reps=10)
    converted = floor.assignments["outcome"].map({"won": 1.0, "lost": 0.0, "open": np.nan}).to_numpy()
    leaks = named(floor.leads.drop(columns=["lead_id", "created_at"]), converted)
    assert leaks == dict.fromkeys(["name", "company", "phone", "email"], "personal data")


def test_assignment_columns_that_slipped_into_the_leads_are_caught_by_their_values_alone():
    floor = simulate(leads=5_000, reps=10)
    table = floor.assignments
    converted = table["outcome"].map({"won": 1.0, "lost": 0.0, "open": np.nan}).to_numpy()
    slipped = table[["closed_at", "value", "lost_reason", "outcome"]].set_axis(list("abcd"), axis=1)
    assert list(named(slipped, converted)) == list("abcd")


def test_tags_that_follow_the_sales_talk_are_caught_where_they_are_filled(rng):
    # Rates and frequencies as of a public lead-scoring file: filled for two thirds, nearly pure there.
    rate = {"will revert": 0.97, "ringing": 0.03, "other": 0.03, "student already": 0.01, "busy": 0.57, None: 0.25}
    tag = rng.choice(np.array(list(rate), dtype=object), 9_000, p=[0.27, 0.16, 0.1, 0.1, 0.02, 0.35])
    converted = (rng.random(9_000) < [rate[value] for value in tag]).astype(float)
    why = named(pd.DataFrame({"Tags": tag}), converted)["Tags"]
    assert why.startswith("where it is filled, alone it is wrong about")


def test_x_education_loses_its_leaks_and_keeps_its_good_columns():
    leads = public("xeducation-leads/Leads.csv")
    leaks = named(leads.drop(columns="Converted"), leads["Converted"].astype(float))
    assert set(leaks) == {
        "Tags", "Lead Quality", "Lead Profile", "Last Activity", "Last Notable Activity", "Asymmetrique Activity Index",
        "Asymmetrique Profile Index", "Asymmetrique Activity Score", "Asymmetrique Profile Score",
    }  # fmt: skip


def test_bank_marketing_loses_the_call_s_duration_alone():
    calls = public("bank-marketing/bank-full.csv.gz")
    assert list(named(calls.drop(columns="y"), calls["y"] == "yes")) == ["duration"]


def test_win_prediction_keeps_all_its_columns():
    bids = public("win-prediction/deals_2011-2016.csv")
    assert named(bids.drop(columns="Deal Status Code"), bids["Deal Status Code"] == "Won") == {}


def test_columns_that_olist_knows_of_won_deals_only_are_named():
    leads = public("olist-funnel/olist_marketing_qualified_leads_dataset.csv")
    deals = public("olist-funnel/olist_closed_deals_dataset.csv")
    joined = leads.merge(deals, how="left", on="mql_id")
    leaks = named(joined.drop(columns="first_contact_date"), joined["won_date"].notna())
    assert set(leaks) == set(deals.columns) - {"mql_id"}
