"""Working hours such as "mon-fri 09:00-18:00; sat 10:00-14:00", and whether a moment lies within them."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
PART = re.compile(
    r"(?:(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?\s+)?"
    r"(?P<from>\d{1,2}:\d{2})-(?P<to>\d{1,2}:\d{2})",
)


@dataclass(frozen=True)
class Stretch:
    """A stretch of work that begins on these weekdays (0 = Monday); it may end on the next day."""

    days: frozenset[int]
    begin: time
    minutes: int


@lru_cache(maxsize=1024)
def parse_hours(text: str) -> tuple[Stretch, ...]:
    """The stretches named in `text`; ValueError says what was expected. No days named: every day."""
    stretches = []
    for part in re.split(r"[;,]", text.strip().lower()):
        match = PART.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"hours {part.strip()!r} are not of the form 'mon-fri 09:00-18:00'")
        begin, end = _minute(match["from"]), _minute(match["to"])
        length = (end - begin) % (24 * 60) or 24 * 60
        days = _days(match["first"], match["last"])
        stretches.append(Stretch(days, time(begin // 60 % 24, begin % 60), length))
    return tuple(stretches)


@lru_cache(maxsize=512)
def zone(name: str) -> ZoneInfo:
    """The time zone called `name`; ValueError where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}; an example is 'Asia/Shanghai'") from None


def works_between(hours: str, time_zone: str, begin: datetime, end: datetime) -> bool:
    """Whether any moment from `begin` to `end` is within `hours` in `time_zone`."""
    there = zone(time_zone)
    stretches = parse_hours(hours)
    # A stretch that began yesterday may reach into today.
    day: date = begin.astimezone(there).date() - timedelta(days=1)
    last = min(end.astimezone(there).date(), day + timedelta(days=9))  # nine days hold every weekday's end
    while day <= last:
        for stretch in stretches:
            if day.weekday() not in stretch.days:
                continue
            # By the clock on the wall: a shift that runs over a change of summer time is an hour shorter or longer.
            starts = datetime.combine(day, stretch.begin)
            ends = starts + timedelta(minutes=stretch.minutes)
            if _instant(starts, there) <= end and _instant(ends, there) > begin:
                return True
        day += timedelta(days=1)
    return False


def _instant(wall_clock: datetime, there: ZoneInfo) -> datetime:
    return wall_clock.replace(tzinfo=there).astimezone(UTC)


def _minute(text: str) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    if hour > 24 or minute > 59 or hour * 60 + minute > 24 * 60:
        raise ValueError(f"{text} is not a time of day")
    return hour * 60 + minute


def _days(first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return frozenset(range(7))
    for name in (first, last or first):
        if name not in DAYS:
            raise ValueError(f"{name!r} is not a day; days are {', '.join(DAYS)}")
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))
