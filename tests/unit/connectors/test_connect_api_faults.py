"""What the client does when answers are missing, late, wrong or say "not now"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cdc.errors import AuthFailed, ConnectApiError, ConnectRebalancing, ConnectUnavailable
from connectors.connect_api import MAXIMUM_ANSWER, ConnectApi
from connectors.connect_settings import ConnectSettings
from tests.support.fake_worker import FakeWorker, Fault, rebalancing

CONFIG = {"connector.class": "FileStreamSource", "topic": "t", "file": "/nowhere"}


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def api(worker: FakeWorker) -> Iterator[ConnectApi]:
    with client(worker, deadline=1.0) as ours:
        yield ours


def client(worker: FakeWorker, *urls: str, **settings: Any) -> ConnectApi:
    return ConnectApi(ConnectSettings(urls or ("http://fake:8083",), **settings), transport=worker.transport())


def answering(handler: object, **settings: float) -> ConnectApi:
    return ConnectApi(
        ConnectSettings(("http://127.0.0.1:1",), **{"deadline": 0.5, **settings}),  # type: ignore[arg-type]
        transport=httpx.MockTransport(handler),  # type: ignore[arg-type]
    )


def test_a_rebalance_is_waited_out(worker: FakeWorker, api: ConnectApi) -> None:
    worker.faults.append(rebalancing("PUT", "/config", times=2))
    api.put_config("orders", CONFIG)
    assert worker.connectors["orders"].config["topic"] == "t"
    assert worker.count("PUT") == 3


def test_a_rebalance_without_an_end_is_named(worker: FakeWorker, api: ConnectApi) -> None:
    worker.faults.append(rebalancing("PUT", "/config", times=1000))
    with pytest.raises(ConnectRebalancing, match="after 1 s still 409") as failure:
        api.put_config("orders", CONFIG)
    assert failure.value.exit_code == 3
    assert "orders" not in worker.connectors


@pytest.mark.parametrize(
    "text",
    [
        "Request cannot be completed because a rebalance is expected",
        "IO Error trying to forward REST request: java.net.ConnectException",
        "Request timed out. The worker is currently flushing updates",
    ],
)
def test_a_read_that_a_busy_cluster_refuses_is_repeated(worker: FakeWorker, api: ConnectApi, text: str) -> None:
    worker.faults.append(Fault("GET", "/connectors", 500, '{"error_code":500,"message":"' + text + '"}'))
    assert api.names() == []
    assert worker.count("GET", "/connectors") == 2


def test_an_error_of_the_worker_itself_is_not_repeated(worker: FakeWorker, api: ConnectApi) -> None:
    worker.faults.append(Fault("GET", "/connectors", 500, '{"error_code":500,"message":"NullPointerException"}'))
    with pytest.raises(ConnectApiError, match=r"NullPointerException \(500\)") as failure:
        api.names()
    assert failure.value.exit_code == 4
    assert worker.count("GET", "/connectors") == 1


def test_a_worker_that_still_starts_is_waited_for(worker: FakeWorker, api: ConnectApi) -> None:
    page = "<html><head><title>Error 404 Not Found</title></head></html>"
    worker.faults.append(Fault("GET", "/connectors", 404, page, "text/html"))
    worker.faults.append(Fault("GET", "/connectors", 503, page, "text/html"))
    assert api.names() == []


def test_a_change_whose_answer_was_lost_is_not_sent_again(worker: FakeWorker, api: ConnectApi) -> None:
    worker.faults.append(Fault("PUT", "/config", carry_out=True, drop=True))
    assert api.put_config("orders", CONFIG).properties() == {**CONFIG, "name": "orders"}
    assert worker.count("PUT", "/config") == 1


def test_a_change_that_got_lost_itself_is_sent_again(worker: FakeWorker, api: ConnectApi) -> None:
    worker.faults.append(Fault("PUT", "/config", drop=True))
    api.put_config("orders", CONFIG)
    assert worker.connectors["orders"].config["topic"] == "t"
    assert worker.count("PUT", "/config") == 2


def test_a_creation_whose_answer_was_lost_is_ours_when_it_is_equal(worker: FakeWorker, api: ConnectApi) -> None:
    worker.faults.append(Fault("POST", "/connectors", carry_out=True, drop=True))
    assert api.create("orders", CONFIG).name == "orders"
    assert worker.count("POST") == 1


def test_a_creation_whose_answer_was_lost_is_a_conflict_when_another_was_quicker(
    worker: FakeWorker, api: ConnectApi
) -> None:
    def another() -> None:
        worker.handle("PUT", "/connectors/orders/config", b'{"connector.class":"FileStreamSink","topics":"x"}', None)

    worker.faults.append(Fault("POST", "/connectors", drop=True, before=another))
    with pytest.raises(ConnectApiError, match="already exists"):
        api.create("orders", CONFIG)
    assert worker.connectors["orders"].config["topics"] == "x"


def test_a_change_that_timed_out_inside_the_worker_is_read_back(worker: FakeWorker, api: ConnectApi) -> None:
    text = '{"error_code":500,"message":"Request timed out. The worker is currently starting a connector"}'
    worker.faults.append(Fault("PUT", "/config", 500, text, carry_out=True))
    api.put_config("orders", CONFIG)
    assert worker.count("PUT", "/config") == 1


def test_a_deletion_whose_answer_was_lost_counts_as_done(worker: FakeWorker, api: ConnectApi) -> None:
    api.put_config("orders", CONFIG)
    worker.faults.append(Fault("DELETE", "/orders", carry_out=True, drop=True))
    api.delete("orders")
    assert worker.connectors == {}


def test_the_next_worker_is_tried_where_one_does_not_answer(worker: FakeWorker) -> None:
    with client(worker, "http://down:8083", "http://fake:8083", deadline=5) as api:
        assert api.names() == []
        assert api.names() == []
    assert worker.count("GET", "/connectors") == 2


def test_no_worker_at_all_is_said_with_the_address_and_what_to_check() -> None:
    with client(FakeWorker(), "http://down:8083", deadline=0.3) as api, pytest.raises(ConnectUnavailable) as failure:
        api.names()
    assert "http://down:8083" in str(failure.value)
    assert failure.value.exit_code == 3
    assert "--connect-url" in str(failure.value.hint)


def test_an_answer_that_is_cut_short_is_asked_for_again() -> None:
    answers = iter([b'["a', b'["a"]'])

    def handler(request: httpx.Request) -> httpx.Response:
        body = next(answers)
        if body == b'["a':
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
        return httpx.Response(200, content=body)

    with answering(handler) as api:
        assert api.names() == ["a"]


@pytest.mark.parametrize("body", [b"", b"<html>a portal</html>", b'{"not": "a list"}', b"[1, 2"])
def test_an_answer_of_something_else_is_named_as_such(body: bytes) -> None:
    portal = answering(lambda request: httpx.Response(200, content=body))
    with portal, pytest.raises(ConnectApiError, match="is not what Connect answers there") as failure:
        portal.names()
    assert "REST port" in str(failure.value.hint)


def test_an_answer_without_end_is_cut_off() -> None:
    part = b"x" * (1024 * 1024)

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=(part for _ in range(MAXIMUM_ANSWER // len(part) + 1)))

    with answering(handler, deadline=60, timeout=60) as api, pytest.raises(ConnectApiError, match="exceeds"):
        api.names()


def test_a_redirection_is_not_followed() -> None:
    moved = httpx.Response(302, headers={"Location": "http://elsewhere/"})
    with answering(lambda request: moved) as api, pytest.raises(ConnectApiError, match="we do not follow"):
        api.names()


def test_an_unhealthy_worker_is_an_answer(worker: FakeWorker, api: ConnectApi) -> None:
    worker.faults.append(Fault("GET", "/health", 503, '{"status":"starting","message":"Worker is still starting up."}'))
    health = api.health()
    assert not health.healthy
    assert health.status == "starting"


def test_a_wrong_password_is_said_once_and_not_shown(worker: FakeWorker) -> None:
    worker.authorization = "Basic c29tZW9uZTplbHNl"
    ours = client(worker, username="ops", password="not-that-one")
    with ours as api, pytest.raises(AuthFailed, match=r"refuses access \(401\)") as failure:
        api.names()
    assert "not-that-one" not in str(failure.value)
    assert worker.count("GET") == 1


def test_basic_and_bearer_credentials_are_sent(worker: FakeWorker) -> None:
    worker.authorization = "Basic b3BzOnB3"
    with client(worker, username="ops", password="pw") as api:
        assert api.names() == []
    worker.authorization = "Bearer abc"
    with client(worker, token="abc") as api:
        assert api.names() == []


def test_a_literal_secret_is_struck_out_of_the_workers_texts(worker: FakeWorker, api: ConnectApi) -> None:
    secret = "c4nary-s3cret"
    worker.faults.append(Fault("PUT", "/config", 400, '{"message":"Invalid value c4nary-s3cret for configuration x"}'))
    with pytest.raises(ConnectApiError, match=r"Invalid value \*\*\*\*\*\* for") as failure:
        api.put_config("orders", {**CONFIG, "database.password": secret})
    assert secret not in str(failure.value)
