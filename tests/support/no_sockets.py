"""Unit tests reach no network: under tests/unit every attempt to connect or to listen fails, and says why."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

_UNIT = Path(__file__).parents[1] / "unit"


class SocketBlocked(RuntimeError):
    """A unit test used the network."""


def _refuse(*arguments: object, **options: object) -> None:
    raise SocketBlocked("tests in tests/unit reach no network; a test that needs a server belongs to another folder")


@pytest.fixture(autouse=True)
def _no_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.path.is_relative_to(_UNIT):
        for method in ("connect", "connect_ex", "bind", "sendto"):
            monkeypatch.setattr(socket.socket, method, _refuse)
        monkeypatch.setattr(socket, "getaddrinfo", _refuse)
