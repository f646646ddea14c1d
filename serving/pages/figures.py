"""Numbers and times as people read them: at most three significant digits, a unit, and an exact time behind."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from serving.pages import said
from serving.pages.words import Say
from serving.telling.reasons import because_text

MINUTE, HOUR, DAY = 60, 3_600, 86_400


class Figures:
    """The reader's own: her language, her time zone, and the moment at which she reads."""

    def __init__(self, say: Say, zone: ZoneInfo, now: datetime) -> None:
        self.say = say
        self.zone = zone
        self.now = now

    def percent(self, probability: float | None) -> str:
        """A probability: `31 %`, below a tenth `4.2 %`."""
        if probability is None or math.isnan(probability):
            return "–"
        return f"{_short(100 * probability, whole_from=9.95)} %"

    def points(self, difference: float | None, *, signed: bool = True) -> str:
        """A difference of probabilities: `+9.1 pts`."""
        if difference is None or math.isnan(difference):
            return "–"
        return self.say("unit.points", n=self.bare_points(difference, signed=signed))

    def bare_points(self, difference: float, *, signed: bool = True) -> str:
        """The same without the unit, where a heading says it."""
        figure = _short(100 * difference, whole_from=9.95)
        return f"+{figure}" if signed and 100 * difference >= 0.05 else figure

    def interval(self, low: float | None, high: float | None) -> str:
        """An interval of differences, in points: `3.1 to 15`."""
        if low is None or high is None:
            return self.say("unit.no_interval")
        ends = {"low": self.bare_points(low, signed=False), "high": self.bare_points(high, signed=False)}
        return self.say("unit.interval", **ends)

    def percent_interval(self, low: float, high: float) -> str:
        """An interval of probabilities, its unit once: `24 to 31 %`."""
        ends = {name: _short(100 * end, whole_from=9.95) for name, end in (("low", low), ("high", high))}
        return f"{self.say('unit.interval', **ends)} %"

    def number(self, value: float | None) -> str:
        """A count or an amount with its thousands apart."""
        if value is None or math.isnan(value):
            return "–"
        return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:.3g}"

    def leads(self, expected: float, *, signed: bool = False) -> str:
        """Expected leads, of which there may be parts: `12.3`, `+0.4`, `142`."""
        figure = _short(expected, whole_from=99.95)
        return f"+{figure}" if signed and expected >= 0.05 else figure

    def ago(self, at: datetime | None) -> Markup:
        """How long ago, with the exact time behind; a time to come says in how long."""
        if at is None:
            return Markup("–")
        seconds = (self.now - at).total_seconds()
        told = self.lasting(abs(seconds))
        if abs(seconds) < 45:
            told = self.say("time.now")
        else:
            told = self.say("time.ago" if seconds > 0 else "time.in", span=told)
        return self._time(at, told)

    def clock(self, at: datetime | None) -> Markup:
        """The time of the day, with the day where it is another one."""
        if at is None:
            return Markup("–")
        local, today = at.astimezone(self.zone), self.now.astimezone(self.zone).date()
        told = local.strftime("%H:%M") if local.date() == today else local.strftime("%m-%d %H:%M")
        return self._time(at, told)

    def day(self, at: datetime | None) -> Markup:
        """The date."""
        return Markup("–") if at is None else self._time(at, at.astimezone(self.zone).strftime("%Y-%m-%d"))

    def when(self, stamp: str | None) -> str:
        """The date of an instant as the interface tells it."""
        return "–" if stamp is None else self.when_at(instant(stamp))

    def when_at(self, at: datetime) -> str:
        """The date, as text alone."""
        return at.astimezone(self.zone).strftime("%Y-%m-%d")

    def lasting(self, seconds: float) -> str:
        """A length of time: `12 min`, `1 h 48 min`, `3 days`."""
        if seconds < HOUR:
            return self.say("time.minutes", n=max(1, round(seconds / MINUTE)))
        if seconds < 10 * HOUR:
            minutes = round(seconds / MINUTE)
            hours, rest = divmod(minutes, 60)
            return self.say("time.hours_minutes", h=hours, m=rest) if rest else self.say("time.hours", n=hours)
        if seconds < 2 * DAY:
            return self.say("time.hours", n=round(seconds / HOUR))
        return self.say("time.days", n=round(seconds / DAY))

    def lost(self, reason: str) -> str:
        """Why a lead was lost: one of the reasons that the pages offer in the reader's language, others as stated."""
        return self.say.known(f"lost.{reason.strip().casefold().replace(' ', '_')}", reason)

    def because(self, why: str) -> str:
        """Why a figure is missing."""
        return because_text(why, self.say.language)

    def said(self, text: str) -> str:
        """A sentence of the interface or of the training: what is wrong, or why it decided so."""
        return said.told(text, self.say.language)

    def exact(self, at: datetime) -> str:
        """The whole time in the reader's zone."""
        return at.astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S %Z")

    def _time(self, at: datetime, told: str) -> Markup:
        stamp = at.astimezone(UTC).isoformat(timespec="seconds")
        return Markup('<time datetime="{}" title="{}">{}</time>').format(stamp, self.exact(at), told)

    def name(self, text: str | None, most: int = 60) -> Markup:
        """A name from outside, apart from the text around it: its direction cannot turn what follows."""
        whole = text or "–"
        short = whole if len(whole) <= most else whole[: most - 1] + "…"
        hint = Markup(' title="{}"').format(whole) if short != whole else Markup("")
        return Markup("<bdi{}>{}</bdi>").format(hint, escape(short))


def instant(stamp: str) -> datetime:
    """An instant as the interface tells it."""
    return datetime.fromisoformat(stamp)


def initials(name: str) -> str:
    """One or two letters for a rep's badge: `LN` for Li Na, `娜` for 李娜."""
    parts = name.split()
    if len(parts) > 1 and all(part[0].isascii() for part in parts):
        return (parts[0][0] + parts[-1][0]).upper()
    return name[-1:] if name and not name.isascii() else name[:2].upper()


def start_of_day(now: datetime, zone: ZoneInfo, *, days_before: int = 0) -> datetime:
    """Midnight of the reader's day, or of an earlier one, in UTC."""
    day = now.astimezone(zone).date() - timedelta(days=days_before)
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def joined(parts: Sequence[str], say: Say) -> str:
    """A list in a sentence."""
    return say("unit.comma").join(parts)


def _short(value: float, *, whole_from: float) -> str:
    figure = f"{value:.0f}" if abs(value) >= whole_from else f"{value:.1f}"
    return "0" if figure in ("-0.0", "0.0", "-0") else figure.replace("-", "−")
