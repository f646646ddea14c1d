"""Batch matching: a block says what single decisions say, a stream keeps to its limits and can be taken up again."""

from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data.description import Description
from data.errors import InputError
from data.intake import lead_blocks
from data.intake.lead_blocks import LeadFile
from pipelines import match as job
from pipelines import match_block
from pipelines.match_block import Matching, Screened
from pipelines.match_parts import Parts
from serving.deciding.block_scores import BlockScorer
from serving.deciding.scorer import LeadScores, Scorer
from serving.policy import stream_draws, stream_prices
from serving.policy.arms import drawn
from serving.policy.exploration import EARN, smoothed, smoothed_to_earn
from serving.policy.prices import SERVED, assign_jointly
from serving.policy.rulebook import default_rule_book
from serving.policy.stream_draws import draw_in_order
from serving.policy.stream_prices import moved, serve_in_order, settled
from serving.telling.reasons import reason_text

AT = datetime(2026, 6, 1, 3, tzinfo=UTC)


class Here:
    """The work done at once, in this thread."""

    workers = 1

    def share(self, value):
        return value

    def submit(self, work, *arguments):
        made = Future()
        made.set_result(work(*(one.result() if isinstance(one, Future) else one for one in arguments)))
        return made


@pytest.fixture(scope="module")
def matching(small_world, small_fit):
    reps = [rep for rep in small_world[1].roster() if rep.employed(AT)]
    return Matching(BlockScorer(Scorer(small_fit[1], reps)), default_rule_book(), AT, explore=False)


@pytest.fixture(scope="module")
def leads(small_world):
    return small_world[0].fresh_leads(600, 3)


@pytest.fixture
def file(matching, leads, tmp_path):
    leads.to_parquet(tmp_path / "new.parquet")
    return LeadFile(tmp_path / "new.parquet", Description(), tmp_path, matching.asked)


def streamed(matching, file, out, *, free):
    parts = Parts(out, "a job", matching.at)
    return job.run(matching, file, free, parts, pool=Here(), step=lambda _: None), parts


# A block, as if its leads had come one by one ------------------------------------------------------------------


@pytest.mark.parametrize("speaks", [True, False])
def test_a_block_says_of_each_lead_what_a_single_decision_says(matching, leads, speaks):
    scorer = matching.scorer.scorer
    if not speaks:
        scorer = Scorer(replace(scorer.model, verdict="no_detectable_rep_effect"), scorer.reps)
        matching = replace(matching, scorer=BlockScorer(scorer))
    laid = match_block.lay_out(matching, leads.head(40))
    rng = np.random.default_rng(1)
    rep = np.array([rng.choice(np.flatnonzero(row)) if row.any() else -1 for row in laid.screened.eligible()])
    rep[7] = -1
    given = match_block.Given(rep, np.where(rep >= 0, 1.0, np.nan), np.zeros(len(rep), dtype=bool), None)
    rows = match_block.described(matching, laid, given).to_pylist()
    for row, lead in enumerate(leads.head(40).to_dict("records")):
        if rep[row] < 0:
            assert rows[row]["rep_id"] is None
            assert rows[row]["unassigned_reason"]
            continue
        eligible = laid.screened.eligible()[row]
        one = LeadScores(scorer, laid.scores.leads[row].tolist(), matching.at_days, lead, ())
        uplift = one.uplift(int(rep[row]), eligible)
        told = rows[row]
        assert told["baseline_probability"] == pytest.approx(one.baseline(eligible), abs=1e-12)
        assert told["uplift"] == pytest.approx(uplift.value, abs=1e-12)
        for ours, single in (("uplift_low", uplift.low), ("uplift_high", uplift.high)):
            assert told[ours] == pytest.approx(single, abs=1e-7)  # its variance is summed in single precision
        assert (told["lead_score"], told["grade"]) == (one.lead_score(eligible), one.grade(eligible))
        reasons = [c for c in one.reasons(int(rep[row]), eligible, k=3) if c.kind != "other"]
        texts = [reason_text(reason, scorer.reps[rep[row]], "en") for reason in reasons]
        assert [told[f"reason_{place}"] for place in (1, 2, 3)] == texts + [None] * (3 - len(texts))


