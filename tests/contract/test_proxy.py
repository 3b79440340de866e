"""The proxy's faults do what they say, before a plain echo server, Postgres and Kafka."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from confluent_kafka import Producer

from tests.support.consume import read_topic
from tests.support.proxy import HOST, Proxy
from tests.support.waiting import wait_until

_QUIET = 0.3  # seconds in which nothing may arrive


class EchoServer:
    """Sends back what it gets, and keeps how each of its connections ended."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.ends: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
                self.ends.append("end of file")
            except OSError as error:
                self.ends.append(type(error).__name__)

    def close(self) -> None:
        if self._listener.fileno() != -1:
            self._listener.shutdown(socket.SHUT_RDWR)  # which ends the accept, close alone would not
            self._listener.close()


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    server = EchoServer()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: EchoServer) -> Iterator[Proxy]:
    with Proxy(echo.port) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, proxy.port), timeout=10) as connection:
        yield connection


def test_bytes_come_through_unchanged_in_both_directions(proxy: Proxy, client: socket.socket):
    sent = os.urandom(3_000_000)
    sender = threading.Thread(target=client.sendall, args=[sent])
    sender.start()
    assert receive(client, len(sent)) == sent
    sender.join()
    # The proxy counts a chunk after it has sent it, so its reader can be ahead of the count.
    counted = {"to_server": len(sent), "to_client": len(sent)}
    wait_until(lambda: proxy.carried == counted, 5, "the proxy to have counted every byte")


def test_an_orderly_end_arrives_after_all_bytes(echo: EchoServer, proxy: Proxy):
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that most bytes wait behind the proxy's end
        client.connect((HOST, proxy.port))
        client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        wait_until(lambda: proxy.accepted == 1 and proxy.open == 0, 5, "the proxy to have closed both sides")
        assert receive(client, 100_000) == b"x" * 100_000
        assert client.recv(1) == b""
    wait_until(lambda: echo.ends == ["end of file"], 5, "the server to see the end")


def test_cut_resets_both_sides_and_lets_new_connections_through(echo: EchoServer, proxy: Proxy, client: socket.socket):
    ping(client)
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    wait_until(lambda: echo.ends == ["ConnectionResetError"], 5, "the server to see the reset")
    assert proxy.open == 0
    with socket.create_connection((HOST, proxy.port), timeout=10) as another:
        ping(another)


def test_refuse_turns_connections_away_until_healed(proxy: Proxy, client: socket.socket):
    ping(client)
    proxy.refuse()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, proxy.port), timeout=10)
    proxy.heal()
    with socket.create_connection((HOST, proxy.port), timeout=10) as another:
        ping(another)


def test_a_black_hole_is_silent_and_loses_nothing_once_healed(proxy: Proxy, client: socket.socket):
    ping(client)
    proxy.blackhole()
    client.sendall(b"lost?")
    assert is_silent(client)
    proxy.heal()
    assert receive(client, 5) == b"lost?"


def test_a_black_hole_in_one_direction_lets_the_other_through(proxy: Proxy, client: socket.socket):
    ping(client)
    proxy.blackhole("to_client")
    before = proxy.carried["to_server"]
    client.sendall(b"asked")
    wait_until(lambda: proxy.carried["to_server"] == before + 5, 5, "the question to reach the server")
    assert is_silent(client)
    proxy.heal()
    assert receive(client, 5) == b"asked"


def test_half_open_ends_the_server_side_only(echo: EchoServer, proxy: Proxy, client: socket.socket):
    ping(client)
    proxy.half_open()
    wait_until(lambda: echo.ends == ["ConnectionResetError"], 5, "the server to see the end")
    client.sendall(b"anybody there?")
    assert is_silent(client)
    proxy.heal()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_delay_holds_each_way_without_slowing_the_flow(proxy: Proxy, client: socket.socket):
    proxy.delay(0.2)
    started = time.monotonic()
    ping(client)
    took = time.monotonic() - started
    assert 0.4 <= took < 3
    started = time.monotonic()
    for _ in range(20):
        client.sendall(b"x" * 1000)
        time.sleep(0.005)
    receive(client, 20_000)
    assert time.monotonic() - started < 3  # twenty delays one after the other would take 4 s


def test_throttle_limits_the_rate(proxy: Proxy, client: socket.socket):
    proxy.throttle(100_000)
    started = time.monotonic()
    client.sendall(b"x" * 50_000)
    receive(client, 50_000)
    assert time.monotonic() - started >= 0.4
    proxy.heal()
    started = time.monotonic()
    sender = threading.Thread(target=client.sendall, args=[b"x" * 500_000])
    sender.start()
    receive(client, 500_000)
    sender.join()
    assert time.monotonic() - started < 3  # 5 s at the rate of before


def test_a_server_that_is_down_resets_the_client(echo: EchoServer, proxy: Proxy):
    echo.close()
    with pytest.raises(ConnectionResetError), socket.create_connection((HOST, proxy.port), timeout=10) as connection:
        connection.recv(1)


def test_postgres_answers_through_it_and_loses_the_connection_with_it(postgres, postgres_proxy: Proxy):
    dsn = f"host={HOST} port={postgres_proxy.port} user=postgres dbname=postgres"
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        postgres_proxy.cut()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        connection.close()
    postgres_proxy.refuse()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(dsn)


def test_kafka_is_reached_through_it_only(kafka, kafka_proxy: Proxy, prefix: str):
    topic = f"{prefix}.through"
    through = {"bootstrap.servers": f"{HOST}:{kafka_proxy.port}", "message.timeout.ms": 60_000}
    producer = Producer(through)
    producer.produce(topic, b"before")
    assert producer.flush(20) == 0
    kafka_proxy.blackhole()
    producer.produce(topic, b"during")
    assert producer.flush(1) == 1
    kafka_proxy.heal()
    assert producer.flush(20) == 0
    assert [record.value for record in read_topic(kafka.bootstrap, topic)] == [b"before", b"during"]


def receive(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        chunk = connection.recv(length - len(data))
        assert chunk, f"the connection ended after {len(data)} of {length} bytes"
        data += chunk
    return bytes(data)


def ping(connection: socket.socket) -> None:
    connection.sendall(b"ping")
    assert receive(connection, 4) == b"ping"


def is_silent(connection: socket.socket) -> bool:
    before = connection.gettimeout()
    connection.settimeout(_QUIET)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(before)
    return False
