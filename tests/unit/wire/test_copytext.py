"""COPY's text format: what a server escapes is read back, and nothing else is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.errors import ProtocolError
from cdc.wire.copytext import split_row

_ESCAPES = {0x08: b"\\b", 0x0C: b"\\f", 0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t", 0x0B: b"\\v", 0x5C: b"\\\\"}


def written(fields: list[bytes | None]) -> bytes:
    """A row as `COPY ... TO STDOUT` writes it."""
    return b"\t".join(
        b"\\N" if field is None else b"".join(_ESCAPES.get(byte, bytes([byte])) for byte in field) for field in fields
    ) + b"\n"  # fmt: skip


texts = st.one_of(st.binary(max_size=30), st.text(alphabet="\\Nnbtrfv\t\n\rx", max_size=8).map(str.encode))


@given(st.lists(st.one_of(st.none(), texts), min_size=1, max_size=8))
def test_what_is_written_is_read(fields):
    assert split_row(written(fields), len(fields)) == fields


def test_null_the_empty_text_and_the_text_that_looks_like_null_stay_three_things():
    assert split_row(b"\\N\t\t\\\\N\n", 3) == [None, b"", b"\\N"]


def test_a_table_without_columns_has_rows():
    assert split_row(b"\n", 0) == []


def test_one_empty_column_is_not_no_column():
    assert split_row(b"\n", 1) == [b""]


@pytest.mark.parametrize(("line", "columns"), [(b"a\tb\n", 1), (b"a\n", 2), (b"a", 1), (b"", 1), (b"a\n", 0)])
def test_another_shape_is_a_protocol_error(line, columns):
    with pytest.raises(ProtocolError):
        split_row(line, columns)