def test_the_shares_of_a_block_add_up_to_its_uplifts(matching, leads):
    laid = match_block.lay_out(matching, leads)
    eligible = laid.screened.eligible()
    rep = np.where(eligible.any(axis=1), np.argmax(np.where(eligible, laid.scores.probability, -1), axis=1), -1)
    figures = matching.scorer.figures(laid.scores, laid.screened, rep, matching.at_days)
    np.testing.assert_allclose(figures.shares.sum(axis=1), figures.uplift, atol=1e-12)


def test_leads_of_a_kind_are_screened_as_each_alone(matching, leads):
    laid = match_block.lay_out(matching, leads.head(60))
    for row in range(60):
        alone = match_block.lay_out(matching, leads.iloc[row : row + 1])
        np.testing.assert_array_equal(alone.screened.eligible()[0], laid.screened.eligible()[row])


# The queue ------------------------------------------------------------------------------------------------------


def one_by_one(worth, left, least):
    left, given = left.copy(), []
    for row in range(len(worth)):
        open_ = np.where((left >= 1) & (worth[row] > least), worth[row], -np.inf)
        best = int(np.argmax(open_))
        given.append(best if np.isfinite(open_[best]) else -1)
        if given[-1] >= 0:
            left[best] -= 1
    return given


@pytest.mark.parametrize("at_once", [1, 100])
@given(st.data(), st.integers(1, 12), st.integers(1, 5))
def test_serving_at_once_ends_as_serving_one_by_one(at_once, data, n, m):
    worth = data.draw(arrays(float, (n, m), elements=st.floats(0, 1)))
    prices = data.draw(arrays(float, (3, m), elements=st.sampled_from([0.0, 0.1, 1.5, np.inf])))
    classes = data.draw(arrays(np.int64, n, elements=st.integers(0, 2)))
    left = data.draw(arrays(float, m, elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, np.inf])))
    always = data.draw(st.booleans())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_prices, "PAIRS_AT_ONCE", at_once)
        got, _ = serve_in_order(worth, prices, classes, left, always=always)
    assert got.tolist() == one_by_one(SERVED + worth - prices[classes], left, -np.inf if always else 0.0)


@pytest.mark.parametrize("at_once", [1, 3, 256])
@given(st.data(), st.integers(1, 30), st.integers(1, 6))
def test_drawing_at_once_ends_as_drawing_one_by_one(at_once, data, n, m):
    seed = data.draw(st.integers(0, 2**32))
    rng = np.random.default_rng(seed)
    probability, prices, points = rng.random((n, m)), rng.normal(0, 0.1, m), rng.random(n)
    classes, masks = rng.integers(0, 3, n), rng.random((3, m)) < 0.7
    left = data.draw(arrays(float, m, elements=st.sampled_from([0.0, 1.0, 2.0, 9.0, np.inf])))

    def chances(rows, free):
        return smoothed_to_earn(probability[np.ix_(rows, free)], prices[free])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_draws, "MOST_AT_ONCE", at_once)
        rep, chance, best = draw_in_order(classes, masks, left, points, chances)
    for row in range(n):
        available = masks[classes[row]] & (left >= 1)
        if not available.any():
            assert rep[row] == -1
            assert np.isnan(chance[row])
            assert np.isnan(best[row])
            continue
        alone = smoothed(probability[row], prices, available, EARN)
        assert rep[row] == drawn(alone, points[row])
        assert chance[row] == alone[rep[row]]
        assert best[row] == alone.max()
        left[rep[row]] -= 1


@pytest.mark.parametrize("speaks", [True, False])
def test_a_draw_that_is_not_the_best_is_told_as_exploration_as_over_http(matching, leads, speaks):
    verdict = "rep_matters" if speaks else "no_detectable_rep_effect"
    scorer = Scorer(replace(matching.scorer.scorer.model, verdict=verdict), matching.scorer.scorer.reps)
    drawing = replace(matching, scorer=BlockScorer(scorer), explore=True)
    laid = match_block.lay_out(drawing, leads)
    prices = np.zeros(len(scorer.reps))
    standing = match_block.Standing(np.full(len(prices), np.inf), prices, prices, prices, len(leads), 0.0)
    rows = match_block.described(drawing, laid, match_block.give(drawing, laid, standing)).to_pylist()
    arms = []
    for probability, eligible in zip(laid.scores.probability, laid.screened.eligible(), strict=True):
        chances = smoothed(probability, prices, eligible, EARN) if eligible.any() and speaks else None
        row = rows[len(arms)]
        best = chances is None or row["propensity"] > chances.max() - 1e-9
        arms.append(None if not eligible.any() else "model" if best else "explore")
    assert [row["arm"] for row in rows] == arms
    assert ("explore" in arms) is speaks
    assert arms.count("model") > 100


