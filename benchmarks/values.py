"""Nanoseconds per value of `to_json`, the function that runs once a column and row.

    python -m benchmarks.values

The least of many short runs: other work on the machine only ever adds.
"""

from __future__ import annotations

import timeit

from cdc.values.builtin import BUILTIN
from cdc.values.registry import ValueModes, resolve

RUNS, CALLS = 300, 2000
NUMERIC_10_2 = ((10 << 16) | 2) + 4

CASES = (
    ("int4", -1, "12345"),
    ("bool", -1, "t"),
    ("text", -1, "hello world how are you"),
    ("uuid", -1, "b68a35a7-17ad-35b3-af2a-ae46edb4545a"),
    ("float8", -1, "123.45"),
    ("numeric", NUMERIC_10_2, "12345.67"),
    ("numeric", -1, "12345.67"),
    ("date", -1, "2024-01-01"),
    ("time", -1, "13:14:15.123456"),
    ("timestamp", -1, "2024-01-01 13:14:15.123456"),
    ("timestamp", 3, "2024-01-01 13:14:15.123"),
    ("timestamptz", -1, "2024-01-01 13:14:15.123456+00"),
    ("bytea", -1, "\\x00ff10"),
    ("jsonb", -1, '{"a": 1, "b": "x"}'),
    ("_int4", -1, "{1,2,3,4}"),
    ("_text", -1, '{"a b",c}'),
)


def main() -> None:
    oids = {pg_type.name: oid for oid, pg_type in BUILTIN.items()}
    for name, typmod, text in CASES:
        codec = resolve(oids[name], typmod, {}, ValueModes())
        assert codec is not None
        names = {"to_json": codec.to_json, "text": text.encode()}
        seconds = min(timeit.repeat("to_json(text)", globals=names, number=CALLS, repeat=RUNS))
        print(f"{name:12} {text:38} {seconds / CALLS * 1e9:6.0f} ns")


if __name__ == "__main__":
    main()
