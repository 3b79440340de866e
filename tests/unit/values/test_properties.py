"""For any text that Postgres may send, the fast path writes what the plain one writes."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.converters.json import JsonConverter
from cdc.model.relation import PgType
from cdc.values.builtin import BUILTIN
from cdc.values.calendar import civil_from_days, days, days_from_civil
from cdc.values.javahash import hash_order, string_hash
from cdc.values.registry import Codec, ValueModes, parse_array, resolve

OIDS = {pg_type.name: oid for oid, pg_type in BUILTIN.items()}
TYPES = {90001: PgType(90001, "hstore"), 90002: PgType(90002, "vector"), 90003: PgType(90003, "sparsevec")}
EXTENSIONS = {pg_type.name: oid for oid, pg_type in TYPES.items()}
TIME_MODES = ("adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds")

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


def codecs(name: str, typmod: int = -1, **modes: Any) -> list[tuple[Codec, bool]]:
    found = []
    for strict in (False, True):
        codec = resolve({**OIDS, **EXTENSIONS}[name], typmod, TYPES, ValueModes(strict=strict, **modes))
        assert codec is not None
        found.append((codec, modes.get("decimal_numeric", False)))
    return found


def agree(name: str, text: str, typmod: int = -1, **modes: Any) -> list[str]:
    """The fragments of safe and strict mode, after both paths agreed on each."""
    fragments = []
    for codec, numeric in codecs(name, typmod, **modes):
        raw, schema = text.encode(), codec.schema.as_optional()
        try:
            fast = codec.to_json(raw).decode()
        except ValueError as error:
            with pytest.raises(ValueError, match=str(error)):
                codec.values_of(schema)(raw)
            fragments.append("refused")
            continue
        assert JsonConverter(decimal_numeric=numeric).payload(schema, codec.values_of(schema)(raw)) == fast
        json.loads(fast)
        fragments.append(fast)
    return fragments


@given(texts)
def test_texts(text):
    for name in ("text", "json", "xml"):
        assert [json.loads(fragment) for fragment in agree(name, text)] == [text, text]


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers(number):
    assert agree("int8", str(number)) == [str(number)] * 2


@given(st.floats())
def test_doubles(number):
    text = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(repr(number), repr(number).removesuffix(".0"))
    assert float(json.loads(agree("float8", text)[0])) == number or number != number


@given(st.floats(width=32))
def test_singles(number):
    shortest = next(
        text for text in (f"{number:.{digits}g}" for digits in range(1, 10)) if single(text) in (number, None)
    )
    agree("float4", {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(shortest, shortest))


def single(text: str) -> float | None:
    """The 32-bit float of a text; None for no number."""
    value = float(text)
    try:
        return None if value != value else struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return math.inf


@given(
    st.integers(-(10**40), 10**40), st.integers(0, 20), st.sampled_from(["precise", "string", "double"]), st.booleans()
)
def test_fixed_numerics(number, scale, mode, numeric):
    text = f"{Decimal(number).scaleb(-scale):f}"
    typmod = ((60 << 16) | scale) + 4
    agree("numeric", text, typmod, decimal=mode, decimal_numeric=numeric)
    agree("numeric", text, decimal=mode, decimal_numeric=numeric)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 30), st.sampled_from(["precise", "string", "double"]))
def test_money(cents, digits, mode):
    sign, whole = ("-" if cents < 0 else ""), abs(cents) // 100
    agree("money", f"{sign}${whole:,}.{abs(cents) % 100:02d}", decimal=mode, money_fraction_digits=digits)


@given(st.binary(), st.sampled_from(["bytes", "base64", "base64-url-safe", "hex"]))
def test_bytes(data, mode):
    agree("bytea", "\\x" + data.hex(), binary=mode)


@given(st.text("01", max_size=70))
def test_bits(text):
    agree("varbit", text)
    agree("bit", text or "0", max(len(text), 1))


def clock_text(micros: int, digits: int) -> str:
    """A time as Postgres writes it at a precision: no trailing zeros."""
    micros -= micros % 10 ** (6 - digits)
    seconds, fraction = divmod(micros, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:06d}".rstrip("0") if fraction else text


clock_texts = st.builds(clock_text, st.integers(0, 86_399_999_999), st.integers(0, 6))


def date_text(day: int) -> tuple[str, str]:
    year, month, day_of_month = civil_from_days(day)
    era = " BC" if year <= 0 else ""
    return f"{1 - year if year <= 0 else year:04d}-{month:02d}-{day_of_month:02d}", era


any_day = st.one_of(st.integers(-10_000, 40_000), st.integers(-2_440_222, 106_751_982))


@given(any_day, st.sampled_from(TIME_MODES))
def test_dates(day, mode):
    agree("date", "".join(date_text(day)), time_precision=mode)


@given(clock_texts, st.sampled_from(TIME_MODES), st.integers(-1, 6))
def test_times(text, mode, typmod):
    agree("time", text, typmod, time_precision=mode)


@given(any_day, clock_texts, st.sampled_from(TIME_MODES), st.integers(-1, 6))
def test_timestamps(day, clock, mode, typmod):
    date, era = date_text(day)
    agree("timestamp", f"{date} {clock}{era}", typmod, time_precision=mode)
    agree("timestamptz", f"{date} {clock}+00{era}", -1)
    agree("_timestamp", f'{{"{date} {clock}{era}",NULL}}', typmod, time_precision=mode)
    agree("_timestamptz", f'{{"{date} {clock}+00{era}"}}', -1)
    agree("_date", f'{{"{date}{era}"}}', time_precision=mode)


@given(any_day)
def test_a_day_survives_its_text(day):
    assert days("".join(date_text(day)).encode()) == day
    assert days_from_civil(*civil_from_days(day)) == day


@given(clock_texts, st.integers(-15, 15), st.sampled_from(["", ":30", ":45"]))
def test_times_with_zones(text, hours, minutes):
    agree("timetz", f"{text}{hours:+03d}{minutes}")
    agree("_timetz", f"{{{text}{hours:+03d}{minutes}}}")


@given(
    st.integers(-3000, 3000), st.integers(-11, 11), st.integers(-10**6, 10**6), clock_texts,
    st.sampled_from(["", "-"]), st.sampled_from(["numeric", "string"]),
)  # fmt: skip
def test_intervals(years, months, day, clock, sign, mode):
    parts = [f"{years} years" if years else "", f"{months} mons" if months else "", f"{day} days" if day else ""]
    agree("interval", " ".join([*filter(None, parts), sign + clock]), interval=mode)


@given(st.floats(), st.floats())
def test_points(x, y):
    names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    x_text, y_text = (names.get(repr(value), repr(value).removesuffix(".0")) for value in (x, y))
    agree("point", f"({x_text},{y_text})")


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.lists(st.one_of(st.none(), texts), max_size=8), st.booleans())
def test_arrays_of_text(items, bounds):
    text = "{" + ",".join("NULL" if item is None else quoted(item) for item in items) + "}"
    if bounds and items:
        text = f"[-1:{len(items) - 2}]=" + text
    assert [json.loads(fragment) for fragment in agree("_text", text)] == [items, items]


nested = st.recursive(
    st.one_of(st.none(), st.text('ab,;{}\\" NUL', max_size=5)), lambda inner: st.lists(inner, min_size=1, max_size=3)
)


def array_text(item: Any) -> str:
    if isinstance(item, list):
        return "{" + ",".join(map(array_text, item)) + "}"
    return "NULL" if item is None else quoted(item)


@given(st.lists(nested, max_size=4))
def test_an_array_is_taken_apart_as_it_was_put_together(items):
    def encoded(item: Any) -> Any:
        return list(map(encoded, item)) if isinstance(item, list) else item if item is None else item.encode()

    assert parse_array(array_text(items).encode()) == encoded(items)


@given(st.binary(max_size=12))
def test_broken_arrays_are_refused_and_nothing_else(data):
    message = refusal(parse_array, b"{" + data + b"}")
    assert not message or message.startswith("array text ")


@given(st.dictionaries(texts, st.one_of(st.none(), texts), max_size=30), st.sampled_from(["json", "map"]))
def test_hstores(pairs, mode):
    text = ", ".join(f"{quoted(key)}=>{'NULL' if value is None else quoted(value)}" for key, value in pairs.items())
    fragment = json.loads(agree("hstore", text, hstore=mode)[0])
    assert (json.loads(fragment) if mode == "json" else fragment) == pairs


@given(st.sets(st.text(max_size=4), max_size=60))
def test_a_hash_map_gives_each_key_once(keys):
    given_keys = sorted(keys)
    assert sorted(hash_order(given_keys, [string_hash(key) for key in given_keys])) == given_keys


@given(st.dictionaries(st.integers(1, 32767), st.floats(-1e30, 1e30), max_size=20))
def test_sparse_vectors(elements):
    body = ",".join(f"{index}:{value!r}" for index, value in elements.items())
    agree("sparsevec", f"{{{body}}}/32767")


@pytest.mark.parametrize("name", sorted({*OIDS, *EXTENSIONS}))
@given(text=st.text('0123456789-+.:{}[]()"\\,/ aeBCNLUtf$x=>\N{PILCROW SIGN}', max_size=20))
def test_any_text_is_written_or_refused_without_being_shown(name, text):
    for codec in (resolve({**OIDS, **EXTENSIONS}[name], -1, TYPES, ValueModes(strict=s)) for s in (False, True)):
        for convert in (codec.to_json, codec.to_value) if codec else ():
            assert "\N{PILCROW SIGN}" not in refusal(convert, text.encode())


def refusal(convert: Callable[[bytes], Any], text: bytes) -> str:
    """Why a text was refused; nothing where it was not."""
    try:
        convert(text)
    except ValueError as error:
        return str(error)
    return ""