def test_prices_follow_what_is_asked_for_by_hand():
    # dearer; cheaper, but not below 0; as asked; aided below the floor; aid taken back
    prices = np.array([0.1, 0.001, 0.2, 0.0, -0.02])
    asked, least = np.array([20.0, 1, 10, 1, 9]), np.array([0.0, 0, 0, 4, 4])
    most = np.array([10.0, 10, 10, np.inf, 10])
    after = moved(prices, asked, least, most, 0.01)
    expected = [0.1 + 0.01 * np.log(21 / 11), 0.0, 0.2, 0.01 * np.log(2 / 5), -0.02 + 0.01 * np.log(10 / 5)]
    np.testing.assert_allclose(after, expected, atol=1e-12)


def test_prices_that_settle_bring_demand_near_to_the_slots(rng):
    p = 1 / (1 + np.exp(-rng.normal(-2, 0.5, (900, 1)) - rng.normal(0, 0.3, (1, 30)) - rng.normal(0, 0.3, (900, 30))))
    eligible, most = rng.random(p.shape) < 0.8, np.full(30, 900 / 30 / 0.9)
    prices = settled(p, eligible, most, np.zeros(30))

    def over(prices):
        best = np.argmax(np.where(eligible, p - prices, -np.inf), axis=1)
        return np.maximum(np.bincount(best, minlength=30) - most, 0).sum() / 900

    assert over(np.zeros(30)) > 0.3
    assert over(prices) < 0.05
    assert prices.min() == 0


# The stream -----------------------------------------------------------------------------------------------------


def in_small_blocks(monkeypatch, rows=50):
    monkeypatch.setattr(job, "MOST_JOINT", 0)
    monkeypatch.setattr(job, "block_rows", lambda reps: rows)


def test_a_stream_keeps_to_the_slots_and_comes_near_the_joint_optimum(matching, file, leads, tmp_path, monkeypatch):
    in_small_blocks(monkeypatch)
    reps = len(matching.scorer.scorer.reps)
    laid = match_block.lay_out(matching, leads)
    eligible = laid.screened.eligible()
    demand = (eligible / np.maximum(eligible.sum(axis=1, keepdims=True), 1)).sum(axis=0)
    free = np.ceil(1.1 * demand)
    counts, parts = streamed(matching, file, tmp_path / "out.parquet", free=free)
    parts.assemble(match_block.schema(matching))
    table = pd.read_parquet(tmp_path / "out.parquet")
    assert table["lead_id"].tolist() == leads["lead_id"].tolist()
    assert counts["leads"] == 600
    given_out = table["rep_id"].value_counts().reindex(matching.scorer.scorer.rep_ids, fill_value=0)
    assert (given_out.to_numpy() <= free).all()
    joint = assign_jointly(laid.scores.probability, eligible, free)
    assert counts["assigned"] >= (joint >= 0).sum() - reps
    optimum = laid.scores.probability[np.flatnonzero(joint >= 0), joint[joint >= 0]].sum()
    rotation = table["baseline_probability"].sum()
    assert table["probability"].sum() - rotation > 0.8 * (optimum - rotation)


def test_a_batch_matched_jointly_keeps_between_floors_and_ceilings(matching, leads):
    laid = match_block.lay_out(matching, leads)
    eligible = laid.screened.eligible()
    rotation = (eligible / eligible.sum(axis=1, keepdims=True)).sum(axis=0)
    unlimited = np.full(eligible.shape[1], np.inf)
    opening = match_block.opening(matching, laid, unlimited, len(leads))
    got = np.bincount(match_block.give_jointly(laid, opening).rep, minlength=len(rotation))
    assert got.sum() == len(leads)
    assert (got >= np.floor(0.5 * rotation)).all()
    assert (got <= np.ceil(1.3 * rotation)).all()
    best = np.argmax(np.where(eligible, laid.scores.probability, -1), axis=1)
    free = np.bincount(best, minlength=len(rotation))
    assert (free > np.ceil(1.3 * rotation)).any()  # without a ceiling somebody would get more
    assert (free < np.floor(0.5 * rotation)).any()
    tight = np.full(len(rotation), np.ceil(len(leads) / len(rotation)))  # a rep's ceiling leaves nobody without
    got = np.bincount(match_block.give_jointly(laid, match_block.opening(matching, laid, tight, len(leads))).rep)
    assert got.sum() == assign_served(eligible, tight)


