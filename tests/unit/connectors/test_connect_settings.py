"""Where a Connect cluster is: `[connect]`, the environment, the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdc.errors import ConfigError
from connectors.connect_settings import ConnectSettings, connect_settings, merged_sections


def test_the_command_line_goes_over_the_environment_over_the_file() -> None:
    section = {"url": "http://file:8083"}
    environ = {"SEAM_CONNECT_URL": "http://environment:8083"}
    assert connect_settings(section, environ={}).urls == ("http://file:8083",)
    assert connect_settings(section, environ=environ).urls == ("http://environment:8083",)
    assert connect_settings(section, url="http://line:8083", environ=environ).urls == ("http://line:8083",)


def test_several_workers_are_separated_by_commas_or_listed() -> None:
    two = ("http://a:8083", "http://b:8083")
    assert connect_settings({}, url="http://a:8083, http://b:8083", environ={}).urls == two
    assert connect_settings({"url": list(two)}, environ={}).urls == two


def test_no_worker_named_is_said_with_the_three_ways_to_name_one() -> None:
    with pytest.raises(ConfigError, match="no Connect worker is named") as failure:
        connect_settings({}, environ={})
    assert "--connect-url" in str(failure.value.hint)


@pytest.mark.parametrize("url", ["connect:8083", "ftp://connect:8083", "http://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="is not http://host:port"):
        connect_settings({}, url=url, environ={})


def test_credentials_in_the_address_are_taken_out_of_it() -> None:
    settings = connect_settings({}, url="https://ops:p%40ss@connect:8443", environ={})
    assert settings.urls == ("https://connect:8443",)
    assert settings.basic_auth() == ("ops", "p@ss")
    assert "p@ss" not in repr(settings)


def test_secrets_are_read_through_references() -> None:
    section = {"url": "https://c:1", "username": "ops", "password": "${env:CONNECT_PASSWORD}"}
    settings = connect_settings(section, environ={"CONNECT_PASSWORD": "pw"})
    assert settings.basic_auth() == ("ops", "pw")
    with pytest.raises(ConfigError, match="CONNECT_PASSWORD is not set"):
        connect_settings(section, environ={})


def test_every_wrong_entry_is_named_at_once() -> None:
    section = {"url": "http://c:1", "passwort": "x", "timeout": "soon", "username": "a", "token": "b"}
    with pytest.raises(ConfigError) as failure:
        connect_settings(section, environ={})
    assert [problem.key for problem in failure.value.problems] == [
        "connect.passwort",
        "connect.timeout",
        "connect.token",
    ]


def test_plain_http_to_another_machine_is_a_finding() -> None:
    assert (
        ConnectSettings(("http://127.0.0.1:1", "http://localhost:1", "https://far:1", "http://[::1]:1")).findings()
        == []
    )
    (finding,) = ConnectSettings(("http://far:8083",)).findings()
    assert finding.code == "CONNECT_PLAIN_HTTP"


def test_a_certificate_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ca, certificate or key"):
        ConnectSettings(("https://c:1",), ca=str(tmp_path / "none.pem")).tls_context()
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing")
    with pytest.raises(ConfigError, match="ca, certificate or key"):
        ConnectSettings(("https://c:1",), certificate=str(broken)).tls_context()


def test_two_files_must_agree_about_the_cluster() -> None:
    assert merged_sections([{"url": "http://a:1"}, {"url": "http://a:1", "owner": "x"}]) == {
        "url": "http://a:1",
        "owner": "x",
    }
    with pytest.raises(ConfigError, match="two files give different values"):
        merged_sections([{"url": "http://a:1"}, {"url": "http://b:1"}])
