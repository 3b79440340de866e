"""`java.text.SimpleDateFormat`, English, lenient: patterns, formatting, parsing.

Formatting knows every letter. Parsing knows what occurs in practice: era, year, month, day, day of year, day names,
hours of all four kinds, AM/PM, minutes, seconds, milliseconds, zones by offset and a few names. A pattern with week
fields (`Y`, `w`, `W`, `F`, `u`) formats but does not parse (`UnsupportedPattern`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from cdc.values.javacalendar import MILLIS_PER_DAY, civil_from_days, civil_from_millis, day_of_year, days_from_civil

_LETTERS: Final = "GyMdkHmsSEDFwWahKzZYuXL"
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MILLIS_PER_HOUR: Final = 3_600_000
_NUMERIC: Final = frozenset("MLyYdHmsSDFwWhKku")
_WEEK_FIELDS: Final = frozenset("YwWFu")
_GENERIC_FIELDS: Final = {
    "d": "day", "H": "hour_of_day", "m": "minute", "s": "second", "S": "millis", "D": "day_of_year", "K": "hour",
}  # fmt: skip
_INTEGER: Final = re.compile(r"-?(?:[0-9]+(?:E-?[0-9]+)?)")
_CUSTOM_ZONE: Final = re.compile(r"(?i)GMT")
_ZONE_NAMES: Final = {
    "UTC": 0, "GMT": 0, "UT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8,
    "PDT": -7,
}  # fmt: skip


class UnsupportedPattern(ValueError):
    """A pattern that Java parses and this module does not."""


class _NoMatch(Exception):
    """The text does not fit the pattern."""


@dataclass(frozen=True, slots=True)
class _Piece:
    letter: str  # "" for literal text
    count: int
    text: str


class SimpleDateFormat:
    """One pattern.

    Args:
        pattern: As `java.text.SimpleDateFormat` takes it.
        zone: The zone of dates that name none.

    Raises:
        ValueError: With Java's text, where the pattern is not one.
    """

    def __init__(self, pattern: str, zone: tzinfo = UTC) -> None:
        self.pattern = pattern
        self.zone = zone
        self._pieces = _compile(pattern)
        self._two_digit_start = datetime.now(UTC).year - 80
        self._utc = zone is UTC

    def format(self, millis: int) -> str:
        """The text of an instant, given in milliseconds since the epoch."""
        offset = self._offset_at(millis)
        local = millis + offset
        return "".join([piece.text if not piece.letter else _write(piece, local, offset) for piece in self._pieces])

    def parse(self, text: str) -> int | None:
        """The instant that a text begins with, in milliseconds since the epoch; None where it does not fit.

        Raises:
            UnsupportedPattern: The pattern has fields that cannot be read back here.
        """
        unread = sorted({piece.letter for piece in self._pieces} & _WEEK_FIELDS)
        if unread:
            raise UnsupportedPattern(f"the date pattern {self.pattern!r} cannot be parsed by its letters {unread}")
        fields: dict[str, int] = {}
        try:
            self._read(text, fields)
        except (_NoMatch, IndexError):
            return None
        return self._resolve(fields)

    def _offset_at(self, millis: int) -> int:
        if self._utc:
            return 0
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=millis)
        return _millis(moment.astimezone(self.zone).utcoffset())

    def _offset_of_local(self, local: int) -> int:
        """The zone's offset at a wall time; in a gap the one before it, in an overlap standard time, as Java takes it."""
        if self._utc:
            return 0
        moment = datetime(1970, 1, 1, tzinfo=self.zone) + timedelta(milliseconds=local)
        early, late = _millis(moment.utcoffset()), _millis(moment.replace(fold=1).utcoffset())
        return min(early, late)

    def _read(self, text: str, fields: dict[str, int]) -> None:
        position = 0
        for index, piece in enumerate(self._pieces):
            if not piece.letter:
                if not text.startswith(piece.text, position):
                    raise _NoMatch
                position += len(piece.text)
                continue
            following = self._pieces[index + 1] if index + 1 < len(self._pieces) else None
            abutting = following is not None and following.letter in _NUMERIC and bool(following.letter)
            if following is not None and following.letter in ("M", "L") and following.count > 2:
                abutting = False
            position = self._read_field(text, position, piece, abutting, fields)

    def _read_field(self, text: str, start: int, piece: _Piece, abutting: bool, fields: dict[str, int]) -> int:
        position = start
        while text[position] in " \t":  # IndexError at the end of the text is a mismatch
            position += 1
        letter, count = piece.letter, piece.count
        if letter in "ML" and count > 2:
            names = [*_MONTHS, *[name[:3] for name in _MONTHS]]
            found = _longest(text, position, names)
            fields["month"] = names.index(found) % 12
            return position + len(found)
        if letter == "E":
            names = [*_WEEKDAYS, *[name[:3] for name in _WEEKDAYS]]
            found = _longest(text, position, names)
            fields["weekday"] = names.index(found) % 7
            return position + len(found)
        if letter == "G":
            found = _longest(text, position, ["Before Christ", "Anno Domini", "BC", "AD"])
            fields["era"] = 0 if found.startswith("B") else 1
            return position + len(found)
        if letter == "a":
            found = _longest(text, position, ["AM", "PM"])
            fields["pm"] = int(found == "PM")
            return position + 2
        if letter in "zZX":
            return _read_zone(text, position, piece, fields)
        if abutting:
            if start + count > len(text):
                raise _NoMatch
            text = text[: start + count]
        match = _INTEGER.match(text, position)
        if match is None:
            raise _NoMatch
        value = _integer(match[0])
        end = match.end()
        if letter == "y":
            digits = text[position:end]
            if count <= 2 and len(digits) == 2 and digits.isdigit():
                century, pivot = divmod(self._two_digit_start, 100)
                if value == pivot:
                    fields["ambiguous_year"] = 1
                value += century * 100 + (100 if value < pivot else 0)
            fields["year"] = value
        elif letter in "ML":
            fields["month"] = value - 1
        elif letter == "k":
            fields["hour_of_day"] = 0 if value == 24 else value
        elif letter == "h":
            fields["hour"] = 0 if value == 12 else value
        else:
            fields[_GENERIC_FIELDS[letter]] = value
        if letter in "Hk":
            fields.pop("hour", None)
        if letter in "hK":
            fields.pop("hour_of_day", None)
        if letter in "dML":
            fields.pop("day_of_year", None)
        return end

    def _resolve(self, fields: dict[str, int]) -> int:
        year = fields.get("year", 1970)
        if fields.get("era") == 0:
            year = 1 - year
        if "day_of_year" in fields:
            days = days_from_civil(year, 1, 1) + fields["day_of_year"] - 1
        elif "weekday" in fields and "day" not in fields:
            days = _first_weekday(year, fields.get("month", 0), fields["weekday"])
        else:
            days = days_from_civil(year, fields.get("month", 0) + 1, fields.get("day", 1))
        hours = fields.get("hour_of_day", fields.get("hour", 0) + 12 * fields.get("pm", 0))
        local = days * MILLIS_PER_DAY + hours * _MILLIS_PER_HOUR + fields.get("minute", 0) * 60_000
        local += fields.get("second", 0) * 1000 + fields.get("millis", 0)
        return local - (fields["offset"] if "offset" in fields else self._offset_of_local(local))


