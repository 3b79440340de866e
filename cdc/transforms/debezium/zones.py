"""Time zones as `java.time.ZoneId` has them, and ISO date-times with an offset.

Instants are counts of seconds since the epoch, so that years beyond those of Python's `datetime` pass.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from cdc.model.javaerrors import JavaError

_OFFSET: Final = re.compile(r"([+-])(\d{2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_DATE_TIME: Final = re.compile(r"([+-]?\d{4,9})-(\d\d)-(\d\d)[Tt](.*)", re.ASCII | re.DOTALL)
_TIME: Final = re.compile(
    r"(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{0,9}))?)?(?:[Zz]|([+-])(\d\d):?(\d\d)?(?::?(\d\d))?)", re.ASCII
)
# TimeZone knows these, ZoneId does not: they pass the configuration and fail at the first value.
_OLD_IDS: Final = frozenset(
    [
        "EST",
        "HST",
        "MST",
        "ACT",
        "AET",
        "AGT",
        "ART",
        "AST",
        "BET",
        "BST",
        "CAT",
        "CNT",
        "CST",
        "CTT",
        "EAT",
        "ECT",
        "IET",
        "IST",
        "JST",
        "MIT",
        "NET",
        "NST",
        "PLT",
        "PNT",
        "PRT",
        "PST",
        "SST",
        "VST",
    ]
)
_NOT_IN_JAVA: Final = frozenset({"Factory", "localtime", "posixrules"})
_DAYS_PER_CYCLE: Final = 146_097  # of 400 years, after which the calendar repeats
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall time
_MIN_SECONDS, _MAX_SECONDS = -62_135_596_800 + 86_400, 253_402_300_799 - 86_400


def is_offset(text: str) -> bool:
    """Whether the text has the form of an offset, its value unchecked."""
    return _OFFSET.fullmatch(text) is not None


def is_known_zone(text: str) -> bool:
    """Whether `ZoneId` or `TimeZone` lists the name."""
    return text in _OLD_IDS or text in _available()


@lru_cache(maxsize=1)
def _available() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones()) - _NOT_IN_JAVA


class Zone:
    """A zone by offset or name, as `ZoneId.of` makes it.

    Args:
        text: `+02:00`, `Europe/Prague`.

    Raises:
        JavaError: DateTimeException or ZoneRulesException.
    """

    def __init__(self, text: str) -> None:
        self._fixed: int | None = None
        offset = _OFFSET.fullmatch(text)
        if offset is not None:
            hours, minutes, seconds = int(offset[2]), int(offset[3]), int(offset[4] or 0)
            if hours > 18:
                raise JavaError(
                    f"Zone offset hours not in valid range: value {offset[1].lstrip('+')}{hours} is not in the range "
                    "-18 to 18", "DateTimeException",
                )  # fmt: skip
            if minutes > 59 or seconds > 59:
                name, value = ("minutes", minutes) if minutes > 59 else ("seconds", seconds)
                sign = "-" if offset[1] == "-" else ""
                raise JavaError(
                    f"Zone offset {name} not in valid range: value {sign}{value} is not in the range -59 to 59",
                    "DateTimeException",
                )
            total = hours * 3600 + minutes * 60 + seconds
            if total > 18 * 3600:
                raise JavaError("Zone offset not in valid range: -18:00 to +18:00", "DateTimeException")
            self._fixed = -total if offset[1] == "-" else total
            return
        if text in _OLD_IDS:
            raise JavaError(f"Unknown time-zone ID: {text}", "ZoneRulesException")
        self._zone = zoneinfo.ZoneInfo(text)

    def offset_of_local(self, seconds: int) -> int:
        """The offset at a wall time; in a gap and in an overlap the one before the change. In seconds."""
        if self._fixed is not None:
            return self._fixed
        wall = _EPOCH + timedelta(seconds=_in_range(seconds))
        return _seconds(wall.replace(tzinfo=self._zone).utcoffset())

    def offset_at(self, seconds: int) -> int:
        """The offset at an instant. In seconds."""
        if self._fixed is not None:
            return self._fixed
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=_in_range(seconds))
        return _seconds(moment.astimezone(self._zone).utcoffset())


def _seconds(offset: timedelta | None) -> int:
    assert offset is not None
    return int(offset.total_seconds())


def _in_range(seconds: int) -> int:
    cycle = _DAYS_PER_CYCLE * 86_400
    while seconds > _MAX_SECONDS:
        seconds -= cycle
    return max(seconds, _MIN_SECONDS)


class OffsetTime(NamedTuple):
    """A wall time with its offset.

    Attributes:
        seconds: Wall seconds: since the epoch, or since midnight.
        nanos: Nanoseconds of the second.
        offset: Seconds ahead of UTC.
    """

    seconds: int
    nanos: int
    offset: int

    def at(self, offset: int) -> OffsetTime:
        """The same instant at another offset."""
        return OffsetTime(self.seconds - self.offset + offset, self.nanos, offset)


def parse_date_time(text: str) -> OffsetTime:
    """`OffsetDateTime.parse` with ISO_OFFSET_DATE_TIME; years are proleptic Gregorian ones.

    Raises:
        JavaError: DateTimeParseException.
    """
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise _unparsed(text)
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    time = _parse_clock(text, match[4])
    if not 1 <= month <= 12 or not 1 <= day <= _month_length(year, month):
        raise _unparsed(text)
    return OffsetTime(_days(year, month, day) * 86_400 + time.seconds, time.nanos, time.offset)


def parse_time(text: str) -> OffsetTime:
    """`OffsetTime.parse` with ISO_OFFSET_TIME.

    Raises:
        JavaError: DateTimeParseException.
    """
    return _parse_clock(text, text)


def _parse_clock(whole: str, text: str) -> OffsetTime:
    match = _TIME.fullmatch(text)
    if match is None:
        raise _unparsed(whole)
    hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3] or 0)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise _unparsed(whole)
    offset = 0
    if match[5] is not None:
        offset = int(match[6]) * 3600 + int(match[7] or 0) * 60 + int(match[8] or 0)
        offset = -offset if match[5] == "-" else offset
    return OffsetTime(hours * 3600 + minutes * 60 + seconds, int((match[4] or "0").ljust(9, "0")), offset)


def _unparsed(text: str) -> JavaError:
    return JavaError(
        f"Text '{text}' could not be parsed at index 0", "DateTimeParseException", shown="a text is no ISO time"
    )


def date_time_text(time: OffsetTime) -> str:
    """ISO_OFFSET_DATE_TIME: fraction only where there is one, `Z` for UTC."""
    days, rest = divmod(time.seconds, 86_400)
    year, month, day = _civil(days)
    shown = f"{year:04d}" if 0 <= year <= 9999 else f"+{year}" if year > 9999 else f"-{-year:04d}"
    return f"{shown}-{month:02d}-{day:02d}T{time_text(OffsetTime(rest, time.nanos, time.offset))}"


def time_text(time: OffsetTime) -> str:
    """ISO_OFFSET_TIME of a time of day; hours beyond the day wrap."""
    seconds = time.seconds % 86_400
    fraction = f".{time.nanos:09d}".rstrip("0") if time.nanos else ""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{fraction}{_offset_text(time.offset)}"


@lru_cache(maxsize=256)
def _offset_text(offset: int) -> str:
    if offset == 0:
        return "Z"
    size = abs(offset)
    seconds = f":{size % 60:02d}" if size % 60 else ""
    return f"{'-' if offset < 0 else '+'}{size // 3600:02d}:{size // 60 % 60:02d}{seconds}"


def _days(year: int, month: int, day: int) -> int:
    year -= month <= 2
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + day_of_year - 719_468


def _civil(days: int) -> tuple[int, int, int]:
    era, day_of_era = divmod(days + 719_468, _DAYS_PER_CYCLE)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    return year_of_era + era * 400 + (month >= 10), month + 3 if month < 10 else month - 9, day


def _month_length(year: int, month: int) -> int:
    following = (year, month + 1, 1) if month < 12 else (year + 1, 1, 1)
    return _days(*following) - _days(year, month, 1)
