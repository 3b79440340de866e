"""Dates and clock times of `DateStyle = ISO` text: days, and microseconds.

The calendar is the proleptic Gregorian one, as in Postgres and java.time; year 0 is 1 BC.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

MICROS_PER_SECOND: Final = 1_000_000
MICROS_PER_MINUTE: Final = 60_000_000
MICROS_PER_DAY: Final = 86_400_000_000
# Dates repeat from row to row; a table with more distinct ones than this starts its cache anew.
_CACHED_DATES: Final = 8192

_DATE: Final = re.compile(rb"(\d{4,7})-(\d\d)-(\d\d)( BC)?")
_TIMESTAMP: Final = re.compile(rb"(\d{4,7}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d{1,6})?)( BC)?")


def days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01."""
    # Years begin in March, so that the leap day is a year's last; eras of 400 years have 146097 days.
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Year (0 is 1 BC), month and day of a day since 1970-01-01."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    month = (month_from_march + 2) % 12 + 1
    year = year_of_era + era * 400 + (month <= 2)
    return year, month, day_of_year - (153 * month_from_march + 2) // 5 + 1


def days(text: bytes) -> int:
    """Days since 1970-01-01 of a finite date's text.

    Raises:
        ValueError: The text is no date.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("text is not a date")
    year, month, day = int(match[1]), int(match[2]), int(match[3])
    return days_from_civil(1 - year if match[4] else year, month, day)


class _Midnights(dict[bytes, int]):
    """Date text -> microseconds since the epoch at its midnight."""

    def __missing__(self, text: bytes) -> int:
        if len(self) >= _CACHED_DATES:
            self.clear()
        micros = self[text] = days(text) * MICROS_PER_DAY
        return micros


class _Minutes(dict[bytes, int]):
    """`HH:MM` -> microseconds since midnight."""

    def __missing__(self, _text: bytes) -> NoReturn:
        raise ValueError("text is not a time of day")


midnight: Final = _Midnights().__getitem__
"""The microseconds since the epoch at the midnight of a date's text; remembered."""
# Postgres writes 24:00 for the end of a day.
minutes: Final = _Minutes(
    {
        b"%02d:%02d" % (hour, minute): (hour * 60 + minute) * MICROS_PER_MINUTE
        for hour in range(25)
        for minute in range(60)
    }
).__getitem__
"""The microseconds since midnight of `HH:MM`, up to 24:59."""


def clock(text: bytes) -> int:
    """Microseconds since midnight of `HH:MM:SS[.ffffff]`.

    Raises:
        ValueError: The text is no time of day.
    """
    length = len(text)
    digits = text[6:8] + text[9:]
    if text[5:6] != b":" or not digits.isdigit() or (length != 8 and text[8:9] != b"."):
        raise ValueError("text is not a time of day")
    if length == 15:
        return minutes(text[:5]) + int(digits)
    if length == 8:
        return minutes(text[:5]) + int(digits) * MICROS_PER_SECOND
    if not 9 < length < 15:
        raise ValueError("text is not a time of day")
    return minutes(text[:5]) + int(digits.ljust(8, b"0"))


def timestamp(text: bytes) -> int:
    """Microseconds since the epoch of a finite timestamp's text, read as UTC.

    Raises:
        ValueError: The text is no timestamp.
    """
    length = len(text)
    if length < 19 or text[10] != 32 or text[16] != 58:
        return _unusual_timestamp(text)
    digits = text[17:19] + text[20:]
    if not digits.isdigit() or (length != 19 and text[19] != 46):
        return _unusual_timestamp(text)
    if length == 26:
        return midnight(text[:10]) + minutes(text[11:16]) + int(digits)
    if length == 19:
        return midnight(text[:10]) + minutes(text[11:16]) + int(digits) * MICROS_PER_SECOND
    if not 20 < length < 26:
        return _unusual_timestamp(text)
    return midnight(text[:10]) + minutes(text[11:16]) + int(digits.ljust(8, b"0"))


def _unusual_timestamp(text: bytes) -> int:
    """Years before Christ and after 9999."""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError("text is not a timestamp")
    return days(match[1] + (match[3] or b"")) * MICROS_PER_DAY + clock(match[2])


def iso_year(year: int) -> str:
    """A year as ISO-8601 and java.time write it: four digits, signed beyond them."""
    if 0 <= year <= 9999:
        return f"{year:04d}"
    return f"{'-' if year < 0 else '+'}{abs(year):04d}"


def iso_date(day: int) -> str:
    """A day since the epoch as `2024-02-29`."""
    year, month, day_of_month = civil_from_days(day)
    return f"{iso_year(year)}-{month:02d}-{day_of_month:02d}"
