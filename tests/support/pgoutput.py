"""Writes what `cdc.wire` reads: pgoutput messages and the frames around them, byte by byte."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from cdc.model.relation import Relation as RelationModel
from cdc.wire.frames import POSTGRES_EPOCH_MICROS
from cdc.wire.pgoutput import UNCHANGED, Cell

COMMIT_MICROS = POSTGRES_EPOCH_MICROS + 800_000_000_000_000


def text(value: str) -> bytes:
    return value.encode() + b"\0"


def begin(final_lsn: int, xid: int = 700) -> bytes:
    return struct.pack(">cQqI", b"B", final_lsn, COMMIT_MICROS - POSTGRES_EPOCH_MICROS, xid)


def commit(commit_lsn: int, end_lsn: int) -> bytes:
    return struct.pack(">cBQQq", b"C", 0, commit_lsn, end_lsn, COMMIT_MICROS - POSTGRES_EPOCH_MICROS)


def origin(lsn: int, name: str) -> bytes:
    return struct.pack(">cQ", b"O", lsn) + text(name)


def relation(described: RelationModel) -> bytes:
    head = struct.pack(">cI", b"R", described.oid) + text(described.schema) + text(described.name)
    columns = b"".join(
        bytes([column.key]) + text(column.name) + struct.pack(">Ii", column.type_oid, column.typmod)
        for column in described.columns
    )
    return head + described.identity.value.encode() + struct.pack(">H", len(described.columns)) + columns


def type_message(oid: int, schema: str, name: str) -> bytes:
    return struct.pack(">cI", b"Y", oid) + text(schema) + text(name)


def cells(row: Sequence[Cell]) -> bytes:
    return struct.pack(">H", len(row)) + b"".join(cell(each) for each in row)


def cell(value: Cell) -> bytes:
    if value is None:
        return b"n"
    if value is UNCHANGED:
        return b"u"
    assert isinstance(value, bytes)
    return b"t" + struct.pack(">I", len(value)) + value


def insert(oid: int, new: Sequence[Cell]) -> bytes:
    return struct.pack(">cI", b"I", oid) + b"N" + cells(new)


def update(oid: int, new: Sequence[Cell], old: Sequence[Cell] | None = None, kind: str = "K") -> bytes:
    before = b"" if old is None else kind.encode() + cells(old)
    return struct.pack(">cI", b"U", oid) + before + b"N" + cells(new)


def delete(oid: int, old: Sequence[Cell], kind: str = "K") -> bytes:
    return struct.pack(">cI", b"D", oid) + kind.encode() + cells(old)


def truncate(oids: Sequence[int], flags: int = 0) -> bytes:
    return struct.pack(f">cIB{len(oids)}I", b"T", len(oids), flags, *oids)


def message(prefix: str, content: bytes, *, lsn: int = 0, transactional: bool = True) -> bytes:
    return struct.pack(">cBQ", b"M", transactional, lsn) + text(prefix) + struct.pack(">I", len(content)) + content


def xlog_data(payload: bytes, *, start: int = 0, end: int = 0, clock: int = 0) -> bytes:
    return struct.pack(">cQQq", b"w", start, end, clock) + payload


def keepalive(wal_end: int, *, reply: bool = False, clock: int = 0) -> bytes:
    return struct.pack(">cQqB", b"k", wal_end, clock, reply)