def _millis(offset: timedelta | None) -> int:
    assert offset is not None
    return round(offset.total_seconds() * 1000)


def _integer(text: str) -> int:
    digits, _, exponent = text.partition("E")
    value = int(digits)
    if exponent:
        value = int(value * 10 ** min(int(exponent), 40)) if not exponent.startswith("-") else int(value / 10 ** -int(exponent))  # fmt: skip
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def _longest(text: str, position: int, names: list[str]) -> str:
    rest = text[position:].lower()
    matching = [name for name in names if rest.startswith(name.lower())]
    if not matching:
        raise _NoMatch
    return max(matching, key=len)


def _first_weekday(year: int, month: int, weekday: int) -> int:
    first = days_from_civil(year, month + 1, 1)
    return first + (weekday - (first + 4)) % 7


def _read_zone(text: str, position: int, piece: _Piece, fields: dict[str, int]) -> int:
    sign_at = position
    colon = False
    if piece.letter == "X":
        if text[position] == "Z":
            fields["offset"] = 0
            return position + 1
        colon = piece.count == 3
    elif match := _CUSTOM_ZONE.match(text, position):
        sign_at = match.end()
        if text[sign_at : sign_at + 1] not in ("+", "-"):
            fields["offset"] = 0
            return sign_at
        colon = True
    if text[sign_at] not in "+-":
        if piece.letter == "X":
            raise _NoMatch
        name = _longest(text, position, list(_ZONE_NAMES))
        fields["offset"] = _ZONE_NAMES[name] * _MILLIS_PER_HOUR
        return position + len(name)
    if piece.letter == "X" and piece.count == 1:
        match = re.compile(r"[0-9]{2}").match(text, sign_at + 1)
    else:
        match = re.compile(r"([0-9]{1,2}):([0-9]{2})" if colon else r"([0-9]{2})([0-9]{2})").match(text, sign_at + 1)
    if match is None:
        raise _NoMatch
    hours, minutes = (int(match[0]), 0) if match.re.groups == 0 else (int(match[1]), int(match[2]))
    if hours > 23 or minutes > 59:
        raise _NoMatch
    offset = (hours * 60 + minutes) * 60_000
    fields["offset"] = -offset if text[sign_at] == "-" else offset
    return match.end()


