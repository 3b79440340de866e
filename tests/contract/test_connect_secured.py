"""How `ConnectApi` shows who it is, on real workers: TLS with certificates on both sides and Connect's own basic
authentication; bearer tokens at a proxy before the run's worker, since Connect itself knows none.
"""

from __future__ import annotations

import base64
import contextlib
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cdc.errors import AuthFailed
from connectors.commands import app
from connectors.connect_api import ConnectApi
from connectors.connect_settings import ConnectSettings
from tests.stack.connect import ConnectWorker
from tests.stack.maven import connect_plugin
from tests.stack.stack import Stack
from tests.support.authority import Authority
from tests.support.command_line import run

USER, PASSWORD, TOKEN = "operator", "c4nary-passw0rd", "c4nary-t0ken"
STORES = "st0res-passw0rd"


class Secured:
    """A worker that wants TLS, a certificate of the client, user and password; and what a client needs for it."""

    def __init__(self, stack: Stack) -> None:
        directory = stack.own_directory("secured")
        directory.mkdir()
        self.authority = Authority(directory, "authority")
        self.client = self.authority.certificate("client")
        self.directory = directory
        keys, trusted = self.authority.java_stores("worker", STORES)
        users = directory / "users.properties"
        users.write_text(f"{USER}={PASSWORD}\n")
        jaas = directory / "jaas.conf"
        jaas.write_text(
            "KafkaConnect { org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required "
            f'file="{users}"; }};\n'
        )
        context = ssl.create_default_context(cafile=str(self.authority.file))
        context.load_cert_chain(self.client)
        self.worker = ConnectWorker(
            stack.own_directory("connect"), stack.kafka().bootstrap,
            # On the class path: as a plugin its login module is not found by the JVM's own JAAS.
            plugins=[], jars=[connect_plugin("connect-basic-auth")], group="secured", tls=context,
            authorization="Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode(),
            options=[f"-Djava.security.auth.login.config={jaas}"],
            properties={
                "rest.extension.classes": "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension",
                "rest.advertised.listener": "https",
                "listeners.https.ssl.client.auth": "required",
                "listeners.https.ssl.keystore.location": str(keys),
                "listeners.https.ssl.keystore.type": "PKCS12",
                "listeners.https.ssl.keystore.password": STORES,
                "listeners.https.ssl.key.password": STORES,
                "listeners.https.ssl.truststore.location": str(trusted),
                "listeners.https.ssl.truststore.type": "PKCS12",
                "listeners.https.ssl.truststore.password": STORES,
            },
        )  # fmt: skip

    def names(self, **changed: str | None) -> list[str]:
        """What a client sees that shows everything but for what is changed."""
        shown = {
            "ca": str(self.authority.file), "certificate": str(self.client), "username": USER, "password": PASSWORD,
        }  # fmt: skip
        settings = ConnectSettings((self.worker.url,), deadline=30, **{**shown, **changed})  # type: ignore[arg-type] # one case changes one of them
        with ConnectApi(settings) as api:
            return api.names()


@pytest.fixture(scope="module")
def secured(stack: Stack) -> Iterator[Secured]:
    ours = Secured(stack)
    with ours.worker:
        yield ours


@pytest.mark.soak
def test_a_worker_that_wants_certificate_user_and_password_gets_all_three(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert secured.names() == []
    lines = tmp_path / "in.txt"
    lines.write_text("one\n")
    file = tmp_path / "seam.toml"
    file.write_text(
        f"""
[connect]
url = "{secured.worker.url}"
ca = "{secured.authority.file}"
certificate = "{secured.client}"
username = "{USER}"
password = "${{env:CONNECT_PASSWORD}}"

[connectors.lines]
"connector.class" = "FileStreamSource"
"topic" = "secured-lines"
"file" = "{lines}"
"""
    )
    monkeypatch.chdir(tmp_path)  # the commands that take no file read [connect] of the one here
    monkeypatch.setenv("CONNECT_PASSWORD", PASSWORD)
    applied = run(app, "apply", str(file), "--settle", "0.2", "--output", "json")
    assert applied.code == 0, applied.everything
    listed = run(app, "list", "--output", "json")
    assert [entry["name"] for entry in listed.document["connectors"]] == ["lines"]
    assert PASSWORD not in applied.everything + listed.everything
    monkeypatch.setenv("CONNECT_PASSWORD", "wr0ng-passw0rd")
    refused = run(app, "plan", str(file))
    assert refused.code == 4
    assert isinstance(refused.error, AuthFailed)
    assert "wr0ng" not in refused.everything
    secured.worker.delete("lines")


@pytest.mark.soak
@pytest.mark.parametrize("shown", [{"username": None}, {"password": "wrong"}, {"username": "nobody"}])
def test_who_shows_no_user_or_a_wrong_password_is_refused(secured: Secured, shown: dict[str, str | None]) -> None:
    with pytest.raises(AuthFailed) as refused:
        secured.names(**shown)
    assert "401" in str(refused.value)
    assert PASSWORD not in str(refused.value)


@pytest.mark.soak
def test_who_shows_no_certificate_or_a_strangers_is_refused(secured: Secured, tmp_path: Path) -> None:
    with pytest.raises(AuthFailed, match="certificate"):
        secured.names(certificate=None)
    strangers = Authority(tmp_path, "stranger").certificate("client")
    with pytest.raises(AuthFailed, match=r"(?i)certificate|unknown_ca"):
        secured.names(certificate=str(strangers))


@pytest.mark.soak
def test_a_worker_whose_authority_we_do_not_know_is_refused(secured: Secured, tmp_path: Path) -> None:
    with pytest.raises(AuthFailed, match="CERTIFICATE_VERIFY_FAILED"):
        secured.names(ca=str(Authority(tmp_path, "stranger").file))


@contextlib.contextmanager
def _asking_for_a_token(worker: ConnectWorker) -> Iterator[str]:
    """A proxy before a worker that lets through who shows the token."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: object) -> None: ...

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.answer(401, b"a token is needed", "text/plain")
                return
            headers = {"Content-Type": "application/json"} if body else {}
            request = urllib.request.Request(worker.url + self.path, body, headers, method=self.command)
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    self.answer(answer.status, answer.read(), answer.headers.get("Content-Type"))
            except urllib.error.HTTPError as error:
                with error:
                    self.answer(error.code, error.read(), error.headers.get("Content-Type"))

        do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = handle_any

        def answer(self, status: int, body: bytes, kind: str | None) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind or "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_a_token_is_shown_with_every_call(connect: ConnectWorker, tmp_path: Path) -> None:
    name = "token-lines"
    config = {"connector.class": "FileStreamSource", "topic": name, "file": str(tmp_path / "in.txt")}
    with _asking_for_a_token(connect) as url, ConnectApi(ConnectSettings((url,), token=TOKEN)) as api:
        assert api.server().version.startswith("4.")
        assert api.validate({**config, "name": name}).error_count == 0
        api.create(name, config, initial_state="STOPPED")
        assert name in api.names()
        assert api.delete(name)
        for settings in (ConnectSettings((url,)), ConnectSettings((url,), token="wrong")):
            with ConnectApi(settings) as stranger, pytest.raises(AuthFailed) as refused:
                stranger.names()
            assert TOKEN not in str(refused.value)