def assign_served(eligible, slots):
    return int((assign_jointly(np.zeros(eligible.shape), eligible, slots) >= 0).sum())


def test_a_stream_that_is_too_long_for_the_slots_fills_them_all(matching, file, tmp_path, monkeypatch):
    in_small_blocks(monkeypatch)
    free = np.full(len(matching.scorer.scorer.reps), 12.0)
    counts, _ = streamed(matching, file, tmp_path / "out.parquet", free=free)
    assert 0.9 * free.sum() <= counts["assigned"] <= free.sum()
    assert counts["assigned"] + counts["unassigned"] == 600


class Killed(Exception):
    pass


def test_a_killed_stream_goes_on_where_it_ended_with_the_same_result(matching, file, tmp_path, monkeypatch):
    in_small_blocks(monkeypatch)
    free = np.full(len(matching.scorer.scorer.reps), 80.0)
    _, whole = streamed(matching, file, tmp_path / "whole.parquet", free=free)
    whole.assemble(match_block.schema(matching))
    laid_out, computed = match_block.described, []

    def dies(matching, laid, given):
        if len(computed) == 7:
            raise Killed
        computed.append(len(laid.leads))
        return laid_out(matching, laid, given)

    monkeypatch.setattr(match_block, "described", dies)
    with pytest.raises(Killed):
        streamed(matching, file, tmp_path / "out.parquet", free=free)
    finished = Parts(tmp_path / "out.parquet", "a job", datetime(2030, 1, 1, tzinfo=UTC))
    assert 0 < finished.finished < 12
    assert finished.at == AT  # the moment of the run that was begun
    monkeypatch.setattr(match_block, "described", laid_out)
    counts, parts = streamed(matching, file, tmp_path / "out.parquet", free=free)
    parts.assemble(match_block.schema(matching))
    assert counts["leads"] == 600
    assert pq.read_table(tmp_path / "out.parquet").equals(pq.read_table(tmp_path / "whole.parquet"))
    assert not parts.folder.exists()


def test_parts_of_another_job_are_thrown_away(matching, file, tmp_path, monkeypatch):
    in_small_blocks(monkeypatch)
    free = np.full(len(matching.scorer.scorer.reps), 80.0)
    streamed(matching, file, tmp_path / "out.parquet", free=free)
    assert Parts(tmp_path / "out.parquet", "a job", AT).finished == 12
    assert Parts(tmp_path / "out.parquet", "another", AT).finished == 0


def test_threads_give_what_one_thread_gives(matching, file, tmp_path, monkeypatch):
    in_small_blocks(monkeypatch)
    free = np.full(len(matching.scorer.scorer.reps), 80.0)
    _, alone = streamed(matching, file, tmp_path / "alone.parquet", free=free)
    parts = Parts(tmp_path / "threads.parquet", "a job", AT)
    with job.threads(3) as pool:
        job.run(matching, file, free, parts, pool=pool, step=lambda _: None)
    for made in (alone, parts):
        made.assemble(match_block.schema(matching))
    assert pq.read_table(tmp_path / "alone.parquet").equals(pq.read_table(tmp_path / "threads.parquet"))


# The file of leads ----------------------------------------------------------------------------------------------

CSV = "lead_id,created_at,note\n" + "".join(
    f'L-{n % 95},0{n % 9 + 1}/{n % 28 + 1:02d}/2024,"said ""{n}""\nand more"\n' for n in range(100)
)


