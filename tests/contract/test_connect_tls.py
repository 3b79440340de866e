"""The client's TLS: authorities, certificates of its own, and names that do not fit."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from cdc.errors import AuthFailed
from connectors.connect_api import ConnectApi
from connectors.connect_settings import ConnectSettings
from tests.support.authority import Authority
from tests.support.fake_worker import FakeWorker


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "authority")


def server(certificate: Path, *, clients: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context


def names(url: str, **settings: str) -> list[str]:
    with ConnectApi(ConnectSettings((url,), deadline=30, **settings)) as api:  # type: ignore[arg-type]
        return api.names()


def test_the_workers_certificate_is_checked_against_the_named_authority(authority: Authority) -> None:
    with FakeWorker().served(server(authority.certificate("worker"))) as url:
        assert names(url, ca=str(authority.file)) == []
        with pytest.raises(AuthFailed, match="CERTIFICATE_VERIFY_FAILED"):
            names(url)


def test_a_certificate_for_another_address_is_refused(authority: Authority) -> None:
    certificate = authority.certificate("worker", address="127.0.0.9")
    with (
        FakeWorker().served(server(certificate)) as url,
        pytest.raises(AuthFailed, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        names(url, ca=str(authority.file))


def test_the_clients_own_certificate_is_shown_where_the_worker_asks_for_it(authority: Authority) -> None:
    tls = server(authority.certificate("worker"), clients=authority.file)
    with FakeWorker().served(tls) as url:
        assert names(url, ca=str(authority.file), certificate=str(authority.certificate("me"))) == []
        with pytest.raises(AuthFailed, match="certificate required"):
            names(url, ca=str(authority.file))
