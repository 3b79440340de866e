"""No secret is ever shown."""

from __future__ import annotations

import pytest

from connectors.redact import MASK, Redaction, is_masked


def test_a_secret_is_masked_by_its_key_and_a_reference_stays() -> None:
    redaction = Redaction({})
    shown = redaction.config(
        {"database.password": "x", "password": "${env:PASSWORD}", "database.user": "u", "token": ""}
    )
    assert shown == {"database.password": MASK, "password": "${env:PASSWORD}", "database.user": "u", "token": ""}


def test_a_key_that_a_plugin_declares_as_password_is_masked_whatever_its_name() -> None:
    redaction = Redaction({})
    redaction.learn_keys(["mongodb.connection.string"])
    assert redaction.value("mongodb.connection.string", "mongodb://h") == MASK


def test_a_learnt_secret_is_struck_out_of_every_text() -> None:
    redaction = Redaction({})
    redaction.learn({"sasl.password": "c4nary-s3cret"})
    assert redaction.text("Invalid value xc4nary-s3cretx") == f"Invalid value x{MASK}x"
    assert redaction.value("some.other.key", "c4nary-s3cret") == MASK


def test_a_short_secret_is_not_struck_out_of_longer_words() -> None:
    redaction = Redaction({})
    redaction.learn({"database.password": "postgres"})
    text = "org.postgresql.util.PSQLException: user postgres"
    assert redaction.text(text) == f"org.postgresql.util.PSQLException: user {MASK}"


def test_the_secret_behind_a_reference_to_the_environment_is_struck_out_too() -> None:
    redaction = Redaction({"DB_PASSWORD": "c4nary-s3cret"})
    redaction.learn({"database.password": "${env:DB_PASSWORD}"})
    assert redaction.text("tried c4nary-s3cret") == f"tried {MASK}"
    assert redaction.value("database.password", "${env:DB_PASSWORD}") == "${env:DB_PASSWORD}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mongodb://user:pw@host/db", f"mongodb://user:{MASK}@host/db"),
        ("jdbc:postgresql://h/db?user=u&password=pw&ssl=true", f"jdbc:postgresql://h/db?user=u&password={MASK}&ssl=true"),
        ('ScramLoginModule required username="u" password="p w";', f'ScramLoginModule required username="u" password={MASK};'),
        ("jdbc:x?password=${env:P}", "jdbc:x?password=${env:P}"),
        ("http://host:8083/path", "http://host:8083/path"),
    ],
)  # fmt: skip
def test_passwords_inside_urls_and_parameters_are_masked(text: str, shown: str) -> None:
    assert Redaction({}).text(text) == shown


@pytest.mark.parametrize(
    ("value", "masked"), [("******", True), ("[hidden]", True), ("<redacted>", True), ("*", False), ("a", False)]
)
def test_what_others_show_in_place_of_a_secret_is_known(value: str, masked: bool) -> None:
    assert is_masked(value) is masked
