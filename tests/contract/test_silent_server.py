"""A server that falls silent in the middle of an answer stops neither the other threads of the process nor its signals."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import pq

from cdc.postgres.connection import next_result


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


READY = message(b"Z", b"I")


@pytest.fixture
def half_an_answer() -> Iterator[int]:
    """The port of a server that completes each command and never says that it is ready again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(4096)  # the startup message
                client.sendall(message(b"R", struct.pack("!i", 0)) + READY)
                while client.recv(4096):
                    client.sendall(message(b"C", b"SELECT 0\0"))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)
        assert not thread.is_alive()


def test_the_rest_of_an_answer_is_awaited_for_a_bounded_time_and_without_the_interpreter(half_an_answer: int):
    # libpq's own blocking connect would hold the interpreter, and this server is a thread of the same process.
    session = psycopg.connect(
        f"host=127.0.0.1 port={half_an_answer} user=u dbname=d sslmode=disable gssencmode=disable", autocommit=True
    )
    connection = session.pgconn
    connection.send_query(b"select")
    first = next_result(connection, 5)
    assert first is not None
    assert first.status == pq.ExecStatus.COMMAND_OK
    counted = 0
    over = threading.Event()

    def count() -> None:
        nonlocal counted
        while not over.wait(0.01):
            counted += 1

    counter = threading.Thread(target=count)
    counter.start()
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError, match="did not end its answer"):
        next_result(connection, 0.5)
    over.set()
    counter.join()
    session.close()
    assert 0.4 < time.monotonic() - began < 5
    assert counted > 5, "the other thread stood still"
