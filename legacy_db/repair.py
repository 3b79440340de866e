"""Mending a topic through the log: rows are read again by the engine, and a delete that was missed is sent again.

Never the view: it is mended by what comes out of the topic. Both are asked of the engine, which alone writes the topic and puts
them into the stream in the right place; when nobody runs it, it runs here until they are sent.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from psycopg import sql

from cdc.errors import OperatorError, WaitExpired
from cdc.kafka.admin import Admin
from cdc.kafka.positions import ensure_topics
from cdc.kafka.reader import TopicReader
from cdc.kafka.signals import SIGNALS_TOPIC, read_requests, write_requests
from cdc.postgres.gone_rows import REQUEST_BYTES, gone_row
from cdc.postgres.slot import read_slot
from cdc.requests import Kind, Request, State
from legacy_db.bridge import Bridge
from legacy_db.cut import is_running
from legacy_db.decode import map_column
from legacy_db.shape import TableShape, key_payload
from legacy_db.steps.bootstrap import literal
from legacy_db.verify_model import TableResult

WAIT_SECONDS: Final = 300.0
POLL_SECONDS: Final = 0.1


@dataclass(slots=True)
class Repaired:
    """What was sent.

    Attributes:
        reads: Rows that were read again.
        deletes: Deletes that were sent again.
    """

    reads: int = 0
    deletes: int = 0


def repair(
    bridge: Bridge, shapes: dict[str, TableShape], results: Sequence[TableResult], say: Callable[[str], None]
) -> Repaired:
    """Send corrective records for the differences that a verification has shown (at most the first hundred a table).

    Raises:
        OperatorError: The engine could not do it; or a table has no key, after the others were mended.
        WaitExpired: The engine did not do it in time.
    """
    done = Repaired()
    wanted = [result for result in results if result.mismatches and result.key]
    keyless = [result.table for result in results if result.mismatches and not result.key]
    extra = {r.table: [d.key for d in r.differences if d.kind == "extra"] for r in wanted}
    reads = {r.table: [d.key for d in r.differences if d.kind != "extra"] for r in wanted}
    if any(extra.values()):
        done.deletes = _delete(bridge, shapes, extra, say)
    if any(reads.values()):
        done.reads = _read_again(bridge, shapes, reads, say)
    if keyless:
        mended = (
            f"; of the other tables {done.reads} rows were read again, {done.deletes} deletes were sent"
            if wanted
            else ""
        )
        raise OperatorError(
            f"{', '.join(keyless)}: rows without a key cannot be mended one by one{mended}",
            hint="no record could take the place of another: give the table a primary key, or make its topic anew "
            "(`seam migrate undo FILE SLICE --to planned`, then `advance`)",
        )
    return done


# -- rows that the legacy has --------------------------------------------------------------------------------------------


def condition(shape: TableShape, keys: Sequence[dict[str, Any]]) -> str:
    """SQL for some keys of the topic."""
    columns = {column.name: column for column in shape.layout.key}
    names = ", ".join(sql.Identifier(columns[name].column.name).as_string() for name in shape.key)
    rows = []
    for key in keys:
        literals = []
        for name in shape.key:
            column = columns[name]
            type_name = shape.column_types[column.column.name]
            mapped = map_column(column.column, type_name, column.codec, shape.types, shape.layout.modes)
            literals.append(f"{sql.Literal(mapped.decode(key[name])).as_string()}::{type_name}")
        rows.append(f"({', '.join(literals)})")
    return f"({names}) in ({', '.join(rows)})"


def _read_again(
    bridge: Bridge, shapes: dict[str, TableShape], keys: dict[str, list[Any]], say: Callable[[str], None]
) -> int:  # fmt: skip
    where = {}
    tables = []
    count = 0
    for table, listed in keys.items():
        if not listed:
            continue
        count += len(listed)
        for member in shapes[table].members:
            tables.append(literal(member))
            where[member.lower()] = condition(shapes[table], listed)
    request = Request(
        bridge.name, f"repair.{secrets.token_hex(6)}", tables=tuple(tables), where=where, time=time.time()
    )  # fmt: skip
    _carry_out(bridge, [request], say)
    return count


def _carry_out(bridge: Bridge, requests: list[Request], say: Callable[[str], None]) -> int:
    """Have the engine do what is asked for; returns how many rows it sent."""
    if bridge.administered:
        ensure_topics(Admin(bridge.kafka), [SIGNALS_TOPIC])
    write_requests(bridge.kafka, requests)
    catalog = bridge.catalog()
    running = is_running(read_slot(catalog, bridge.wanted.slot))
    catalog.connection.close()
    if not running:
        say(f"nobody runs {bridge.name}: running it here until the rows are sent")
        bridge.run(threading.Event(), True, False)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        book = read_requests(bridge.kafka, bridge.name).by_id
        found = [book.get(request.id, request) for request in requests]
        for one in found:
            if one.state is State.FAILED:
                raise OperatorError(f"the engine could not send the rows: {one.message}")
        if all(one.state.ended for one in found):
            return sum(one.rows for one in found)
        if time.monotonic() > deadline:
            raise WaitExpired(
                f"{bridge.name} has not sent the rows within {WAIT_SECONDS:.0f} s",
                hint="is it `seam run` that runs it? The request stands; `seam status` shows the pipeline",
            )
        time.sleep(POLL_SECONDS)


# -- rows that the legacy has no more ------------------------------------------------------------------------------------


def _delete(
    bridge: Bridge, shapes: dict[str, TableShape], keys: dict[str, list[Any]], say: Callable[[str], None]
) -> int:  # fmt: skip
    rows = [row for table, listed in keys.items() if listed for row in _gone(bridge, shapes[table], listed)]
    requests = [
        Request(bridge.name, f"repair.{secrets.token_hex(6)}", Kind.DELETE, gone=tuple(some), time=time.time())
        for some in _portions(rows)
    ]
    return _carry_out(bridge, requests, say)


def _portions(rows: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """As many as one request may carry."""
    some: list[Mapping[str, Any]] = []
    size = 0
    for row in rows:
        more = len(orjson.dumps(row))
        if some and size + more > REQUEST_BYTES:
            yield some
            some, size = [], 0
        some.append(row)
        size += more
    if some:
        yield some


def _gone(bridge: Bridge, shape: TableShape, keys: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    """The last record of each key, turned into its delete.

    A key that the topic never held, as of a row that somebody wrote into the view, gets its tombstone alone; so does one
    whose row is too large for a request.
    """
    wanted = {orjson.dumps(key, option=orjson.OPT_SORT_KEYS): key for key in keys}
    last: dict[bytes, Any] = {}
    any_key: bytes | None = None
    with contextlib.closing(TopicReader(bridge.kafka, shape.topic)) as reader:
        low, high = reader.bounds()
        for messages in reader.batches(low, high):
            for message in messages:
                if message.key() is None:
                    continue
                any_key = message.key()
                key = orjson.dumps(orjson.loads(key_payload(message.key())), option=orjson.OPT_SORT_KEYS)
                if key in wanted and message.value() is not None:
                    last[key] = message
    for key, plain in wanted.items():
        record_key, value = _key_like(any_key, plain), None
        if key in last:
            record_key, value = last[key].key(), delete_of(last[key].value())
            if len(value) > REQUEST_BYTES // 2:
                value = None
        yield gone_row(shape.members, condition(shape, [plain]), shape.topic, record_key, value)


def _key_like(sample: bytes | None, key: Any) -> bytes:
    """A key as the topic's other keys are written, with or without their schema."""
    payload = orjson.dumps(key)
    if sample is None or not sample.startswith(b'{"schema":'):
        return payload
    return sample[: -len(key_payload(sample)) - 1] + payload + b"}"


def delete_of(value: bytes) -> bytes:
    """The delete of the row that an event carries, in the same envelope."""
    document = orjson.loads(value)
    envelope = document["payload"] if "schema" in document and "payload" in document else document
    now = time.time_ns()
    envelope["before"], envelope["after"], envelope["op"] = envelope["after"] or envelope["before"], None, "d"
    envelope["source"]["snapshot"], envelope["source"]["txId"] = "incremental", None
    envelope["ts_ms"], envelope["ts_us"], envelope["ts_ns"] = now // 1_000_000, now // 1000, now
    return orjson.dumps(document)
