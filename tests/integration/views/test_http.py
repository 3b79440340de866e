"""Views over HTTP: rows as they are, waits by header, problem documents, resumable events."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from cdc.tokens import after_commit, in_transaction, parse_token, transaction_status
from tests.stack.postgres import Database
from tests.support.engine import pipeline, running
from tests.support.messages import envelope
from tests.support.views import RunningView, Topic, running_view, view_config
from tests.support.waiting import wait_until
from views.http_server import HttpServer
from views.runner import View


@contextmanager
def served(*views: View, probe: Any = None) -> Iterator[httpx.Client]:
    server = HttpServer({view.config.name: view for view in views}, host="127.0.0.1", port=0, probe=probe)
    stop, started = threading.Event(), threading.Event()
    thread = threading.Thread(target=server.run, args=(stop, started.set))
    thread.start()
    started.wait(10)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20) as client:
        try:
            yield client
        finally:
            stop.set()
            thread.join(20)


@pytest.fixture
def topic(kafka, prefix: str) -> Topic:
    return Topic(kafka.bootstrap, f"{prefix}.public.products")


def event(number: int, op: str = "c", **row: Any) -> tuple[bytes, bytes]:
    after = {"id": number, **row}
    return b'{"id":%d}' % number, envelope(op, after if op == "d" else None, None if op == "d" else after)


@pytest.fixture(params=["memory", "rocksdb", "sqlite"])
def view(request: pytest.FixtureRequest, kafka, topic: Topic, tmp_path: Path) -> Iterator[RunningView]:
    topic.put([event(n, name=f"product {n}") for n in range(1, 21)])
    topic.put([(b'{"id":100}', b'{"before":null,"after":{"id":100,"price":1.10},"source":{"a":1},"op":"c"}')])
    more = {"search": ("name",)} if request.param == "sqlite" else {}
    with running_view(view_config(request.param, [topic], kafka.bootstrap, tmp_path / "v", **more)) as running:
        yield running


def test_a_row_is_answered_as_it_is_with_its_position(view: RunningView, topic: Topic):
    with served(view) as client:
        answer = client.get("/views/v/100")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.content == b'{"id":100,"price":1.10}'
        place = answer.headers["Seam-Position"].rsplit("/", 2)
        assert place[0] == topic.name
        assert {r.offset for r in topic.records() if r.key == b'{"id":100}'} == {int(place[2])}
        assert client.get('/views/v/{"id":7}').json() == {"id": 7, "name": "product 7"}
        assert client.get("/views/v/rows/7").json() == {"id": 7, "name": "product 7"}


@pytest.mark.parametrize(
    ("path", "status", "kind"),
    [
        ("/views/v/999", 404, "no-such-key"), ("/views/nobody/1", 404, "no-such-view"), ("/elsewhere", 404, "http"),
        ("/views/v/range?limit=x", 400, "query-refused"), ("/views/v/1?topic=nobody", 400, "query-refused"),
        ("/views/v/search", 400, "query-refused"), ("/views/v/changes?from=zz", 400, "query-refused"),
    ],
)  # fmt: skip
def test_an_error_is_a_problem_document(view: RunningView, path: str, status: int, kind: str):
    with served(view) as client:
        answer = client.get(path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        document = answer.json()
        assert (document["status"], document["type"]) == (status, f"urn:seam:problem:{kind}")
        assert document["title"]
        assert document["detail"]


def test_ranges_are_pages_in_key_order(view: RunningView):
    with served(view) as client:
        page = client.get("/views/v/range", params={"start": "12", "limit": 3}).json()
        assert [row["key"] for row in page["rows"]] == ["12", "13", "14"]
        assert page["rows"][0]["row"] == {"id": 12, "name": "product 12"}
        assert page["more"] is True
        whole = client.get("/views/v/range").json()
        assert len(whole["rows"]) == 21
        assert whole["more"] is False


def test_full_text_is_searched_where_there_is_one(view: RunningView):
    with served(view) as client:
        answer = client.get("/views/v/search", params={"q": '"product 7"'})
        if view.config.kind == "sqlite":
            assert [row["key"] for row in answer.json()["rows"]] == ["7"]
        else:
            assert answer.status_code == 400


def test_it_tells_how_it_stands(view: RunningView, topic: Topic):
    topic.put([(b'{"id":5}', b"{broken")])
    with served(view) as client:
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code == 200
        wait_until(lambda: client.get("/views/v").json()["dead_letters"] == 1, 10, "the dead letter")
        (letter,) = client.get("/views/v/dead-letters").json()["dead_letters"]
        assert letter["reason"].startswith("UNDECODABLE")
        assert client.get("/views").json()["views"][0]["rows"] == 21
        metrics = client.get("/metrics").text
        for line in (
            'seam_view_ready{view="v"} 1.0',
            'seam_view_rows{view="v"} 21.0',
            'seam_view_dead_letters_total{view="v"} 1.0',
        ):
            assert line in metrics


def test_readiness_waits_until_the_view_is_complete_and_ends_with_its_error(kafka, prefix: str, tmp_path: Path):
    bad = Topic(kafka.bootstrap, f"{prefix}.bad", partitions=1)
    bad.put([(None, b"{}")])
    with (
        running_view(view_config("memory", [bad], kafka.bootstrap, None), complete=False) as view,
        served(view) as client,
    ):
        wait_until(lambda: view.error, 20, "the view to fail")
        answer = client.get("/health/ready")
        assert answer.status_code == 503
        assert "none of its records has a key" in answer.json()["detail"]
        assert client.get("/views/v/1").status_code == 503


class Events:
    """Reads server-sent events."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()
        self.last_id = ""

    def next(self) -> tuple[str, Any]:
        name, data = "", None
        for line in self._lines:
            if line.startswith("id: "):
                self.last_id = line[4:]
            elif line.startswith("event: "):
                name = line[7:]
            elif line.startswith("data: "):
                data = json.loads(line[6:])
            elif not line and name:
                return name, data
        raise AssertionError("the stream ended")


