"""SQL and full text, embedded: SQLite, with rows, deletions and offsets in one transaction.

Each topic is a table: `_key`, `_row` (the row as JSON, exactly as it came), `_partition`, `_offset`, `_source`, and one
column for each field of its rows, which SQLite computes from `_row` when it is asked for. A field that appears later
becomes a column then.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec
import orjson

from cdc.lsn import Position
from views.batch import Batch, DeadLetter, Row, Run, ViewState, parse_position
from views.columns import FieldWatch
from views.errors import QueryRefused, StoreFull, ViewDamaged
from views.folding import Changes, final_changes
from views.store import DEAD_LETTERS_KEPT, Store
from views.tables import table_of

FILE: Final = "view.sqlite"
RESULT: Final = "result"
_OWN: Final = frozenset({"_id", "_key", "_row", "_partition", "_offset", "_source", "rowid", "oid"})
_FULL: Final = ("full", "disk I/O error", "readonly", "unable to open")


class SqliteStore(Store):
    """Rows in SQLite.

    Args:
        path: Its directory, made when it is not there.
        topics: What it holds.
        search: Columns for full-text search; none when empty.
        select: One SQL statement over the topics' tables: the view shows its result in place of the topics.
        key: The result's key columns.
        index: `table.column` to make an index on, for joins and conditions of `select`.
        read_only: Open beside a process that writes.

    Raises:
        ViewDamaged: What lies there cannot be read.
        QueryRefused: `select` is not a statement that can be read.
    """

    kind: ClassVar[str] = "sqlite"

    def __init__(
        self, path: Path, topics: Sequence[str], *, search: Sequence[str] = (), select: str | None = None,
        key: Sequence[str] = (), index: Sequence[str] = (), read_only: bool = False,
    ) -> None:  # fmt: skip
        self.path = path
        self.file = path / FILE
        self.topics = tuple(topics)
        self.tables = table_names(topics)
        self.search_columns = tuple(search)
        self.select = select
        self.key = tuple(key)
        self._index = tuple(index)
        self._readers = threading.local()
        self._open_readers: list[sqlite3.Connection] = []
        self._lock = threading.RLock()
        self._loading = False
        self._fields = {topic: FieldWatch() for topic in topics}
        if not read_only:
            path.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = _connect(self.file, read_only=read_only)
            if not read_only:
                self._create()
            self._state = self._read_state()
            for topic, table in self.tables.items():
                self._fields[topic].learn(self._columns(table))
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def _create(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run("CREATE TABLE IF NOT EXISTS _seam_state (id INTEGER PRIMARY KEY, state TEXT NOT NULL)")
        run("CREATE TABLE IF NOT EXISTS _seam_dead (number INTEGER PRIMARY KEY, letter TEXT NOT NULL)")
        for table in self.tables.values():
            run(
                f"CREATE TABLE IF NOT EXISTS {table} (_id INTEGER PRIMARY KEY, _key BLOB NOT NULL, _row TEXT, "
                "_partition INTEGER NOT NULL, _offset INTEGER NOT NULL, _source TEXT)"
            )
        self._create_indexes()

    def _create_indexes(self) -> None:
        for table in self.tables.values():
            name = table.strip('"')
            self._connection.execute(f'CREATE UNIQUE INDEX IF NOT EXISTS "{name}_key" ON {table} (_key)')
        self._derive()

    def _derive(self) -> None:
        """Make what hangs on columns as soon as they are known: indexes, full text, the result."""
        run = self._connection.execute
        for number, place in enumerate(self._index):
            table, _, column = place.rpartition(".")
            quoted = _quoted(table) if table else next(iter(self.tables.values()))
            if quoted in self.tables.values() and column in self._columns(quoted):
                run(f'CREATE INDEX IF NOT EXISTS "_seam_index_{number}" ON {quoted} ({_quoted(column)})')
        if self.search_columns:
            for table in self.tables.values():
                present = [c for c in self.search_columns if c in self._columns(table)]
                if len(present) == len(self.search_columns) and not self._exists(_fts(table)):
                    self._create_full_text(table)
        if self.select is not None and not self._exists(_quoted(RESULT)):
            self._create_result()

    def _create_full_text(self, table: str) -> None:
        run, fts = self._connection.execute, _fts(table)
        columns = ", ".join(map(_quoted, self.search_columns))
        run(
            f"CREATE VIRTUAL TABLE {fts} USING fts5({columns}, content={table}, content_rowid=_id, "
            "tokenize='unicode61 remove_diacritics 2')"
        )
        run(f"INSERT INTO {fts}({fts}) VALUES ('rebuild')")
        name = table.strip('"')
        old, new = (", ".join(f"{side}.{_quoted(c)}" for c in self.search_columns) for side in ("old", "new"))
        # Triggers take no parameters; every name in them is ours or quoted.
        gone = f"INSERT INTO {fts}({fts}, rowid, {columns}) VALUES ('delete', old._id, {old});"
        come = f"INSERT INTO {fts}(rowid, {columns}) VALUES (new._id, {new});"
        run(f'CREATE TRIGGER "{name}_fts_insert" AFTER INSERT ON {table} BEGIN {come} END')
        run(f'CREATE TRIGGER "{name}_fts_delete" AFTER DELETE ON {table} BEGIN {gone} END')
        run(f'CREATE TRIGGER "{name}_fts_update" AFTER UPDATE OF _row ON {table} BEGIN {gone} {come} END')

    def _create_result(self) -> None:
        """The result is a view in SQLite's sense: always as the tables are, at the cost of a query when it is read."""
        try:
            self._connection.execute(f"CREATE VIEW {_quoted(RESULT)} AS {self.select}")
            self._connection.execute(f"SELECT * FROM {_quoted(RESULT)} LIMIT 0")
        except (sqlite3.Error, sqlite3.Warning) as error:
            self._connection.execute(f"DROP VIEW IF EXISTS {_quoted(RESULT)}")
            text = str(error)
            if text.startswith(("no such column", "no such table")):
                self._result_error = text  # a column that no row has shown yet
                return
            raise QueryRefused(
                f"select: {text}", hint="one SELECT over the tables " + ", ".join(self.tables.values())
            ) from error

    _result_error = "no rows were read yet"

    def _exists(self, quoted: str) -> bool:
        query = "SELECT 1 FROM sqlite_master WHERE name = ?"
        return self._connection.execute(query, (quoted.strip('"'),)).fetchone() is not None

    def _columns(self, table: str) -> list[str]:
        rows = self._connection.execute(f"PRAGMA table_xinfo({table})").fetchall()
        return [row[1] for row in rows if row[1] not in _OWN]

    def _read_state(self) -> ViewState:
        row = self._connection.execute("SELECT state FROM _seam_state WHERE id = 0").fetchone()
        if row is None:
            return ViewState()
        try:
            return ViewState.decode(row[0])
        except ValueError as error:
            raise ViewDamaged(f"{self.file}: {error}", hint="seam view rebuild FILE reads the topics anew") from error

    @property
    def state(self) -> ViewState:
        return self._state

    # -- reading -----------------------------------------------------------------------------------------------------

    def _reader(self, *, any_query: bool = False) -> sqlite3.Connection:
        """The thread's connection for reading; for queries of others, one that can do nothing else."""
        name = "guarded" if any_query else "connection"
        connection: sqlite3.Connection | None = getattr(self._readers, name, None)
        if connection is None:
            connection = _connect(self.file, read_only=True)
            if any_query:
                connection.set_authorizer(_only_reading)
            setattr(self._readers, name, connection)
            with self._lock:
                self._open_readers.append(connection)
        return connection

    def get(self, key: bytes, topic: str | None = None) -> Row | None:
        if self.select is not None and topic is None:
            return self._result_row(key)
        name, table = self._table(topic)
        query = f"SELECT _key, _row, _partition, _offset, _source FROM {table} WHERE _key = ?"
        found = self._reader().execute(query, (key,)).fetchone()
        return None if found is None else _row(found, name)

    def get_many(self, keys: Sequence[bytes], topic: str | None = None) -> list[Row | None]:
        reader = self._reader()
        reader.execute("BEGIN")
        try:
            return [self.get(key, topic) for key in keys]
        finally:
            reader.execute("ROLLBACK")

    def _table(self, topic: str | None) -> tuple[str, str]:
        return table_of({name: (name, table) for name, table in self.tables.items()}, topic)

    def range(
        self, start: bytes | None = None, end: bytes | None = None, *, limit: int = 1000, topic: str | None = None
    ) -> list[Row]:
        if self.select is not None and topic is None:
            return self._result_rows(start, end, limit)
        name, table = self._table(topic)
        conditions = [text for text, bound in (("_key >= ?", start), ("_key < ?", end)) if bound is not None]
        where = " WHERE " + " AND ".join(conditions) if conditions else ""
        query = f"SELECT _key, _row, _partition, _offset, _source FROM {table}{where} ORDER BY _key LIMIT ?"
        bounds = [bound for bound in (start, end) if bound is not None]
        return [_row(found, name) for found in self._reader().execute(query, (*bounds, limit))]

    def search(self, text: str, *, limit: int = 20, topic: str | None = None) -> list[Row]:
        """Rows that a full-text query finds, the best first.

        Args:
            text: In FTS5's query language: words, "phrases", AND, OR, NOT, prefix*.
            limit: How many at most.
            topic: Which, in a view of several.

        Raises:
            QueryRefused: The view has no full text, or the query is malformed.
        """
        if not self.search_columns:
            raise QueryRefused("the view has no full text", hint='name the columns: search = ["title", "body"]')
        name, table = self._table(topic)
        fts = _fts(table)
        query = (
            f"SELECT t._key, t._row, t._partition, t._offset, t._source FROM {fts} JOIN {table} t ON t._id = {fts}.rowid "
            f"WHERE {fts} MATCH ? ORDER BY rank LIMIT ?"
        )
        try:
            return [_row(found, name) for found in self._reader().execute(query, (text, limit))]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []  # no row has shown the columns yet
            raise QueryRefused(f"search {text!r}: {error}") from error

    def sql(
        self, query: str, parameters: Sequence[Any] = (), *, limit: int = 10_000
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The columns and rows of any query; nothing can be written.

        Raises:
            QueryRefused: SQLite refuses it.
        """
        try:
            cursor = self._reader(any_query=True).execute(query, parameters)
            names = [column[0] for column in cursor.description or ()]
            return names, cursor.fetchmany(limit)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise QueryRefused(f"sql: {error}", hint="tables: " + ", ".join(self.tables.values())) from error

    def _result_row(self, key: bytes) -> Row | None:
        if not self.key:
            raise QueryRefused("the view has no key", hint='name the result\'s key columns: key = ["id"]')
        values = key_values(key, self.key)
        where = " AND ".join(f"{_quoted(column)} IS ?" for column in self.key)
        rows = self._result(f" WHERE {where} LIMIT 1", values)
        return rows[0] if rows else None

    def _result_rows(self, start: bytes | None, end: bytes | None, limit: int) -> list[Row]:
        if start is None and end is None and not self.key:
            return self._result(" LIMIT ?", [limit])
        rows = sorted(self._result("", []))  # by key bytes, as every other kind has it
        return [r for r in rows if (start is None or r.key >= start) and (end is None or r.key < end)][:limit]

    def _result(self, tail: str, parameters: Sequence[Any]) -> list[Row]:
        try:
            cursor = self._reader().execute(f"SELECT * FROM {_quoted(RESULT)}{tail}", parameters)
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []  # no row has shown the columns yet
            raise QueryRefused(f"select: {error}") from error
        names = [column[0] for column in cursor.description]
        rows = []
        for values in cursor:
            row = dict(zip(names, values, strict=True))
            key = orjson.dumps({name: row.get(name) for name in self.key})
            rows.append(Row(key, orjson.dumps(row, default=_text), RESULT, -1, -1))
        return rows

    def count(self, topic: str | None = None) -> int:
        if self.select is not None and topic is None:
            try:
                return int(self._reader().execute(f"SELECT count(*) FROM {_quoted(RESULT)}").fetchone()[0])
            except sqlite3.OperationalError:
                return 0
        tables = self.tables.values() if topic is None else [self._table(topic)[1]]
        return sum(self._reader().execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)

    def dead_letters(self) -> list[DeadLetter]:
        rows = self._reader().execute("SELECT letter FROM _seam_dead ORDER BY number").fetchall()
        return [DeadLetter(**msgspec.json.decode(row[0])) for row in rows]

    def size_bytes(self) -> int:
        return sum(file.stat().st_size for file in self.path.iterdir() if file.is_file())

    # -- changing ----------------------------------------------------------------------------------------------------

    def begin_load(self) -> None:
        """Append rows without an index, the journal in memory; the index is built from sorted keys at the end."""
        self._loading = True
        run = self._connection.execute
        for table in self.tables.values():
            name = table.strip('"')
            run(f'DROP INDEX IF EXISTS "{name}_key"')
        run("PRAGMA journal_mode = MEMORY")
        run("PRAGMA synchronous = OFF")
        run("PRAGMA cache_size = -65536")
        run("BEGIN")

    def end_load(self) -> None:
        if not self._loading:
            return
        run = self._connection.execute
        try:
            for table in self.tables.values():
                self._settle(table)
            run("COMMIT")
            self._create_indexes()
            run("PRAGMA cache_size = -8192")
            run("PRAGMA journal_mode = WAL")
            run("PRAGMA synchronous = NORMAL")
            with self.file.open("rb+") as file:
                os.fsync(file.fileno())
        except sqlite3.Error as error:
            raise self._failure(error) from error
        self._loading = False

    def _settle(self, table: str) -> None:
        """Keep the last version of each row; most loads have no others, and then only the index is built."""
        run = self._connection.execute
        name = table.strip('"')
        try:
            run(f'CREATE UNIQUE INDEX "{name}_key" ON {table} (_key)')
        except sqlite3.IntegrityError:
            run(f'CREATE INDEX "{name}_versions" ON {table} (_key, _id)')
            run(
                f"DELETE FROM {table} WHERE _id IN (SELECT _id FROM (SELECT _id, _key = lead(_key) OVER "
                "(ORDER BY _key, _id) AS older FROM " + table + ") WHERE older)"
            )
            run(f'DROP INDEX "{name}_versions"')
            run(f'CREATE UNIQUE INDEX "{name}_key" ON {table} (_key)')
        run(f"DELETE FROM {table} WHERE _row IS NULL")

    def apply(self, batch: Batch) -> None:
        if self._loading and all(isinstance(item, Run) and not item.partial for item in batch.items):
            try:
                for run in batch.runs():
                    self._append(run)
                self._store_state(batch)
            except sqlite3.Error as error:
                raise self._failure(error) from error
            return
        if self._loading:
            self.end_load()
        with self._lock:
            execute = self._connection.execute
            try:
                execute("BEGIN IMMEDIATE")
                for topic, changes in final_changes(batch, self._sources).items():
                    self._change(topic, changes)
                self._store_state(batch)
                execute("COMMIT")
            except sqlite3.Error as error:
                with contextlib.suppress(sqlite3.Error):
                    execute("ROLLBACK")
                raise self._failure(error) from error
            except BaseException:
                execute("ROLLBACK")
                raise
            self._state = batch.state

    def _append(self, run: Run) -> None:
        table = self.tables[run.topic]
        values = [None if value is None else value.decode() for value in run.values]
        self._watch(run.topic, table, run.values)
        sources: Iterable[str | None] = (
            (None for _ in values)
            if run.sources is None
            else (None if source is None else str(source) for source in run.sources)
        )
        partitions = (run.partition for _ in values)
        self._connection.executemany(
            f"INSERT INTO {table} (_key, _row, _partition, _offset, _source) VALUES (?, ?, ?, ?, ?)",
            zip(run.keys, values, partitions, run.offsets, sources, strict=False),
        )

    def _change(self, topic: str, changes: Changes) -> None:
        table = self.tables[topic]
        self._watch(topic, table, [entry[0] for entry in changes.values() if entry is not None])
        gone = [(key,) for key, entry in changes.items() if entry is None]
        if gone:
            self._connection.executemany(f"DELETE FROM {table} WHERE _key = ?", gone)
        come = [
            (key, entry[0].decode(), entry[1], entry[2], None if entry[3] is None else str(entry[3]))
            for key, entry in changes.items()
            if entry is not None
        ]
        if come:
            self._connection.executemany(
                f"INSERT INTO {table} (_key, _row, _partition, _offset, _source) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (_key) DO UPDATE SET _row = excluded._row, _partition = excluded._partition, "
                "_offset = excluded._offset, _source = excluded._source",
                come,
            )

    def _watch(self, topic: str, table: str, rows: Sequence[bytes | None]) -> None:
        """Make a column of each field that no row had before."""
        fresh = self._fields[topic].unknown(rows)
        for name in fresh:
            if name in _OWN or '"' in name:
                continue
            with contextlib.suppress(sqlite3.OperationalError):  # two names that differ only in case
                path = f'$."{name}"'.replace("'", "''")
                self._connection.execute(
                    f"ALTER TABLE {table} ADD COLUMN {_quoted(name)} GENERATED ALWAYS AS (json_extract(_row, '{path}')) VIRTUAL"
                )
        if fresh and not self._loading:
            self._derive()

    def _store_state(self, batch: Batch) -> None:
        first = batch.state.dead - len(batch.dead)
        letters = [(first + i, msgspec.json.encode(letter.as_json()).decode()) for i, letter in enumerate(batch.dead)]
        if letters:
            self._connection.executemany("INSERT OR REPLACE INTO _seam_dead VALUES (?, ?)", letters)
            self._connection.execute("DELETE FROM _seam_dead WHERE number < ?", (batch.state.dead - DEAD_LETTERS_KEPT,))
        self._connection.execute(
            "INSERT INTO _seam_state VALUES (0, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state",
            (batch.state.encode().decode(),),
        )
        if self._loading:
            self._state = batch.state

    def _sources(self, topic: str) -> Iterator[tuple[bytes, Position | None]]:
        query = f"SELECT _key, _source FROM {self.tables[topic]}"
        for key, source in self._connection.execute(query).fetchall():
            yield key, None if source is None else parse_position(source)

    def _failure(self, error: sqlite3.Error) -> Exception:
        text = f"{self.file}: {error}"
        if isinstance(error, sqlite3.OperationalError) and any(word in str(error) for word in _FULL):
            return StoreFull(text, hint="free some space; the view goes on by itself")
        return ViewDamaged(text, hint="seam view rebuild FILE reads the topics anew")

    def close(self) -> None:
        with self._lock:
            for connection in self._open_readers:
                connection.close()
            self._open_readers.clear()
            self._connection.close()


def _connect(file: Path, *, read_only: bool) -> sqlite3.Connection:
    uri = f"{file.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=30.0)
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


_READING: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})


def _only_reading(action: int, first: str | None, second: str | None, *_where: str | None) -> int:
    """What a query of others may do: neither write, nor attach files, nor load code."""
    if action in _READING:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and second not in ("load_extension", "readfile", "writefile", "edit"):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first == "data_version":
        return sqlite3.SQLITE_OK  # full text asks for it
    return sqlite3.SQLITE_DENY


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _fts(table: str) -> str:
    return _quoted(table.strip('"') + "_fts")


def table_names(topics: Sequence[str]) -> dict[str, str]:
    """Topic -> quoted table name: its last part, or the whole name where two end alike."""
    ends = [topic.rpartition(".")[2] for topic in topics]
    return {
        topic: _quoted(re.sub(r"[^A-Za-z0-9_]", "_", end if ends.count(end) == 1 else topic))
        for topic, end in zip(topics, ends, strict=True)
    }


def key_values(key: bytes, columns: Sequence[str]) -> list[Any]:
    """The values of a key's columns, from its JSON object.

    Raises:
        QueryRefused: It is not one with these columns.
    """
    try:
        document = orjson.loads(key)
        return [document[column] for column in columns]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise QueryRefused(f"the key is a JSON object with {', '.join(columns)}") from error


def _row(found: tuple[Any, ...], topic: str) -> Row:
    key, value, partition, offset, source = found
    return Row(key, value.encode(), topic, partition, offset, None if source is None else parse_position(source))


def _text(value: Any) -> str:
    return bytes(value).decode("utf-8", "replace")