def read(path, tmp_path, rows, asked=("note",), **stated):
    blocks = list(LeadFile(path, Description(**stated), tmp_path, asked).blocks(rows))
    refused = pd.concat([block.refused for block in blocks], ignore_index=True)
    return pd.concat([block.leads for block in blocks], ignore_index=True), refused


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "gb18030"])
def test_a_file_read_in_blocks_is_the_file_read_at_once(tmp_path, monkeypatch, suffix):
    import gzip

    monkeypatch.setattr(lead_blocks, "SPOOLED_ROWS", 13)
    monkeypatch.setattr(lead_blocks, "AHEAD", 5)
    text = CSV.replace("said", "上海的客户说") if suffix == "gb18030" else CSV
    text = text.replace("L-30,", "L-30,too,many,", 1)
    data = text.encode("gb18030" if suffix == "gb18030" else "utf-8")
    path = tmp_path / ("new.csv.gz" if suffix == "csv.gz" else "new.csv")
    path.write_bytes(gzip.compress(data) if suffix == "csv.gz" else data)
    (tmp_path / "a").mkdir()
    at_once, refused = read(path, tmp_path / "a", 1_000)
    in_blocks, refused_too = read(path, tmp_path / "a", 7)
    pd.testing.assert_frame_equal(at_once.drop(columns="at_days"), in_blocks.drop(columns="at_days"))
    assert len(at_once) == 94
    assert at_once["created_at"].dt.month.max() == 9  # the days above 12 settle the order of all dates
    assert refused["line"].tolist() == refused_too["line"].tolist()
    assert len(refused) == 7  # five repeated ids, and the two lines of the malformed record


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_only_what_is_asked_for_is_read_and_the_dates_beside_it(tmp_path, suffix):
    # Which column gives `region`, and that days come first, stands in columns that nobody asks for.
    table = pd.DataFrame(
        {
            "Lead-ID": ["L-1", "L-2"], "email": ["a@b.example", None], "Territory": [" North ", "N/A"],
            "region": ["x", "y"], "Region_": ["u", "v"], "note": ["1", "2"], "created_at": ["03/04/2024", "05/06/2024"],
            "closed": ["13/01/2024", None],
        }
    )  # fmt: skip
    path = tmp_path / f"new.{suffix}"
    table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
    stated = {"columns": {"region": ["Territory"]}, "types": {"closed": "date"}}
    everything, _ = read(path, tmp_path, 10, asked=table.columns, **stated)
    some, _ = read(path, tmp_path, 10, asked=["region"], **stated)
    assert some["created_at"].dt.month.tolist() == [4, 6]
    assert not {"email", "note"} & set(some)
    if suffix == "csv":
        assert not {"email", "note"} & set(pq.read_schema(tmp_path / "leads.parquet").names)  # nor is it copied
    pd.testing.assert_frame_equal(some[list(some)], everything[list(some)])
    assert some["region"].tolist()[0] == "North"


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 7), st.integers(1, 30))
def test_a_block_holds_its_rows_without_ids_that_stood_before(numbers, rows, at_once):
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lead_blocks, "READ_ROWS", at_once)
        path = Path(folder) / "new.parquet"
        pd.DataFrame({"lead_id": [f"L-{one}" for one in numbers]}).to_parquet(path)
        blocks = list(LeadFile(path, Description(), Path(folder), []).blocks(rows))
    first = {one: row for row, one in reversed(list(enumerate(numbers)))}
    for begin, block in zip(range(0, len(numbers), rows), blocks, strict=True):
        inside = range(begin, min(begin + rows, len(numbers)))
        kept = [row for row in inside if first[numbers[row]] == row]
        assert block.leads["lead_id"].tolist() == [f"L-{numbers[row]}" for row in kept]
        assert block.line.tolist() == [row + 1 for row in kept]
        assert block.refused["line"].tolist() == [row + 1 for row in inside if row not in kept]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"lead_id,note\n", "no rows"),
        (b"note,when\na,b\n", "no column lead_id"),
        (b"\x1f\x8bbroken", "gzip is damaged"),
        (b"PAR1broken", "not readable as Parquet"),
        (b"PK\x03\x04 \xff\xfe", "an Excel workbook"),
    ],
)
def test_a_file_of_no_use_is_told_in_one_line(tmp_path, content, says):
    (tmp_path / "new.csv").write_bytes(content)
    with pytest.raises(InputError, match=says):
        list(LeadFile(tmp_path / "new.csv", Description(), tmp_path, ["note"]).blocks(10))
    with pytest.raises(InputError, match="no such file"):
        LeadFile(tmp_path / "nowhere.csv", Description(), tmp_path, [])


def test_eligible_reps_by_class():
    screened = Screened(np.array([1, 0]), np.array([[True, False], [False, True]]))
    assert screened.eligible().tolist() == [[False, True], [True, False]]
