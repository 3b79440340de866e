"""Where a Connect cluster is and how to talk to it: `[connect]`, `--connect-url`, `SEAM_CONNECT_URL`."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from cdc.errors import ConfigError, Problem
from cdc.properties import resolve
from cdc.report import Finding, Severity

URL_VARIABLE = "SEAM_CONNECT_URL"

_KEYS = (
    "url",
    "username",
    "password",
    "token",
    "ca",
    "certificate",
    "key",
    "key_password",
    "timeout",
    "deadline",
    "owner",
)


@dataclass(frozen=True, slots=True)
class ConnectSettings:
    """How to reach a Connect cluster.

    Attributes:
        urls: Its workers; any of them takes any call, the next is tried when one does not answer.
        username: For basic authentication.
        password: For basic authentication.
        token: For bearer authentication.
        ca: PEM file of the authorities that the worker's certificate is checked against; default: the system's.
        certificate: PEM file of the client's certificate.
        key: PEM file of its key, where it is not in the same file.
        key_password: Of the key.
        timeout: Seconds for one answer.
        deadline: Seconds until a call is given up, repetitions included.
        owner: What our mark on the cluster's connectors says; only connectors that carry it are pruned.
    """

    urls: tuple[str, ...]
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    key_password: str | None = field(default=None, repr=False)
    timeout: float = 15.0
    deadline: float = 25.0
    owner: str = "seam"

    def headers(self) -> dict[str, str]:
        """Headers of every request."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def basic_auth(self) -> tuple[str, str] | None:
        """User and password, where there is a user."""
        return (self.username, self.password or "") if self.username else None

    def tls_context(self) -> ssl.SSLContext:
        """What certificates are checked against, and the client's own.

        Raises:
            ConfigError: A file cannot be read or is not what it should be.
        """
        if not (self.ca or self.certificate or any(url.startswith("https://") for url in self.urls)):
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody; the system's authorities take 0.1 s to load
        try:
            context = ssl.create_default_context(cafile=self.ca)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key, self.key_password)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"[connect] ca, certificate or key: {error.strerror or error}", hint="they are files in PEM form"
            ) from error
        return context

    def findings(self) -> list[Finding]:
        """What is worth saying about them."""
        return [
            Finding(
                "CONNECT_PLAIN_HTTP", Severity.WARNING, url,
                "configurations, literal secrets among them, travel unencrypted to another machine",
                "give the worker an https listener",
            )
            for url in self.urls if url.startswith("http://") and not _is_loopback(urlsplit(url).hostname or "")
        ]  # fmt: skip


def connect_settings(
    section: Mapping[str, Any],
    *,
    url: str | None = None,
    environ: Mapping[str, str] = os.environ,
    source: str | None = None,
) -> ConnectSettings:
    """Read `[connect]`, over which `SEAM_CONNECT_URL` goes, over which `--connect-url` goes.

    Args:
        section: `[connect]` of the file; may hold `${env:NAME}` and `${file:/path:key}`.
        url: `--connect-url`: one or several workers, separated by commas.
        environ: The environment.
        source: The file, for messages.

    Raises:
        ConfigError: No worker is named, or an entry cannot be used.
    """
    problems = [Problem(f"connect.{key}", f"is none of {', '.join(_KEYS)}") for key in section if key not in _KEYS]
    given = url or environ.get(URL_VARIABLE) or section.get("url")
    if not given:
        raise ConfigError(
            "no Connect worker is named", source=source, hint=f"give --connect-url, {URL_VARIABLE} or [connect] url"
        )
    addresses = [str(one) for one in given] if isinstance(given, list) else str(given).split(",")
    texts = {key: str(value) for key, value in section.items() if key in _KEYS and key != "url"}
    texts = resolve(texts, environ=environ, source=source)
    values: dict[str, Any] = dict(texts)
    for key in ("timeout", "deadline"):
        if key in texts:
            try:
                values[key] = float(texts[key])
            except ValueError:
                problems.append(Problem(f"connect.{key}", "is not a number of seconds"))
    urls = []
    for address in addresses:
        plain, user, password = _split_credentials(address.strip())
        if urlsplit(plain).scheme not in ("http", "https") or not urlsplit(plain).hostname:
            problems.append(Problem("connect.url", f"{plain!r} is not http://host:port or https://host:port"))
        urls.append(plain)
        if user:
            values.setdefault("username", user)
            values.setdefault("password", password)
    if texts.get("token") and values.get("username"):
        problems.append(Problem("connect.token", "stands beside a username; a request carries one of the two"))
    if problems:
        raise ConfigError(problems, source=source)
    known = {declared.name for declared in fields(ConnectSettings)}
    return ConnectSettings(urls=tuple(urls), **{key: value for key, value in values.items() if key in known})


def merged_sections(sections: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`[connect]` of several files as one.

    Raises:
        ConfigError: Two files say different things.
    """
    merged: dict[str, Any] = {}
    for section in sections:
        for key, value in section.items():
            if merged.setdefault(key, value) != value:
                raise ConfigError(f"[connect] {key}: two files give different values")
    return merged


def _split_credentials(address: str) -> tuple[str, str | None, str | None]:
    """`https://user:password@host` taken apart, so that no message shows the password."""
    parts = urlsplit(address)
    if parts.username is None:
        return address, None, None
    host = parts.netloc.rpartition("@")[2]
    plain = urlunsplit((parts.scheme, host, parts.path, parts.query, parts.fragment))
    return plain, unquote(parts.username), unquote(parts.password or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
