"""`java.text.SimpleDateFormat`, English (weeks begin on Sunday), lenient: patterns and formatting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from cdc.values.dateparsing import MONTHS, WEEKDAYS, DateFields, Piece, century_start, read_fields
from cdc.values.javacalendar import MILLIS_PER_DAY, civil_from_days, civil_from_millis, day_of_year, days_from_civil

_LETTERS: Final = "GyMdkHmsSEDFwWahKzZYuXL"
_MILLIS_PER_HOUR: Final = 3_600_000


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
        self._century_start = century_start()
        self._utc = zone is UTC

    def format(self, millis: int) -> str:
        """The text of an instant, given in milliseconds since the epoch."""
        offset = self._offset_at(millis)
        local = millis + offset
        return "".join([piece.text if not piece.letter else _write(piece, local, offset) for piece in self._pieces])

    def parse(self, text: str) -> int | None:
        """The instant that a text begins with, in milliseconds since the epoch; None where it does not fit."""
        fields = read_fields(self._pieces, text)
        if fields is None:
            return None
        millis = self._instant(fields, 0)
        start = self._century_start
        return self._instant(fields, 100) if fields.ambiguous_year and millis < start else millis

    def _instant(self, fields: DateFields, later: int) -> int:
        local = fields.local_millis(later)
        return local - (self._offset_of_local(local) if fields.offset is None else fields.offset)

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


def _millis(offset: timedelta | None) -> int:
    assert offset is not None
    return round(offset.total_seconds() * 1000)


def _compile(pattern: str) -> list[Piece]:
    pieces: list[Piece] = []
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
            pieces.append(Piece("", 0, literal))
            literal = ""
        pieces.append(Piece(char, end - index, ""))
        index = end
    if literal:
        pieces.append(Piece("", 0, literal))
    return pieces


def _write(piece: Piece, local: int, offset: int) -> str:
    letter, count = piece.letter, piece.count
    year, month, day, milli_of_day = civil_from_millis(local)
    days = local // MILLIS_PER_DAY
    hour = milli_of_day // _MILLIS_PER_HOUR
    if letter == "G":
        return "AD" if year > 0 else "BC"
    if letter in "yY":
        if letter == "Y":
            year = _week_year(days)[0]
        of_era = year if year > 0 else 1 - year
        return f"{of_era % 100:02d}" if count == 2 else f"{of_era:0{count}d}"
    if letter in "ML":
        if count >= 3:
            return MONTHS[month - 1] if count > 3 else MONTHS[month - 1][:3]
        return f"{month:0{count}d}"
    if letter == "E":
        name = WEEKDAYS[(days + 4) % 7]
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
