"""The quick comparison of whole sets says what the plain one by key says, whatever differs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from cdc.visibility import Snapshot
from legacy_db import compare
from legacy_db.compare import Tally, compare_file, leftovers
from legacy_db.expected import LITERAL
from legacy_db.topic_fold import Fold, RecordParser, Visibility

_TEXTS = st.sampled_from(["", "a", "b\\c", 'q"', "tab\t", "line\nend", "ä"])
_TABLES = st.dictionaries(st.integers(0, 30), _TEXTS, max_size=12)


def _shape() -> Any:
    """As much of a table as a comparison asks for: an integer key and a text."""
    return SimpleNamespace(
        expected={"id": LITERAL, "v": LITERAL}, key=("id",), literal_key=True, markers={}, marker_texts=(),
        layout=SimpleNamespace(modes=SimpleNamespace(decimal_numeric=False)),
        same=lambda _name, topic, legacy: "" if topic == legacy else None,
    )  # fmt: skip


def _row(number: int, text: str) -> bytes:
    return orjson.dumps({"id": number, "v": text})


def _key(number: int) -> bytes:
    return orjson.dumps({"id": number})


def _compared(path: Path, topic: dict[bytes, bytes]) -> tuple[Any, ...]:
    visibility = Visibility(Snapshot(1, 1, frozenset()))
    fold = Fold(_shape(), visibility, {}, RecordParser("t", None))
    fold.rows = dict(topic)
    tally = Tally()
    compare_file(path, _shape(), fold, visibility, tally, set(), once=True, leading=True)
    leftovers(fold, _shape(), visibility, tally, set())
    return tally.rows, tally.missing, tally.extra, tally.different, Counter(tally.candidates)


def _written(directory: Path, table: dict[int, str]) -> Path:
    path = directory / "rows.copy"
    path.write_bytes(b"".join(_row(n, text).replace(b"\\", b"\\\\") + b"\n" for n, text in table.items()))
    return path


@given(table=_TABLES, topic=_TABLES, chunk=st.sampled_from([1, 40, 1 << 20]))
def test_sets_and_keys_find_the_same(tmp_path_factory, table: dict[int, str], topic: dict[int, str], chunk: int):
    path = _written(tmp_path_factory.mktemp("compare"), table)
    rows = {_key(n): _row(n, text) for n, text in topic.items()}
    original = compare._CHUNK, compare._hold_their_keys
    try:
        compare._CHUNK = chunk
        quick = _compared(path, rows)
        compare._hold_their_keys = lambda _rows: False
        plain = _compared(path, rows)
    finally:
        compare._CHUNK, compare._hold_their_keys = original
    assert quick == plain
    assert quick[1:4] == (
        len(table.keys() - topic.keys()), len(topic.keys() - table.keys()),
        sum(1 for n in table.keys() & topic.keys() if table[n] != topic[n]),
    )  # fmt: skip


def test_a_row_under_a_wrong_key_does_not_pass_for_a_right_one(tmp_path: Path):
    path = _written(tmp_path, {1: "a", 12: "b"})
    assert _compared(path, {_key(1): _row(12, "b"), _key(12): _row(1, "a")})[1:4] == (0, 0, 2)
    assert _compared(path, {_key(1): _row(1, "a"), _key(12): _row(12, "b"), _key(7): _row(1, "a")})[1:4] == (0, 1, 0)
