"""Mending a topic through the log: rows are read again by the engine, and a delete that was missed is sent again.

Never the view: it is mended by what comes out of the topic. A row that the legacy has is asked of the engine, which
puts it into the stream in the right place. A row that the legacy does not have any more can only be told to be gone;
that record is written here, while no engine writes: a later insert of the key comes later in the log, and so behind it.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from psycopg import sql

from cdc.errors import BrokerUnavailable, OperatorError, WaitExpired
from cdc.kafka.admin import Admin
from cdc.kafka.positions import ensure_topics
from cdc.kafka.producer import Producer
from cdc.kafka.reader import TopicReader
from cdc.kafka.signals import SIGNALS_TOPIC, read_requests, write_requests
from cdc.postgres.slot import read_slot
from cdc.requests import Request, State
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
        OperatorError: A table has no key, or an engine runs and deletes are missing.
    """
    done = Repaired()
    wanted = [result for result in results if result.mismatches]
    keyless = [result.table for result in wanted if not result.key]
    if keyless:
        raise OperatorError(
            f"{', '.join(keyless)}: rows without a key cannot be mended one by one",
            hint="take the slice back and bootstrap it again",
        )
    extra = {r.table: [d.key for d in r.differences if d.kind == "extra"] for r in wanted}
    reads = {r.table: [d.key for d in r.differences if d.kind != "extra"] for r in wanted}
    if any(extra.values()):
        done.deletes = _delete(bridge, shapes, extra)
    if any(reads.values()):
        done.reads = _read_again(bridge, shapes, reads, say)
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
    if bridge.administered:
        ensure_topics(Admin(bridge.kafka), [SIGNALS_TOPIC])
    write_requests(bridge.kafka, [request])
    catalog = bridge.catalog()
    running = is_running(read_slot(catalog, bridge.wanted.slot))
    catalog.connection.close()
    if not running:
        say(f"nobody runs {bridge.name}: running it here until the rows are read")
        bridge.run(threading.Event(), True, False)
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = read_requests(bridge.kafka, bridge.name).by_id.get(request.id, request)
        if found.state is State.FAILED:
            raise OperatorError(f"the engine could not read the rows: {found.message}")
        if found.state.ended:
            return count
        if time.monotonic() > deadline:
            raise WaitExpired(f"{bridge.name} has not read the rows within {WAIT_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)


# -- rows that the legacy has no more ------------------------------------------------------------------------------------


def _delete(bridge: Bridge, shapes: dict[str, TableShape], keys: dict[str, list[Any]]) -> int:
    catalog = bridge.catalog()
    try:
        if is_running(read_slot(catalog, bridge.wanted.slot)):
            raise OperatorError(
                f"{bridge.name} runs, and deletes are missing in its topics: only one may write them",
                hint="stop `seam run`, repair, start it again",
            )
        bridge.run(threading.Event(), True, False)
        sent = 0
        for table, listed in keys.items():
            gone = [key for key in listed if not _exists(catalog, shapes[table], key)]
            if gone:
                sent += _send_deletes(bridge, shapes[table], gone)
        return sent
    finally:
        catalog.connection.close()


def _exists(catalog: Any, shape: TableShape, key: Any) -> bool:
    for member in shape.members:
        quoted = sql.Identifier(*member.split(".", 1)).as_string()
        if catalog.rows(f"select 1 from only {quoted} where {condition(shape, [key])}"):
            return True
    return False


def _send_deletes(bridge: Bridge, shape: TableShape, keys: Sequence[Any]) -> int:
    """The last record of each key, turned into its delete and followed by its tombstone; returns of how many keys.

    A key that the topic never held, as of a row that somebody wrote into the view, gets its tombstone alone.
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
    records: list[tuple[bytes, bytes | None, int | None]] = []
    for key, plain in wanted.items():
        if key in last:
            found = last[key]
            records += [(found.key(), value, found.partition()) for value in (delete_of(found.value()), None)]
        else:
            records.append((_key_like(any_key, plain), None, None))
    producer = Producer(bridge.kafka)
    outcome: list[Any] = []
    for key, value, partition in records:
        producer.send(
            shape.topic, value, key, partition=partition,
            on_delivery=lambda error, _message: outcome.append(error),
        )  # fmt: skip
    producer.client.flush(30.0)
    producer.close()
    if len(outcome) != len(records) or any(outcome):
        raise BrokerUnavailable(f"{producer.where}: a delete was not acknowledged; run the command again")
    return len(wanted)


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