@contextmanager
def followed(client: httpx.Client, last_id: str | None = None) -> Iterator[Events]:
    headers = {} if last_id is None else {"Last-Event-ID": last_id}
    with client.stream("GET", "/views/v/changes", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Events(response)


def test_changes_are_followed_and_resumed_by_position(view: RunningView, topic: Topic):
    with served(view) as client:
        with followed(client) as events:
            assert events.next()[0] == "position"
            topic.put([event(3, "u", name="three")])
            name, data = events.next()
            assert (name, data["key"], data["row"]) == ("row", "3", {"id": 3, "name": "three"})
            topic.put([event(4, "d", name="product 4")])
            assert events.next()[:1] == ("delete",)
            stands = events.last_id
        topic.put([event(5, "u", name="five"), event(6, "u", name="six")])
        wait_until(lambda: b"six" in client.get("/views/v/6").content, 10, "the changes to be applied")
        with followed(client, stands) as events:
            assert events.next()[0] == "position"
            assert sorted(events.next()[1]["key"] for _ in range(2)) == ["5", "6"]


def test_changes_that_are_not_kept_any_more_are_read_from_the_topics(
    view: RunningView, topic: Topic, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("views.changes.KEPT_BYTES", 1)
    with served(view) as client:
        with followed(client) as events:
            events.next()
            stands = events.last_id
        for number in (3, 4, 5):
            topic.put([event(number, "u", name=f"again {number}")])
            wait_until(lambda n=number: b"again" in client.get(f"/views/v/{n}").content, 10, "the change to be applied")
        with followed(client, stands) as events:
            events.next()
            assert sorted(events.next()[1]["key"] for _ in range(3)) == ["3", "4", "5"]
            topic.put([event(6, "u", name="live")])
            assert events.next()[1]["row"]["name"] == "live"


# -- waiting ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def counted(database: Database) -> Database:
    database.execute("create table counters (id int primary key, n int not null)", "insert into counters values (0, 0)")
    return database


def test_a_request_waits_for_its_write_and_no_longer(counted: Database, kafka, prefix: str):
    config = view_config("memory", [f"{prefix}.public.counters"], kafka.bootstrap, None)
    with (
        running(pipeline(counted, kafka.bootstrap, prefix), counted) as engine,
        running_view(config, waits=True) as view,
        running_view(config, waits=True) as second,
        counted.connect(autocommit=False) as connection,
        counted.connect() as asking,
        served(view, probe=lambda xid: transaction_status(asking, xid)) as client,
        served(second) as other,
    ):
        counted.execute("update counters set n = 1")
        wait_until(view.frontier.told_position, 20, "the engine to tell its progress")
        for n in range(2, 12):
            connection.execute("update counters set n = %s", [n])
            connection.commit()
            token = str(after_commit(connection))
            answer = client.get("/views/v/0", headers={"Seam-Token": token})
            assert (answer.status_code, answer.json().get("n")) == (200, n), answer.text
            # What this answer carries asks the other server for no less: reads of a session never go back.
            again = other.get("/views/v/0", headers={"Seam-Token": answer.headers["Seam-Token"]})
            assert (again.status_code, again.json().get("n")) == (200, n), again.text
            assert parse_token(answer.headers["Seam-Position"])
            by_row = other.get("/views/v/range", headers={"Seam-Token": answer.headers["Seam-Position"]})
            assert by_row.status_code == 200

        connection.execute("update counters set n = 100")
        aborted = str(in_transaction(connection))
        connection.rollback()
        answer = client.get("/views/v/0", headers={"Seam-Token": aborted})
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:seam:problem:write-aborted")

        foreign = "1/1/0/1"
        answer = client.get("/views/v/0", headers={"Seam-Token": f"{token}, {foreign}"})
        assert (answer.status_code, answer.json()["outcome"]) == (409, "wrong timeline")
        assert client.get("/views/v/0", headers={"Seam-Token": "nonsense"}).status_code == 400
        assert client.get("/views/v/0", headers={"Seam-Token": token, "Seam-Timeout": "x"}).status_code == 400
        assert client.get("/views/v/0", headers={"Seam-Token": "elsewhere/0/1"}).status_code == 400

        engine.stop()
        connection.execute("update counters set n = 200")
        connection.commit()
        late = str(after_commit(connection))
        answer = client.get("/views/v/0", headers={"Seam-Token": late, "Seam-Timeout": "300"})
        assert answer.status_code == 504
        assert "is it running" in answer.json()["reason"]
        assert client.get("/views/v/0").json()["n"] == 11


def test_without_the_native_engine_a_wait_says_so_at_once(view: RunningView):
    with served(view) as client:
        answer = client.get("/views/v/1", headers={"Seam-Token": "1/1/0/1"})
        assert (answer.status_code, answer.json()["type"]) == (501, "urn:seam:problem:no-progress")
        shown = client.get("/views/v/1")
        again = client.get("/views/v/1", headers={"Seam-Token": shown.headers["Seam-Token"]})
        assert again.status_code == 200


def test_many_waits_stand_at_once(counted: Database, kafka, prefix: str):
    """A thousand waits on one event loop; each is answered by the one write that they wait for."""
    config = view_config("memory", [f"{prefix}.public.counters"], kafka.bootstrap, None)
    with (
        running(pipeline(counted, kafka.bootstrap, prefix), counted),
        running_view(config, waits=True) as view,
        counted.connect(autocommit=False) as connection,
    ):
        counted.execute("update counters set n = 1")
        wait_until(view.frontier.told_position, 20, "the engine to tell its progress")
        connection.execute("update counters set n = 5")
        token = in_transaction(connection)
        waiters = [view.frontier.register(token) for _ in range(1000)]
        connection.commit()
        wait_until(lambda: all(waiter.outcome for waiter in waiters), 20, "all waits to end")
        assert {waiter.outcome.value for waiter in waiters} == {"visible"}
