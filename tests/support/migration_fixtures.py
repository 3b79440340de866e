"""Fixtures: the wholesaler's legacy database, and a slice of it.

wholesaler_template   built once in a run
legacy                a copy of it, in place of `database`
migration             a file with one slice of `legacy`, and an empty target
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from legacy_db.sample import wholesaler
from tests.stack.kafka import KafkaBroker
from tests.stack.postgres import Database, fresh_database
from tests.stack.stack import Stack
from tests.support.migration import Migration


@pytest.fixture(scope="session")
def wholesaler_template(stack: Stack) -> Iterator[Database]:
    with fresh_database(stack.postgres(18), "wholesaler_template") as template:
        wholesaler.create(template.dsn)
        yield template


@pytest.fixture
def legacy(wholesaler_template: Database, stack: Stack, prefix: str) -> Iterator[Database]:
    server = stack.postgres(18)  # running again, should another test have stopped it
    with fresh_database(server, prefix, template=wholesaler_template.name) as database:
        yield database


@pytest.fixture
def migration(legacy: Database, kafka: KafkaBroker, prefix: str, tmp_path: Path) -> Iterator[Migration]:
    with fresh_database(legacy.server, f"{prefix}_target") as target:
        found = Migration(tmp_path / "seam.toml", legacy, target, kafka.bootstrap, prefix)
        found.write()
        yield found
