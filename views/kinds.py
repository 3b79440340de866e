"""Opening a view's store, whatever its kind."""

from __future__ import annotations

from pathlib import Path

from views.memory import MemoryImage
from views.memory_use import physical_bytes
from views.options import ViewConfig
from views.rocks import RocksStore
from views.sqlite import SqliteStore
from views.store import Store

MEMORY_SHARE = 0.5


def open_store(config: ViewConfig, path: Path | None, *, read_only: bool = False) -> Store:
    """The store of a view.

    Args:
        config: The view.
        path: The store's directory; not used for memory.
        read_only: Open beside a process that writes.

    Raises:
        ViewDamaged: What lies there cannot be read.
        QueryRefused: The view's `select` is malformed.
    """
    if config.kind == "memory":
        limit = config.memory_limit if config.memory_limit is not None else int(physical_bytes() * MEMORY_SHARE)
        return MemoryImage(config.topics, limit_bytes=limit)
    assert path is not None
    if config.kind == "rocksdb":
        return RocksStore(path, config.topics, read_only=read_only)
    return SqliteStore(
        path, config.topics, search=config.search, select=config.select, key=config.key, index=config.index,
        read_only=read_only,
    )  # fmt: skip
