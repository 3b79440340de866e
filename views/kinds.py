"""Opening a view's store, whatever its kind; what only one kind needs is imported when it is asked for."""

from __future__ import annotations

from pathlib import Path

from views.errors import MemoryLimit
from views.memory_use import physical_bytes
from views.options import ViewConfig
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
        from views.memory import MemoryImage

        return MemoryImage(config.topics, limit_bytes=memory_limit(config))
    assert path is not None
    if config.kind == "rocksdb":
        from views.rocks import RocksStore

        return RocksStore(path, config.topics, read_only=read_only)
    from views.sqlite import SqliteStore

    return SqliteStore(
        path, config.topics, search=config.search, select=config.select, key=config.key, index=config.index,
        read_only=read_only,
    )  # fmt: skip


def memory_limit(config: ViewConfig) -> int:
    """Bytes that the rows of a memory image may take."""
    return config.memory_limit if config.memory_limit is not None else int(physical_bytes() * MEMORY_SHARE)


def open_image(config: ViewConfig) -> Store | None:
    """The memory image that an earlier run has left as a file; None where there is none of these topics.

    Raises:
        ViewDamaged: It is not as it was written.
        MemoryLimit: It holds more than may be taken.
    """
    from views.image_file import FILE, read_image
    from views.memory import MemoryImage

    assert config.path is not None
    file, limit = config.path / FILE, memory_limit(config)
    # The file holds what memory will hold, but for a few headers.
    if file.exists() and (size := file.stat().st_size) > limit:
        raise MemoryLimit(
            f"{file} would take {size / 1e6:,.0f} MB, {limit / 1e6:,.0f} MB are allowed",
            hint='raise memory_limit, keep fewer columns with fields, or take kind = "rocksdb"',
        )
    found = read_image(file)
    if found is None or not set(found[1]) <= set(config.topics):
        return None
    image = MemoryImage(config.topics, limit_bytes=limit)
    image.restore(*found)
    return image


def write_image_of(store: Store, config: ViewConfig) -> None:
    """Write a memory image as a file, once it is complete.

    Raises:
        StoreFull: The disk is full.
    """
    from views.image_file import FILE, write_image
    from views.memory import MemoryImage

    assert isinstance(store, MemoryImage)
    assert config.path is not None
    if store.state.complete:
        state, arenas = store.capture()
        write_image(config.path / FILE, state, arenas)
