"""A memory image as a file: a start reads it and then only the tail of the topics.

    magic, length of the header, header (JSON), columns and chunks of each topic, CRC-32 of everything before it

The state stands inside, so that rows and offsets are of one moment. Whatever does not fit makes the file worthless, not
the view: it is then built from the topics.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Final

import msgspec
import numpy as np

from views.arena import Arena, Columns
from views.batch import ViewState
from views.errors import StoreFull, ViewDamaged
from views.generations import sync_directory

FILE: Final = "image"
_MAGIC: Final = b"SEAMIMG1"
_NAMES: Final = ("address", "key_length", "value_length", "partition", "offset")
_SOURCE_NAMES: Final = ("lsn", "ordinal", "epoch")


def write_image(file: Path, state: ViewState, arenas: dict[str, Arena | None]) -> None:
    """Write an image; the file is there as before or as wanted, whatever happens in between.

    Raises:
        StoreFull: The disk is full or not writable.
    """
    tables = [_description(topic, arena) for topic, arena in arenas.items() if arena is not None]
    header = msgspec.json.encode({"state": state.encode().decode(), "tables": tables})
    temporary = file.with_name(file.name + ".new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as out:
            check = 0
            for piece in _pieces(header, [arena for arena in arenas.values() if arena is not None]):
                out.write(piece)
                check = zlib.crc32(piece, check)
            out.write(check.to_bytes(4, "big"))
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(file)
        sync_directory(file.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreFull(f"{file}: {error.strerror}") from error


def _description(topic: str, arena: Arena) -> dict[str, Any]:
    columns = _columns_of(arena)
    return {
        "topic": topic, "count": len(arena), "shift": arena.shift, "epochs": arena.epochs,
        "chunks": [len(chunk) for chunk in arena.chunks],
        "columns": [[name, values.dtype.str] for name, values in columns],
    }  # fmt: skip


def _columns_of(arena: Arena) -> list[tuple[str, Any]]:
    columns = [(name, getattr(arena.columns, name)) for name in _NAMES]
    if arena.columns.source is not None:
        columns += zip(_SOURCE_NAMES, arena.columns.source, strict=True)
    return columns


def _pieces(header: bytes, arenas: Iterable[Arena]) -> Iterable[Any]:
    yield _MAGIC + len(header).to_bytes(8, "big") + header
    for arena in arenas:
        for _, values in _columns_of(arena):
            yield memoryview(values).cast("B") if len(values) else b""
        yield from arena.chunks


def read_image(file: Path) -> tuple[ViewState, dict[str, Arena]] | None:
    """Read an image; None when there is none.

    Raises:
        ViewDamaged: It is not as it was written.
    """
    try:
        with file.open("rb") as source:
            return _read(source, file)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, IndexError, msgspec.DecodeError) as error:
        raise ViewDamaged(f"{file}: {error}", hint="it is built from the topics anew") from error


class _Checked:
    """Reads and counts along."""

    def __init__(self, source: IO[bytes]) -> None:
        self.source = source
        self.check = 0

    def read(self, count: int) -> bytes:
        data = self.source.read(count)
        if len(data) != count:
            raise ValueError(f"it ends {count - len(data)} bytes too early")
        self.check = zlib.crc32(data, self.check)
        return data


def _read(source: IO[bytes], file: Path) -> tuple[ViewState, dict[str, Arena]]:
    checked = _Checked(source)
    if checked.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it is no image, or of another version")
    length = int.from_bytes(checked.read(8), "big")
    if length > file.stat().st_size:
        raise ValueError("its header is longer than the file")
    header = msgspec.json.decode(checked.read(length))
    arenas = {}
    for table in header["tables"]:
        columns = {}
        for name, kind in table["columns"]:
            dtype = np.dtype(kind)
            columns[name] = np.frombuffer(checked.read(dtype.itemsize * table["count"]), dtype)
        chunks = [checked.read(size) for size in table["chunks"]]
        told = (columns["lsn"], columns["ordinal"], columns["epoch"]) if "lsn" in columns else None
        held = Columns(
            columns["address"], columns["key_length"], columns["value_length"], columns["partition"],
            columns["offset"], told,
        )  # fmt: skip
        arenas[table["topic"]] = (chunks, table["shift"], held, table["epochs"])
    if source.read(5) != checked.check.to_bytes(4, "big"):
        raise ValueError("its checksum does not fit")
    state = ViewState.decode(header["state"])
    built = {
        topic: Arena(chunks, shift, columns, [(int(s), int(t)) for s, t in epochs])
        for topic, (chunks, shift, columns, epochs) in arenas.items()
    }
    return state, built