def _compile(pattern: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    literal = ""
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if char == "'":
            if pattern.startswith("''", index):
                literal += "'"
                index += 2
                continue
            index += 1
            while True:
                end = pattern.find("'", index)
                if end < 0:
                    raise ValueError("Unterminated quote")
                literal += pattern[index:end]
                index = end + 1
                if not pattern.startswith("'", index):
                    break
                literal += "'"
                index += 1
            continue
        if not ("a" <= char <= "z" or "A" <= char <= "Z"):
            literal += char
            index += 1
            continue
        if char not in _LETTERS:
            raise ValueError(f"Illegal pattern character '{char}'")
        end = index
        while end < len(pattern) and pattern[end] == char:
            end += 1
        if char == "X" and end - index > 3:
            raise ValueError(f"invalid ISO 8601 format: length={end - index}")
        if literal:
            pieces.append(_Piece("", 0, literal))
            literal = ""
        pieces.append(_Piece(char, end - index, ""))
        index = end
    if literal:
        pieces.append(_Piece("", 0, literal))
    return pieces


def _write(piece: _Piece, local: int, offset: int) -> str:
    letter, count = piece.letter, piece.count
    year, month, day, milli_of_day = civil_from_millis(local)
    days = local // MILLIS_PER_DAY
    hour = milli_of_day // _MILLIS_PER_HOUR
    if letter == "G":
        return ("AD" if year > 0 else "BC") if count < 4 else ("Anno Domini" if year > 0 else "Before Christ")
    if letter in "yY":
        if letter == "Y":
            year = _week_year(days)[0]
        of_era = year if year > 0 else 1 - year
        return f"{of_era % 100:02d}" if count == 2 else f"{of_era:0{count}d}"
    if letter in "ML":
        if count >= 3:
            return _MONTHS[month - 1] if count > 3 else _MONTHS[month - 1][:3]
        return f"{month:0{count}d}"
    if letter == "E":
        name = _WEEKDAYS[(days + 4) % 7]
        return name if count > 3 else name[:3]
    if letter == "a":
        return "AM" if hour < 12 else "PM"
    if letter == "z":
        return _zone_name(offset, long=count > 3)
    if letter in "ZX":
        return _zone_offset(letter, count, offset)
    number = {
        "d": day, "H": hour, "k": hour or 24, "K": hour % 12, "h": hour % 12 or 12,
        "m": milli_of_day // 60_000 % 60, "s": milli_of_day // 1000 % 60, "S": milli_of_day % 1000,
        "D": 0, "F": (day - 1) // 7 + 1, "w": 0, "W": 0, "u": (days + 3) % 7 + 1,
    }[letter]  # fmt: skip
    if letter == "D":
        number = day_of_year(year, month, day)
    elif letter == "w":
        number = _week_year(days)[1]
    elif letter == "W":
        number = (day - 1 + (days - day + 1 + 4) % 7) // 7 + 1
    return f"{number:0{count}d}"


def _week_year(days: int) -> tuple[int, int]:
    """Week year and week, weeks from Sunday, the first being the one that holds 1 January."""
    year = civil_from_days(days)[0]
    for candidate in (year + 1, year):
        first = days_from_civil(candidate, 1, 1)
        sunday = first - (first + 4) % 7
        if days >= sunday:
            return candidate, (days - sunday) // 7 + 1
    return year, 1


def _zone_name(offset: int, *, long: bool) -> str:
    if offset == 0:
        return "Coordinated Universal Time" if long else "UTC"
    sign, minutes = ("-" if offset < 0 else "+"), abs(offset) // 60_000
    return f"GMT{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def _zone_offset(letter: str, count: int, offset: int) -> str:
    if letter == "X" and offset == 0:
        return "Z"
    sign, minutes = ("-" if offset < 0 else "+"), abs(offset) // 60_000
    if letter == "X" and count == 1:
        return f"{sign}{minutes // 60:02d}"
    colon = ":" if letter == "X" and count == 3 else ""
    return f"{sign}{minutes // 60:02d}{colon}{minutes % 60:02d}"
