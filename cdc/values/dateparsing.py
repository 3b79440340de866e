"""Parsing of `java.text.SimpleDateFormat`, lenient, as a GregorianCalendar resolves the fields that were read.

Fields may contradict each other: the last complete group that was set wins (day of month, week of month and weekday,
day of year, week of year and weekday), as in `GregorianCalendar.selectFields`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cdc.values.javacalendar import MILLIS_PER_DAY, days_from_civil

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MILLIS_PER_HOUR: Final = 3_600_000
_NUMERIC: Final = frozenset("MLyYdHmsSDFwWhKku")
_FIELDS: Final = {
    "Y": "week_year", "d": "day", "H": "hour_of_day", "m": "minute", "s": "second", "S": "millis", "D": "day_of_year",
    "K": "hour", "w": "week_of_year", "W": "week_of_month", "F": "weekday_in_month",
}  # fmt: skip
_INTEGER: Final = re.compile(r"-?[0-9]+(?:E-?[0-9]+)?")
_GMT: Final = re.compile(r"(?i)GMT")
_ISO_HOURS: Final = re.compile(r"([0-9]{2})")
_ISO_COLON: Final = re.compile(r"([0-9]{2}):([0-9]{2})")
_WITHOUT_COLON: Final = re.compile(r"([0-9]{2})([0-9]{2})")
_GMT_OFFSET: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_ZONE_NAMES: Final = {
    "UTC": 0, "GMT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8,
    "PDT": -7, "Coordinated Universal Time": 0, "Greenwich Mean Time": 0,
}  # fmt: skip
_SUNDAY: Final = 1


class _NoMatch(Exception):
    """The text does not fit the pattern."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a pattern.

    Attributes:
        letter: The field's letter, "" for literal text.
        count: How often it stands there.
        text: The literal text.
    """

    letter: str
    count: int
    text: str


def century_start() -> int:
    """The instant eighty years ago, from which on two-digit years lie; in milliseconds since the epoch."""
    now = datetime.now(UTC)
    day = 28 if (now.month, now.day) == (2, 29) else now.day
    return round(now.replace(year=now.year - 80, day=day).timestamp() * 1000)


class DateFields:
    """The fields of one text.

    Attributes:
        offset: The zone's offset in milliseconds, where the text names one.
        ambiguous_year: Whether a two-digit year is the one in which the eighty years began.
    """

    def __init__(self) -> None:
        self.offset: int | None = None
        self.ambiguous_year = False
        self._values: dict[str, int] = {}
        self._stamps: dict[str, int] = {}
        self._count = 0

    def set(self, name: str, value: int) -> None:
        """Set a field; the last one set counts most."""
        self._count += 1
        self._values[name] = value
        self._stamps[name] = self._count

    def _stamp(self, *names: str) -> int:
        """When the last of some fields was set; 0 where one of them was not."""
        stamps = [self._stamps.get(name, 0) for name in names]
        return 0 if 0 in stamps else max(stamps)

    def local_millis(self, years_later: int) -> int:
        """Milliseconds since the epoch, on the wall."""
        values = self._values
        local = self._days(years_later) * MILLIS_PER_DAY + self._hours() * _MILLIS_PER_HOUR
        return local + values.get("minute", 0) * 60_000 + values.get("second", 0) * 1000 + values.get("millis", 0)

    def _hours(self) -> int:
        values = self._values
        of_day, of_half = self._stamp("hour_of_day"), self._stamp("hour", "half")
        best = max(of_day, of_half) or max(self._stamp("hour"), self._stamp("half"))
        if best and best == of_day:
            return values["hour_of_day"]
        return values.get("hour", 0) + 12 * values.get("half", 0)

    def _days(self, years_later: int) -> int:
        values = self._values
        year = values.get("year", 1970)
        if values.get("era") == 0:
            year = 1 - year
        year += years_later
        if self._stamp("week_year") > self._stamp("year"):
            return self._week_date()
        day, day_of_year = self._stamp("day"), self._stamp("day_of_year")
        in_month = self._stamp("week_of_month", "weekday")
        nth = self._stamp("weekday_in_month", "weekday")
        in_year = self._stamp("week_of_year", "weekday")
        best = max(day, in_month, nth, day_of_year, in_year)
        if not best:
            in_month = self._stamp("week_of_month")
            nth = max(self._stamp("weekday_in_month"), self._stamp("weekday"))
            in_year = self._stamp("week_of_year")
            best = max(in_month, nth, in_year)
            if not best:
                best = day = self._stamp("month")
        week_of_year = self._stamp("week_of_year")
        month = days_from_civil(year, values.get("month", 0) + 1, 1)
        if best == day:
            return month + values.get("day", 1) - 1
        weeks, nths = self._stamp("week_of_month"), self._stamp("weekday_in_month")
        if (best == in_month and weeks >= week_of_year) or (best == nth and nths >= week_of_year):
            by_week = weeks >= nths if in_month == nth else best == in_month
            return self._week(month, values["week_of_month"]) if by_week else self._nth_weekday(year, month)
        first = days_from_civil(year, 1, 1)
        return first + values["day_of_year"] - 1 if best == day_of_year else self._week(first, values["week_of_year"])

    def _week(self, first: int, week: int) -> int:
        """A day of a week, counted from the one that holds the first day."""
        sunday = _on_or_before(first + 6, _SUNDAY)
        if sunday - first >= 1:
            sunday -= 7
        day = _on_or_before(sunday + 6, self._values["weekday"]) if "weekday" in self._values else sunday
        return day + 7 * (week - 1)

    def _nth_weekday(self, year: int, month: int) -> int:
        weekday = self._values.get("weekday", _SUNDAY)
        nth = self._values.get("weekday_in_month", 1)
        if nth >= 0:
            return _on_or_before(month + 7 * nth - 1, weekday)
        length = days_from_civil(year, self._values.get("month", 0) + 2, 1) - month
        return _on_or_before(month + length + 7 * (nth + 1) - 1, weekday)

    def _week_date(self) -> int:
        week, weekday = self._values.get("week_of_year", 1), self._values.get("weekday", _SUNDAY)
        if not 1 <= weekday <= 7:  # only `u` can say so, with Monday as 1
            weeks, weekday = divmod(weekday - 1, 7)
            week, weekday = week + weeks, (weekday + 1) % 7 + 1
        first = days_from_civil(self._values["week_year"], 1, 1)
        return _on_or_before(first, _SUNDAY) + 7 * (week - 1) + weekday - 1


def _on_or_before(day: int, weekday: int) -> int:
    """The last such weekday (1 is Sunday) up to a day; 1970-01-01 was a Thursday."""
    return day - (day + 4 - (weekday - 1)) % 7


def read_fields(pieces: Sequence[Piece], text: str) -> DateFields | None:
    """The fields that a text begins with; None where it does not fit."""
    fields = DateFields()
    position = 0
    try:
        for index, piece in enumerate(pieces):
            if not piece.letter:
                if not text.startswith(piece.text, position):
                    return None
                position += len(piece.text)
                continue
            following = pieces[index + 1] if index + 1 < len(pieces) else None
            position = _read_field(text, position, piece, _abuts(following), fields)
    except (_NoMatch, IndexError):
        return None
    return fields


def _abuts(following: Piece | None) -> bool:
    """Whether a number follows at once, so that the count of letters is the count of digits."""
    if following is None or following.letter not in _NUMERIC:
        return False
    return following.letter not in ("M", "L") or following.count <= 2


def _read_field(text: str, start: int, piece: Piece, abutting: bool, fields: DateFields) -> int:
    position = start
    while text[position] in " \t":  # an IndexError at the end of the text is a mismatch
        position += 1
    letter = piece.letter
    if letter == "E" or (letter in "ML" and piece.count > 2):
        names = WEEKDAYS if letter == "E" else MONTHS
        found = _longest(text, start, [*names, *[name[:3] for name in names]])  # blanks before a name do not pass
        number = next(at for at, name in enumerate(names) if name.startswith(found[:3]))
        fields.set("weekday" if letter == "E" else "month", number + (letter == "E"))
        return start + len(found)
    if letter in "Ga":
        found = _longest(text, start, ["BC", "AD"] if letter == "G" else ["AM", "PM"])
        fields.set("era" if letter == "G" else "half", int(found in ("AD", "PM")))
        return start + len(found)
    if letter in "zZX":
        return _read_zone(text, position, piece, fields)
    if abutting:
        if start + piece.count > len(text):
            raise _NoMatch
        text = text[: start + piece.count]
    match = _INTEGER.match(text, position)
    if match is None:
        raise _NoMatch
    _set_number(letter, piece.count, match[0], fields)
    return match.end()


def _set_number(letter: str, count: int, digits: str, fields: DateFields) -> None:
    value = _integer(digits)
    if letter in "yY":
        if count <= 2 and len(digits) == 2 and digits.isdigit():
            century, pivot = divmod(datetime.now(UTC).year - 80, 100)
            fields.ambiguous_year = value == pivot
            value += century * 100 + (100 if value < pivot else 0)
        fields.set("year" if letter == "y" else "week_year", value)
    elif letter in "ML":
        fields.set("month", value - 1)
    elif letter == "k":
        fields.set("hour_of_day", 0 if value == 24 else value)
    elif letter == "h":
        fields.set("hour", 0 if value == 12 else value)
    elif letter == "u":
        fields.set("weekday", value % 7 + 1 if 1 <= value <= 7 else value)
    else:
        fields.set(_FIELDS[letter], value)


def _integer(text: str) -> int:
    digits, _, exponent = text.partition("E")
    value = int(digits)
    if exponent:
        power = max(-40, min(40, int(exponent)))
        value = value * 10**power if power >= 0 else int(value / 10**-power)
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def _longest(text: str, position: int, names: Sequence[str]) -> str:
    rest = text[position:].lower()
    matching = [name for name in names if rest.startswith(name.lower())]
    if not matching:
        raise _NoMatch
    return max(matching, key=len)


def _read_zone(text: str, position: int, piece: Piece, fields: DateFields) -> int:
    sign_at, form = position, _WITHOUT_COLON
    if piece.letter == "X":
        if text[position] == "Z":
            fields.offset = 0
            return position + 1
        form = (_ISO_HOURS, _WITHOUT_COLON, _ISO_COLON)[piece.count - 1]
    elif match := _GMT.match(text, position):
        sign_at, form = match.end(), _GMT_OFFSET
        if text[sign_at : sign_at + 1] not in ("+", "-"):
            fields.offset = 0
            return sign_at
    if text[sign_at] not in "+-":
        if piece.letter == "X":
            raise _NoMatch
        name = _longest(text, position, list(_ZONE_NAMES))
        fields.offset = _ZONE_NAMES[name] * _MILLIS_PER_HOUR
        return position + len(name)
    found = form.match(text, sign_at + 1)
    if found is None:
        raise _NoMatch
    hours, minutes = int(found[1]), int(found[2]) if found.re.groups > 1 else 0
    if hours > 23 or minutes > 59:
        raise _NoMatch
    offset = (hours * 60 + minutes) * 60_000
    fields.offset = -offset if text[sign_at] == "-" else offset
    return found.end()
