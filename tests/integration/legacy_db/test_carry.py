"""`seam run FILE` keeps the views of the file's slices up to date, as long as the ledger wants them."""

from __future__ import annotations

from legacy_db.sample.load import Load
from tests.support.engine import confirmed, current_lsn, slot_is_active
from tests.support.migration import Migration, seam, seam_json, serving, streams
from tests.support.waiting import wait_until

NAME = "select name from service.technician where id = 2"


def _rename(migration: Migration, name: str) -> None:
    migration.legacy.execute(f"update service.technician set name = '{name}' where id = 2")


def test_a_view_is_carried_from_when_it_is_built_until_it_is_taken_back(migration: Migration):
    migration.to("bootstrapped")
    with serving(migration.file):
        streams(migration)
        migration.to("verified")
        _rename(migration, "followed")
        wait_until(lambda: migration.target.value(NAME) == "followed", 60, "the view to follow the stream")
        with Load(migration.legacy.dsn, writers=4, pause=0.2, schema_changes=False) as load:
            # The process that carries the view is waited for; it is no second projector.
            assert seam_json("verify", str(migration.file), "service")["equal"]
        assert load.tally.failures == []
        migration.migrate("undo", "--to", "bootstrapped", "--yes")
        assert migration.target.rows("select 1 from pg_tables where schemaname in ('service', 'seam')") == []
        assert slot_is_active(migration.legacy, migration.name)


def test_a_target_that_is_away_does_not_hold_up_the_stream_and_is_brought_up_to_now_later(migration: Migration):
    migration.to("projected")
    migration.write(target="postgresql://postgres@127.0.0.1:1/nowhere")
    _rename(migration, "later")
    goal = current_lsn(migration.legacy)
    done = seam("run", str(migration.file), "--once", apart=True)
    assert "tried again beside the stream" in done.stderr
    assert confirmed(migration.legacy, migration.name) >= goal
    migration.write()
    seam("run", str(migration.file), "--once", apart=True)
    assert migration.target.value(NAME) == "later"
