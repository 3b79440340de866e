"""The client's TLS: authorities, certificates of its own, and names that do not fit."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cdc.errors import AuthFailed
from connectors.connect_api import ConnectApi
from connectors.connect_settings import ConnectSettings
from tests.support.fake_worker import FakeWorker


class Authority:
    """Signs certificates, and writes them as PEM files."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = directory / f"{name}.pem"
        certificate = self._sign(self.name, self.key, x509.BasicConstraints(ca=True, path_length=None))
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def certificate(self, name: str, *, address: str = "127.0.0.1") -> Path:
        """A file with key and certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        certificate = self._sign(subject, key, names)
        file = self.directory / f"{name}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return file

    def _sign(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(minutes=5))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256())


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
