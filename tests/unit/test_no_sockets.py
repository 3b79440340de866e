"""A unit test that reaches for the network fails."""

from __future__ import annotations

import socket
import urllib.request

import pytest

from tests.support.no_sockets import SocketBlocked


def test_connecting_is_refused():
    with socket.socket() as connection, pytest.raises(SocketBlocked, match="tests/unit"):
        connection.connect(("127.0.0.1", 9))


def test_listening_is_refused():
    with socket.socket() as listener, pytest.raises(SocketBlocked):
        listener.bind(("127.0.0.1", 0))


def test_a_client_library_is_refused_too():
    with pytest.raises(SocketBlocked):
        urllib.request.urlopen("http://localhost:9/", timeout=1)
