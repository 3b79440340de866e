"""`[slices.NAME]` says every problem at once, and never a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.errors import ConfigError
from cdc.properties import load
from legacy_db.slices import Slice, read_slice, read_slices

_HEAD = """
[connectors.shop]
"connector.class" = "io.debezium.connector.postgresql.PostgresConnector"
"""


def _slice(tmp_path: Path, text: str) -> Slice:
    file = tmp_path / "seam.toml"
    file.write_text(f"{_HEAD}[slices.orders]\n{text}")
    return read_slice(load(file), "orders")


def test_what_is_not_said_has_a_default(tmp_path: Path):
    one = _slice(tmp_path, 'tables = ["public.orders"]')
    assert (one.connector, one.tables, one.where, one.target) == ("shop", ("public.orders",), {}, None)
    assert (one.max_evidence_age, one.max_mismatches) == (900.0, 0)
    assert (one.accept_open, one.accept_loss, one.set_identity) == (False, False, False)
    assert one.ledger.render_as_string() == f"sqlite:///{tmp_path}/seam.ledger.sqlite"
    assert one.directory == tmp_path / "seam.toml.d" / "orders"


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("15m", 900), ("2h", 7200), ("1d", 86400), ("45", 45)])
def test_an_age_has_a_unit(tmp_path: Path, text: str, seconds: int):
    one = _slice(tmp_path, f'tables = ["a.b"]\nmax_evidence_age = "{text}"')
    assert one.max_evidence_age == seconds


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is a list of schema.table"),
        ("tables = []", "is a list of schema.table"),
        ('tables = ["orders"]', "'orders' is not schema.table"),
        ('tables = ["a.b", "a.b"]', "names a table twice"),
        ('tables = ["a.b"]\ntarge = "x"', "did you mean target?"),
        ('tables = ["a.b"]\nconnector = "shpo"', "names no connector of this file, which holds shop"),
        ('tables = ["a.b"]\ntarget = "mysql://u:hidden@h/d"', "mysql is not carried out"),
        ('tables = ["a.b"]\ntarget = "sqlite:///x"', "sqlite is not carried out; postgresql is"),
        ('tables = ["a.b"]\ntarget = "hidden"', "is not an SQLAlchemy URL"),
        ('tables = ["a.b"]\nmax_evidence_age = "soon"', "is not an age"),
        ('tables = ["a.b"]\nmax_mismatches = -1', "is not a whole number from 0"),
        ('tables = ["a.b"]\naccept_open = "yes"', "is neither true nor false"),
        ('tables = ["a.b"]\nreplica_identity = "index"', "is neither 'keep' nor 'full'"),
        ('tables = ["a.b"]\nwhere = 3', "is an SQL predicate"),
        ('tables = ["a.b"]\n[slices.orders.where]\n"a.c" = "true"', "a.c is not a table of the slice"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(tmp_path: Path, text: str, says: str):
    with pytest.raises(ConfigError) as refused:
        _slice(tmp_path, text)
    told = f"{refused.value.message} {' '.join(map(str, refused.value.problems))}"
    assert says in told
    assert "hidden" not in told


def test_every_problem_of_every_slice_is_said_at_once(tmp_path: Path):
    file = tmp_path / "seam.toml"
    file.write_text(f'{_HEAD}[slices.a]\ntables = ["x"]\nmax_mismatches = "no"\n[slices."b c"]\ntables = ["s.t"]\n')
    with pytest.raises(ConfigError) as refused:
        read_slices(load(file))
    assert [problem.key for problem in refused.value.problems] == [
        "slices.a.tables", "slices.a.max_mismatches", "slices.b c",
    ]  # fmt: skip


def test_a_predicate_may_stand_for_all_tables(tmp_path: Path):
    one = _slice(tmp_path, 'tables = ["a.b", "a.c"]\nwhere = "tenant = 7"')
    assert one.where == {"a.b": "tenant = 7", "a.c": "tenant = 7"}
