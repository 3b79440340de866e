"""Postgres as the oracle: what our codecs make of its text is what it says of the value in SQL.

20,000 values by default, 1,000,000 with `pytest -m soak`. A failure prints the seed; SEAM_SEED=N runs it again.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from cdc.converters.json import JsonConverter
from cdc.model.relation import PgType
from cdc.values.registry import Codec, ValueModes, resolve
from tests.integration.values.catalog import PINNED, column_facts, texts, types_behind
from tests.integration.values.oracle import ORACLES, SETUP, Oracle
from tests.stack.postgres import fresh_database

VALUES = 20_000
SOAK_VALUES = 1_000_000


@pytest.fixture(scope="module")
def seed() -> float:
    return float(os.environ.get("SEAM_SEED") or random.uniform(-1, 1))


@pytest.fixture(scope="module")
def connections(stack, seed) -> Iterator[dict[int, psycopg.Connection[Any]]]:
    with (
        fresh_database(stack.postgres(18), "oracle18") as new,
        fresh_database(stack.postgres(15), "oracle15") as old,
        new.connect() as first,
        old.connect() as second,
    ):
        opened = {18: first, 15: second}
        for version, connection in opened.items():
            connection.execute(PINNED)
            connection.prepare_threshold = None  # the sample's type changes
            for statement in SETUP[version]:
                connection.execute(statement)
            connection.execute("select setseed(%s)", [seed])
        yield opened


def sample(connection: psycopg.Connection[Any], oracle: Oracle, count: int) -> list[tuple[bytes, str]]:
    """Values as the server writes them, and the truth of each."""
    connection.execute("drop table if exists sample")
    connection.execute(f"create temp table sample (v {oracle.type})")
    connection.execute(f"insert into sample select {oracle.sample} from generate_series(1, {count}) i")
    rows = texts(connection, f"select v, {oracle.truth} as truth from sample")
    assert len(rows) == count
    pairs = [(row["v"], row["truth"]) for row in rows]
    assert None not in [part for pair in pairs for part in pair]
    return [(text, truth.decode()) for text, truth in pairs if text is not None and truth is not None]


def codec_of(connection: psycopg.Connection[Any], oracle: Oracle, *, strict: bool) -> Codec | None:
    [column] = column_facts(connection, "pg_temp.sample")
    rows = types_behind(connection, [column["oid"]])
    types = {row["oid"]: PgType(**{**row, "labels": tuple(row["labels"])}) for row in rows}
    modes = ValueModes(strict=strict, **oracle.modes)
    return resolve(column["oid"], column["typmod"], types, modes, column["dimensions"])


def check(connection: psycopg.Connection[Any], oracle: Oracle, count: int, seed: float) -> None:
    pairs = sample(connection, oracle, count)
    safe, strict = (codec_of(connection, oracle, strict=strict) for strict in (False, True))
    assert safe is not None
    wrong = [(text, truth) for text, truth in pairs if not oracle.compare(safe.to_json(text).decode(), truth)]
    assert wrong == [], f"seed {seed}"
    to_json = JsonConverter(decimal_numeric=oracle.modes.get("decimal_numeric", False))
    for codec in (safe, strict):
        if codec is not None:
            plain = plain_path(codec, to_json)
            different = [text for text, _ in pairs if outcome(codec.to_json, text) != outcome(plain, text)]
            assert different == [], f"seed {seed}"


def plain_path(codec: Codec, to_json: JsonConverter) -> Callable[[bytes], bytes]:
    schema = codec.schema.as_optional()
    write, values_of = to_json.writer(schema), codec.values_of(schema)
    return lambda text: write(values_of(text)).encode()


def outcome(write: Any, text: bytes) -> Any:
    """What a path writes, or why it refuses: the two must agree in that too."""
    try:
        return write(text)
    except ValueError as error:
        return str(error)


named = pytest.mark.parametrize("oracle", ORACLES, ids=[f"{o.type}-{number}" for number, o in enumerate(ORACLES)])


@named
def test_a_value_is_what_postgres_says(oracle, connections, seed):
    check(connections[oracle.version], oracle, -(-VALUES // len(ORACLES)), seed)


@pytest.mark.soak
@named
def test_a_value_of_a_million_is_what_postgres_says(oracle, connections, seed):
    check(connections[oracle.version], oracle, -(-SOAK_VALUES // len(ORACLES)), seed)
