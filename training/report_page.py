"""A training run on one page of HTML that needs nothing else: the verdict, the figures, what they rest on."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from training import figures, report
from training.conversion import ConversionModel
from training.hidden_picking import HiddenPicking
from training.potential import IN_WORDS
from training.report import Measured
from training.report_template import STYLE, TEMPLATE

COLOURS = {
    "#4f46e5": "var(--accent)", "#6b7280": "var(--quiet)", "#d1d5db": "var(--line)", "#111827": "var(--ink)",
    "#000000": "var(--ink)", "#9ca3af": "var(--quiet)",
}  # fmt: skip
METRICS = {"log_loss": "log-loss", "auc": "AUC", "brier": "Brier score", "ece": "calibration error"}
VALUE_METRICS = {
    "factor": "half of the deals are missed by a factor of less than",
    "r2": "share of the logs' variance explained",
    "level": "expected over seen, on the whole",
}
DASH, LOG_ODDS = "–", "{:+.3f}"


@dataclass(frozen=True)
class Heading:
    """A heading in both languages."""

    en: str
    zh: str


@dataclass(frozen=True)
class Table:
    """A plain table; `words` where its cells are text."""

    head: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    words: bool = False


@dataclass(frozen=True)
class Card:
    """A figure: the question, the finding, the picture and its values."""

    heading: Heading
    finding: str
    picture: Markup
    table: Table | None = None


@dataclass(frozen=True)
class Section:
    """A part of the page; what is empty is not shown."""

    heading: Heading
    lines: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    table: Table | None = None
    cards: tuple[Card, ...] = ()


def page(
    model: ConversionModel,
    measured: Measured,
    *,
    grounds: Sequence[str],
    hidden: HiddenPicking | None,
    policies: Mapping[str, Any] | None = None,
) -> bytes:
    """The page, UTF-8.

    model : with its facts, as the training job writes them; grounds : why it became champion, or why not;
    policies : the object of `evaluate --json`, where policies were judged.
    """
    facts = model.facts
    sections = [
        _promotion(grounds),
        _quality(facts),
        Section(Heading("Can it be believed?", "校准与排序"), cards=_cards(measured, CALIBRATION)),
        Section(Heading("What tells reps apart?", "销售之间的差异"), cards=_cards(measured, REPS)),
        Section(Heading("What tells leads apart?", "线索之间的差异"), cards=_cards(measured, LEADS)),
        _picking(hidden),
        _policies(policies),
        _shares_of_reps(policies),
        _columns(facts),
    ]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = environment.from_string(TEMPLATE).render(
        title=Heading("Training report", "训练报告"),
        style=Markup(STYLE),  # noqa: S704 - our own text
        about=_about(model),
        verdict=Heading(*IN_WORDS[model.verdict]),
        verdict_lines=_verdict_lines(facts["potential"]),
        sections=[one for one in sections if one and (one.lines or one.said or one.table or one.cards)],
    )
    return text.encode()


def inline(svg: bytes, prefix: str) -> tuple[str, Markup]:
    """The finding in a narrow picture's title, and the picture made ready to stand in a page.

    Its colours follow the page's, its ids get a prefix of their own, and what only files need is left out.
    """
    text = svg.decode()
    finding = re.search(r"<title>(.*?)</title>", text, re.DOTALL)
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<title>.*?</title>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = re.sub(r"<style type=\"text/css\">.*?</style>", "", text, flags=re.DOTALL)
    for colour, variable in COLOURS.items():
        text = text.replace(f": {colour}", f": {variable}")
    said = Markup(finding[1]).unescape() if finding else ""  # noqa: S704 - unescaped, then escaped by the template
    label = Markup.escape(said)
    return said, Markup(text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))  # noqa: S704 - our own


SEEN = ("predicted", "converted", "low", "high", "leads")
CALIBRATION = (
    ("reliability", Heading("Do predicted chances come true?", "校准"), SEEN),
    ("gains", Heading("Are the best leads found first?", "提升曲线"), ("leads", "of all conversions", "low", "high")),
)
REPS = (
    ("rep_levels", Heading("Overall level of each rep", "总体水平"), ("rep", "log-odds", "low", "high")),
    ("overlap", Heading("How much each rep has worked", "重叠"), ("rep", "of all leads")),
)
LEADS = (
    ("importance", Heading("Weight of each column", "各字段的影响"), ("column", "log-odds", "standard error")),
    ("contributions", Heading("Contribution to each lead's score", "贡献值"), ()),
)


def _cards(measured: Measured, wanted: Iterable[tuple[str, Heading, tuple[str, ...]]]) -> tuple[Card, ...]:
    drawn = report.pictures(measured, narrow=True)
    made = []
    for name, heading, head in wanted:
        if name in drawn:
            finding, picture = inline(drawn[name], name)
            made.append(Card(heading, finding, picture, _values(name, measured, head)))
    return tuple(made)


def _values(name: str, measured: Measured, head: tuple[str, ...]) -> Table | None:
    if not head:
        return None
    form = {"importance": "{:.3f}", "rep_levels": LOG_ODDS}.get(name, "{:.1%}")
    return Table(head, [tuple(_cell(value, form) for value in vars(row).values()) for row in getattr(measured, name)])


def _cell(value: Any, form: str) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return form.format(value).replace("%", " %")


def _about(model: ConversionModel) -> str:
    facts = model.facts
    rows = facts["rows"]
    said = [
        f"leadmatch {facts['leadmatch']}, seed {facts['seed']}",
        f"{rows['used']:,} rows used, {rows['immature']:,} too young or open, {rows['rejected']:,} refused",
        f"{100 * facts['conversion_rate']:.1f} % converted"
        + (f" within {model.window_days:.0f} days" if model.window_days else ""),
        f"lead part: {facts['lead_model']}",
    ]
    if facts["dated"]:
        until = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=facts["trained_until_days"])
        said.append(f"newest row of {until:%Y-%m-%d}")
    return " · ".join(said)


def _verdict_lines(potential: Mapping[str, Any]) -> list[str]:
    gain = potential["gain"]
    lines = [potential["why"]]
    if gain["value"] is not None:
        low, high = (f"{100 * gain[end]:+.1f}" for end in ("low", "high"))
        lines.append(
            f"On later rows, matching at equal capacity gained {100 * gain['value']:+.1f} points over rotation "
            f"({low} to {high}, 90 %). Observational, not verified 观察性估计(未验证), until a trial has run."
        )
    return lines


def _promotion(grounds: Sequence[str]) -> Section:
    return Section(Heading("Champion or challenger?", "现用模型与候选模型"), said=tuple(grounds))


def _quality(facts: Mapping[str, Any]) -> Section:
    both = facts["metrics"], facts["lead_alone_metrics"]
    rows = [(METRICS[name], _estimate(both[0][name]), _estimate(both[1][name])) for name in METRICS]
    if worth := dict(facts["value_metrics"]):
        log_error = worth.pop("median_log_error")
        factor = math.exp(log_error["value"])
        worth["factor"] = {"value": factor, "standard_error": factor * log_error["standard_error"]}
        rows += [(f"value of a won lead: {said}", DASH, _estimate(worth[name])) for name, said in VALUE_METRICS.items()]
    return Section(
        Heading("How good is it?", "模型质量"),
        lines=("On the newest fifth of the rows, which the judged fit had not seen; each with its standard error.",),
        table=Table(("metric", "lead and rep", "lead alone"), rows),
    )


def _estimate(metric: Mapping[str, float]) -> str:
    return f"{metric['value']:.4f} ± {metric['standard_error']:.4f}"


def _picking(hidden: HiddenPicking | None) -> Section | None:
    if hidden is None:
        return None
    cards, control, strength = [], hidden.control, hidden.sensitivity
    if hidden.gaps and hidden.gaps.reps:
        finding, picture = inline(figures.draw_gaps(hidden.gaps.reps, narrow=True), "gaps")
        rows = [tuple(_cell(value, LOG_ODDS) for value in vars(gap).values()) for gap in hidden.gaps.reps]
        head = ("rep", "hand-picked leads", "log-odds", "low", "high")
        cards.append(Card(Heading("Hand-picked leads", "人工指派的差异"), finding, picture, Table(head, rows)))
    rows = []
    if control:
        each = zip(control.columns, control.p_of_each, strict=True)
        rows += [(f"negative control: {column}", f"p = {p:.3f}") for column, p in each]
    if strength:
        for name, one in (("the next best rep", strength.over_next), ("rotation", strength.over_rotation)):
            rows.append((f"picking that would undo the best rep's lead over {name}", f"odds of {one.gamma:.2f} to 1"))
            rows.append((f"the same as an E-value, over {name}", f"{one.e_value:.2f}"))
    return Section(
        Heading("Could hidden hand-picking explain it?", "是否存在隐性挑选"),
        said=hidden.said,
        table=Table(("check", "result"), rows) if rows else None,
        cards=tuple(cards),
    )


def _policies(policies: Mapping[str, Any] | None) -> Section | None:
    if not policies:
        return None
    gains = {one["name"]: one for one in policies["differences"] if one["over"] == policies["baseline"]}
    about = {one["name"]: one for one in policies["diagnostics"]}
    rows = [
        (one["name"], one["estimator"], *(_share(one[end]) for end in ("value", "low", "high")),
         *(_points(gains.get(one["name"], {}).get(end)) for end in ("value", "low", "high")),
         DASH if one["effective_sample_size"] is None else f"{one['effective_sample_size']:,.0f}",
         _share(one["supported_share"]), _share(about[one["name"]]["largest_weight_share"]))
        for one in policies["policies"] if one["headline"]
    ]  # fmt: skip
    head = ("policy", "estimator", "value", "low", "high", f"over {policies['baseline']}", "low", "high",
            "effective rows", "supported", "largest weight")  # fmt: skip
    warned = [f"{one['name']}: {one['warning']}" for one in policies["diagnostics"] if one["warning"]]
    return Section(
        Heading("What policies are worth", "回放试算"),
        lines=(f"In {policies['unit']}; {policies['label']}. Gains in points.",),
        said=(*(f"{one['name']}: no figure. {one['why']}" for one in policies["refused"]), *warned),
        table=Table(head, rows) if rows else None,
    )


def _shares_of_reps(policies: Mapping[str, Any] | None) -> Section | None:
    """What share of the leads each rep had and would have: of who had nothing, the log can tell nothing."""
    if not policies:
        return None
    shares = {one["name"]: one["reps"] for one in policies["diagnostics"] if one["name"] in ("model", "rotation")}
    if len(shares) < 2 or not shares["model"]:
        return None
    pairs = zip(shares["model"], shares["rotation"], strict=True)
    rows = [(one["rep_id"], *(_share(s) for s in (one["logged_share"], other["share"], one["share"])))
            for one, other in pairs]  # fmt: skip
    return Section(
        Heading("Overlap, rep by rep", "各销售的重叠程度"),
        lines=("Share of the judged leads that each rep got, would get in rotation, and would get from the model.",),
        table=Table(("rep", "as it was", "rotation", "model"), rows),
    )


def _points(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:+.2f}"


def _share(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.2f} %"


def _columns(facts: Mapping[str, Any]) -> Section:
    columns = facts["columns"]
    excluded = [(one["column"], one["why"]) for one in columns["excluded"]]
    return Section(
        Heading("Columns", "字段"),
        lines=(f"Used: {', '.join(columns['used']) or 'none'}.",),
        table=Table(("left out", "why"), excluded, words=True) if excluded else None,
    )
