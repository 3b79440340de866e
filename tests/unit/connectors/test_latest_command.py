"""`seam log latest --every` looks again and again, and ends with the first difference."""

from __future__ import annotations

import pytest

from cdc.errors import VerificationFailed
from connectors import log_commands
from connectors.latest_check import LatestCheck


def test_a_standing_check_ends_with_the_first_difference(monkeypatch: pytest.MonkeyPatch):
    found = [LatestCheck("t", 1), LatestCheck("t", 2), LatestCheck("t", 2, wrong={b"k"}), LatestCheck("t", 2)]
    monkeypatch.setattr(log_commands, "check_latest", lambda *_: found.pop(0))
    with pytest.raises(VerificationFailed, match="not the latest"):
        log_commands.latest("t", every=0.0, bootstrap_servers="unused:0")
    assert len(found) == 1
