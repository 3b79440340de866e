"""The calendar of `java.util.GregorianCalendar`: Julian before 15 October 1582, Gregorian from then on, in UTC.

Years are astronomical here: 0 is 1 BC.
"""

from __future__ import annotations

from typing import Final

MILLIS_PER_DAY: Final = 86_400_000
_CUTOVER_DAY: Final = -141_427  # 1582-10-15, days since 1970-01-01
_MARCH_FIRST_YEAR_0: Final = 719_468
_JULIAN_MARCH_FIRST_YEAR_0: Final = 719_470


def civil_from_days(days: int) -> tuple[int, int, int]:
    """Year, month and day of a day since 1970-01-01."""
    if days >= _CUTOVER_DAY:
        shifted = days + _MARCH_FIRST_YEAR_0
        era, day_of_era = divmod(shifted, 146_097)
        year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
        day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
        year = year_of_era + era * 400
    else:
        shifted = days + _JULIAN_MARCH_FIRST_YEAR_0
        cycle, day_of_cycle = divmod(shifted, 1461)
        year_of_cycle = min(day_of_cycle // 365, 3)
        day_of_year = day_of_cycle - 365 * year_of_cycle
        year = cycle * 4 + year_of_cycle
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    return year + (month <= 2), month, day


def civil_from_millis(millis: int) -> tuple[int, int, int, int]:
    """Year, month, day and millisecond of the day."""
    days, rest = divmod(millis, MILLIS_PER_DAY)
    year, month, day = civil_from_days(days)
    return year, month, day, rest


def days_from_civil(year: int, month: int, day: int) -> int:
    """The day since 1970-01-01; month and day may lie outside their ranges, as a lenient calendar takes them."""
    years, index = divmod(month - 1, 12)
    year, month = year + years, index + 1
    gregorian = _first_of_month(year, month, julian=False) + day - 1
    if gregorian >= _CUTOVER_DAY:
        return gregorian
    julian = _first_of_month(year, month, julian=True) + day - 1
    return min(julian, gregorian) if julian >= _CUTOVER_DAY else julian


def _first_of_month(year: int, month: int, *, julian: bool) -> int:
    year -= month <= 2
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5
    days = 365 * year + year // 4 + day_of_year
    if julian:
        return days - _JULIAN_MARCH_FIRST_YEAR_0
    return days - year // 100 + year // 400 - _MARCH_FIRST_YEAR_0


def day_of_year(year: int, month: int, day: int) -> int:
    """The day of the year, from 1."""
    return days_from_civil(year, month, day) - days_from_civil(year, 1, 1) + 1
