"""Errors of Postgres become errors of ours: by SQLSTATE where there is one, by libpq's words where there is none."""

from __future__ import annotations

import psycopg
import pytest

from cdc.errors import AuthFailed, OperatorError, PublicationChanged, SlotInUse, SlotLost, SourceUnavailable
from cdc.postgres.faults import by_state, from_text, is_retriable, translate

BY_STATE = [
    ("55006", 'replication slot "s" is active for PID 7', SlotInUse),
    ("42704", 'replication slot "s" does not exist', SlotLost),
    ("42704", 'publication "p" does not exist', PublicationChanged),
    ("55000", 'can no longer access replication slot "s"', SlotLost),
    ("55000", 'skipped loading publication "p"', PublicationChanged),
    ("55000", "cannot do that now", OperatorError),
    ("57P01", "terminating connection due to administrator command", SourceUnavailable),
    ("57P02", "crash", SourceUnavailable),
    ("57P03", "the database system is starting up", SourceUnavailable),
    ("57014", "canceling statement due to statement timeout", SourceUnavailable),
    ("53300", "too many connections", SourceUnavailable),
    ("08006", "connection failure", SourceUnavailable),
    ("28P01", "password authentication failed", AuthFailed),
    ("28000", "no pg_hba.conf entry", AuthFailed),
    ("42501", "permission denied", AuthFailed),
    ("58P01", "requested WAL segment has already been removed", SlotLost),
    ("3D000", "database does not exist", OperatorError),
    ("XX000", "internal", OperatorError),
]
BY_TEXT = [
    ('FATAL: password authentication failed for user "u"', AuthFailed),
    ('FATAL: no pg_hba.conf entry for host "h"', AuthFailed),
    ("fe_sendauth: no password supplied", AuthFailed),
    ("SSL error: certificate verify failed", AuthFailed),
    ('FATAL: role "u" does not exist', AuthFailed),
    ("FATAL: permission denied to start WAL sender", AuthFailed),
    ('FATAL: database "d" does not exist', OperatorError),
    ("connection refused", SourceUnavailable),
    ("FATAL: the database system is shutting down", SourceUnavailable),
    ("server closed the connection unexpectedly", SourceUnavailable),
    ('could not translate host name "h" to address', SourceUnavailable),
]


@pytest.mark.parametrize("state, text, kind", BY_STATE)
def test_a_state_becomes_its_error_with_place_and_words(state, text, kind):
    error = by_state(state, text, where="replication from here")
    assert type(error) is kind
    for part in ("replication from here", text, state):
        assert part in str(error)


@pytest.mark.parametrize("text, kind", BY_TEXT)
def test_a_failed_connection_becomes_its_error_by_its_words(text, kind):
    error = from_text(text, where="connecting to here")
    assert type(error) is kind
    assert text in str(error)


def test_an_error_of_the_driver_is_told_by_its_state():
    assert type(translate(psycopg.errors.ObjectInUse("busy"), where="here")) is SlotInUse
    assert type(translate(psycopg.OperationalError("connection refused"), where="here")) is SourceUnavailable


@pytest.mark.parametrize("error, retried", [
    (SourceUnavailable(), True), (SlotInUse(), True), (psycopg.OperationalError(), True),
    (SlotLost(), False), (AuthFailed(), False), (PublicationChanged(), False), (ValueError(), False),
])  # fmt: skip
def test_only_what_may_pass_is_tried_again(error, retried):
    assert is_retriable(error) is retried
