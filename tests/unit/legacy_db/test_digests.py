"""Digests never say equal of what is not, and what they doubt holds every difference that a fold finds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import confluent_kafka
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.visibility import Snapshot
from legacy_db import digests
from legacy_db.compare import Tally, compare_file, leftovers
from legacy_db.digests import FileDigests, KeyDigest, TopicDigest, doubtful, narrow_file, only
from legacy_db.expected import LITERAL
from legacy_db.shape import KEY_END
from legacy_db.topic_fold import Fold, RecordParser, Visibility

MARKER = "__debezium_unavailable_value"
SNAPSHOT = Snapshot(500, 500, frozenset())
SEEN, UNSEEN = 107, 750

_TEXTS = st.sampled_from(["", "a", "b\\c", 'q"', "tab\t", "line\nend", "ä", '},"source":{"version":"', MARKER])


class Written(NamedTuple):
    """One change that the topic was told of."""

    op: str
    number: int
    text: str
    xid: int | None
    before: bool = False


_CHANGES = st.lists(
    st.builds(
        Written, st.sampled_from("cur" "cu" "d" "x"), st.integers(0, 9), _TEXTS, st.sampled_from([None, 7, SEEN, SEEN, 499, UNSEEN]), st.booleans()
    ),
    max_size=25,
)  # fmt: skip
_TABLES = st.dictionaries(st.integers(0, 11), _TEXTS, max_size=12)


def _shape(*, leading: bool = True) -> Any:
    """As much of a table as a comparison asks for: an integer key and a text that may be left out."""
    column = SimpleNamespace(
        name="id" if leading else "v",
        codec=SimpleNamespace(schema=SimpleNamespace(type=SimpleNamespace(value="int32"))),
    )
    return SimpleNamespace(
        expected={"id": LITERAL, "v": LITERAL}, key=("id",), literal_key=True, markers={"v": MARKER},
        marker_texts=(MARKER.encode(),), canonical_key=lambda key, **_side: key,
        layout=SimpleNamespace(modes=SimpleNamespace(decimal_numeric=False), columns=[column], key=[column]),
        same=lambda _name, topic, legacy: "" if topic == legacy else None,
    )  # fmt: skip


def _row(number: int, text: str) -> bytes:
    return orjson.dumps({"id": number, "v": text})


def _key(number: int) -> bytes:
    return orjson.dumps({"id": number})


def _message(offset: int, change: Written) -> Any:
    """A record as the pipeline writes it; op x is a tombstone."""
    value = None
    if change.op != "x":
        row = _row(change.number, change.text)
        before = row if change.before or change.op == "d" else b"null"
        after = b"null" if change.op == "d" else row
        xid = b"null" if change.xid is None else str(change.xid).encode()
        value = b"".join(
            (
                b'{"before":', before, b',"after":', after, b',"source":{"version":"3.6","name":"', b"n" * (offset % 3 or 1), b'","txId":', xid,
                b',"lsn":12,"xmin":null},"transaction":null,"op":"', change.op.encode(), b'","ts_ms":1}',
            )
        )  # fmt: skip
    return confluent_kafka.Message(topic="t", partition=0, offset=offset, key=_key(change.number), value=value)


def _messages(changes: Sequence[Written]) -> list[Any]:
    return [_message(offset, change) for offset, change in enumerate(changes)]


def _written(directory: Path, table: Sequence[tuple[int, str]], *, leading: bool) -> Path:
    path = directory / "rows.copy"
    lines = [_row(n, text) if leading else _key(n) + KEY_END.encode() + _row(n, text) for n, text in table]
    path.write_bytes(b"".join(line.replace(b"\\", b"\\\\") + b"\n" for line in lines))
    return path


def _in_full(path: Path, messages: Sequence[Any], *, leading: bool) -> set[bytes]:
    """The reference: the keys that a fold and a comparison of all rows find different."""
    fold = Fold(_shape(leading=leading), Visibility(SNAPSHOT), {}, RecordParser("t", None))
    fold.take(messages)
    fold.finish()
    tally, matched = Tally(), set[bytes]()
    compare_file(path, _shape(leading=leading), fold, fold.visibility, tally, matched, once=True, leading=leading)
    leftovers(fold, _shape(leading=leading), fold.visibility, tally, matched)
    return {key for key, _, _ in tally.candidates}


def _digests(path: Path, batches: Sequence[Sequence[Any]], *, leading: bool) -> tuple[TopicDigest, set[int]]:
    topic = TopicDigest(_shape(leading=leading), Visibility(SNAPSHOT), RecordParser("t", None))
    for batch in batches:
        topic.take(batch)
    files = FileDigests(topic.key_digest)
    files.take(path)
    return topic, doubtful(topic, files, one_snapshot=True)


@given(
    changes=_CHANGES, others=_TABLES, same=st.booleans(), batch=st.sampled_from([1, 3, 100]),
    chunk=st.sampled_from([1, 40, 1 << 18]), leading=st.booleans(),
)  # fmt: skip
def test_every_difference_that_a_fold_finds_is_doubted(
    tmp_path_factory: Any,
    changes: list[Written],
    others: dict[int, str],
    *,
    same: bool,
    batch: int,
    chunk: int,
    leading: bool,
):
    table = dict(others)
    if same:  # what the topic says, but for a few rows
        table = {number: table.get(number, text) if number == 3 else text for number, text in _folded(changes).items()}
    messages = _messages(changes)
    path = _written(tmp_path_factory.mktemp("digests"), list(table.items()), leading=leading)
    original = digests.CHUNK_BYTES
    digests.CHUNK_BYTES = chunk
    try:
        topic, doubts = _digests(
            path, [messages[at : at + batch] for at in range(0, len(messages), batch)], leading=leading
        )
        different = _in_full(path, messages, leading=leading)
        assert {topic.key_digest.of_topic(key) for key in different} <= doubts
        # And looking at these keys alone finds the same.
        narrow = path.with_suffix(".narrow")
        narrow_file(path, narrow, topic.key_digest, doubts)
        assert _in_full(narrow, only(messages, topic.key_digest, doubts), leading=leading) == different
    finally:
        digests.CHUNK_BYTES = original
    if not any(change.text == MARKER or change.xid == UNSEEN for change in changes):
        assert len(doubts) == len(different)


def _folded(changes: Sequence[Written]) -> dict[int, str]:
    rows: dict[int, str] = {}
    for change in changes:
        if change.op in "dx":
            rows.pop(change.number, None)
        else:
            rows[change.number] = change.text
    return rows


def _doubts(path: Path, *changes: Written, one_snapshot: bool = True) -> set[int]:
    topic = TopicDigest(_shape(), Visibility(SNAPSHOT), RecordParser("t", None))
    topic.take(_messages(changes))
    files = FileDigests(topic.key_digest)
    files.take(path)
    return doubtful(topic, files, one_snapshot=one_snapshot)


def _digest_of(number: int) -> int:
    return KeyDigest(_shape(), RecordParser("t", None)).of_topic(_key(number))


def test_a_row_under_a_wrong_key_is_doubted(tmp_path: Path):
    path = _written(tmp_path, [(1, "a"), (12, "b")], leading=True)
    right, wrong = _message(0, Written("c", 1, "a", SEEN)), _message(1, Written("c", 12, "b", SEEN))
    swapped = [
        confluent_kafka.Message(topic="t", partition=0, offset=0, key=_key(12), value=right.value()),
        confluent_kafka.Message(topic="t", partition=0, offset=1, key=_key(1), value=wrong.value()),
    ]
    _, doubts = _digests(path, [swapped], leading=True)
    assert doubts == {_digest_of(1), _digest_of(12)}
    _, doubts = _digests(path, [[right, wrong]], leading=True)
    assert doubts == set()


def test_a_version_that_the_snapshot_does_not_see_is_left_aside_and_so_is_its_tombstone(tmp_path: Path):
    path = _written(tmp_path, [(1, "a"), (2, "b")], leading=True)
    changes = (
        Written("c", 1, "a", SEEN), Written("c", 2, "b", SEEN), Written("u", 1, "later", UNSEEN),
        Written("d", 2, "b", UNSEEN), Written("x", 2, "", None), Written("c", 3, "new", UNSEEN),
    )  # fmt: skip
    assert _doubts(path, *changes) == set()
    # Another snapshot of the same verification may see it.
    assert _doubts(path, *changes, one_snapshot=False) == {_digest_of(1), _digest_of(2), _digest_of(3)}


def test_of_records_that_are_alike_none_passes_unseen(tmp_path: Path):
    path = _written(tmp_path, [(1, "a"), (2, "b")], leading=True)
    changes = (Written("c", 1, "a", SEEN), Written("c", 2, "b", SEEN), Written("u", 1, "c", UNSEEN))
    alike = [_message(0, change) for change in changes]
    _, doubts = _digests(path, [alike], leading=True)
    assert doubts == set()
    _, doubts = _digests(path, [[*alike, _message(0, Written("c", 3, "d", SEEN))]], leading=True)
    assert doubts == {_digest_of(3)}


def test_records_whose_source_has_another_length_are_read_all_the_same(tmp_path: Path):
    path = _written(tmp_path, [(1, "a"), (2, "b"), (3, "c")], leading=True)
    assert _doubts(path, *(Written("c", n, text, SEEN) for n, text in ((1, "a"), (2, "b"), (3, "c")))) == set()


def test_a_tombstone_alone_takes_its_row_away(tmp_path: Path):
    path = _written(tmp_path, [(1, "a")], leading=True)
    assert _doubts(path, Written("c", 1, "a", SEEN), Written("x", 1, "", None)) == {_digest_of(1)}
    assert _doubts(_written(tmp_path, [], leading=True), Written("c", 1, "a", SEEN), Written("x", 1, "", None)) == set()


def test_a_version_that_was_published_after_one_that_the_snapshot_does_not_see_is_doubted(tmp_path: Path):
    path = _written(tmp_path, [(1, "b")], leading=True)
    assert _doubts(path, Written("u", 1, "a", UNSEEN), Written("r", 1, "b", None)) == {_digest_of(1)}


def test_a_key_that_is_twice_in_the_table_is_doubted(tmp_path: Path):
    path = _written(tmp_path, [(1, "a"), (1, "a")], leading=True)
    assert _doubts(path, Written("c", 1, "a", SEEN)) == {_digest_of(1)}


@pytest.mark.parametrize("missing", [True, False])
def test_nothing_is_equal_to_nothing_only(tmp_path: Path, *, missing: bool):
    path = _written(tmp_path, [(1, "a")] if missing else [], leading=True)
    assert len(_doubts(path)) == missing


def test_a_truncate_leaves_everything_to_the_fold():
    topic = TopicDigest(_shape(), Visibility(SNAPSHOT), RecordParser("t", None))
    value = b'{"before":null,"after":null,"source":{"version":"3.6","txId":7,"lsn":12},"op":"t"}'
    topic.take([confluent_kafka.Message(topic="t", partition=0, offset=0, key=None, value=value)])
    assert topic.truncated


def test_a_key_change_with_a_value_that_was_left_out_doubts_the_old_key_too(tmp_path: Path):
    message = _message(0, Written("c", 2, MARKER, SEEN))
    moved = confluent_kafka.Message(
        topic="t",
        partition=0,
        offset=0,
        key=message.key(),
        value=message.value(),
        headers=[("__debezium.oldkey", _key(1))],
    )
    topic = TopicDigest(_shape(), Visibility(SNAPSHOT), RecordParser("t", None))
    topic.take([moved])
    assert topic.doubts == {_digest_of(1), _digest_of(2)}
