import threading
import time

import pytest

from tests.support.engine import pipeline, run_once
from tests.support.fold import events, fold_rows, rows_of


@pytest.mark.parametrize("eo", ["requested", "required"])
def test_try(database, kafka, prefix, eo):
    database.execute(
        "create table item (id int primary key, name text, big text)",
        "insert into item select n, 'n'||n, repeat(md5(n::text), 5) from generate_series(1, 50000) n",
    )
    cfg = pipeline(
        database,
        kafka.bootstrap,
        prefix,
        snapshot__mode="initial",
        snapshot__max__threads="2",
        exactly__once__support=eo,
    )
    end = threading.Event()

    def write():
        n = 0
        with database.connect() as c:
            while not end.is_set():
                n += 1
                c.execute("update item set name = 'u'||%s where id %% 1000 = %s", [n, n % 1000])
                c.execute("delete from item where id = %s", [n * 7])

    t = threading.Thread(target=write)
    t.start()
    t0 = time.time()
    w = run_once(cfg)
    print("took", time.time() - t0, w.meter.as_json())
    end.set()
    t.join()
    w = run_once(cfg)
    found = events(kafka.bootstrap, f"{prefix}.public.item")
    print(len(found))
    assert fold_rows(found) == rows_of(database, "item")


def test_long_transaction(database, kafka, prefix):
    database.execute("create table item (id int primary key, name text)")
    cfg = pipeline(database, kafka.bootstrap, prefix, exactly__once__support="required")
    run_once(cfg)
    database.execute("insert into item select n, 'n'||n from generate_series(1, 200000) n")
    run_once(cfg)
    assert len(events(kafka.bootstrap, f"{prefix}.public.item")) == 200000
