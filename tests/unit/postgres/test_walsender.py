"""What the server says beside its answers: a warning on the replication connection is an error."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from psycopg import pq

from cdc.errors import PublicationChanged
from cdc.postgres.walsender import Walsender


def saying(severity: bytes, state: bytes = b"55000") -> Walsender:
    """A replication connection on which the server said something."""
    fields = {
        pq.DiagnosticField.SEVERITY_NONLOCALIZED: severity, pq.DiagnosticField.SQLSTATE: state,
        pq.DiagnosticField.MESSAGE_PRIMARY: b'skipped loading publication "p"',
    }  # fmt: skip
    walsender = Walsender.__new__(Walsender)
    walsender.where, walsender._warning = "replication from here", None
    walsender._notice(SimpleNamespace(error_field=fields.get))
    return walsender


def test_a_publication_that_the_server_only_warns_of_ends_the_stream():
    walsender = saying(b"WARNING")
    for _ in range(2):
        with pytest.raises(PublicationChanged, match="skipped loading publication"):
            walsender.raise_warning()


@pytest.mark.parametrize("severity", [b"NOTICE", b"LOG", b"INFO"])
def test_what_is_no_warning_ends_nothing(severity):
    saying(severity).raise_warning()
