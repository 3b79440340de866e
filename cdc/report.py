"""Findings: what a check saw, the evidence, and what mends it.

"Found a problem" and "could not check" are different results: the second is a finding of severity UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Severity(Enum):
    """How much a finding matters."""

    BLOCKS = "blocks"
    WARNING = "warning"
    NOTE = "note"
    UNKNOWN = "unknown"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    Attributes:
        code: Stable upper-case word, as `REPLICA_IDENTITY`.
        severity: BLOCKS makes `seam check` end with exit code 4.
        subject: What it is about: a table, a setting, a topic, an option.
        evidence: What was seen.
        remedy: The SQL or command that mends it, or None.
    """

    code: str
    severity: Severity
    subject: str
    evidence: str
    remedy: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The finding as a JSON object."""
        return {
            "code": self.code,
            "severity": self.severity.value,
            "subject": self.subject,
            "evidence": self.evidence,
            "remedy": self.remedy,
        }


def blocking(findings: Iterable[Finding]) -> list[Finding]:
    """Those that forbid a start."""
    return [finding for finding in findings if finding.severity is Severity.BLOCKS]
