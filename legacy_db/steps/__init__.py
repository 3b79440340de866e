"""The steps that move a slice from state to state, one file each; a later step is added to `STEPS`."""

from __future__ import annotations

from typing import Final

from legacy_db.steps.base import Step
from legacy_db.steps.bootstrap import Bootstrap
from legacy_db.steps.capture import Capture
from legacy_db.steps.discover import Discover
from legacy_db.steps.plan import Plan
from legacy_db.steps.project import Project
from legacy_db.steps.verify import Verify

STEPS: Final[tuple[Step, ...]] = (Discover(), Plan(), Capture(), Bootstrap(), Project(), Verify())
"""In order: each leads from the state of the one before it to its own."""

STATES: Final = tuple(step.state for step in STEPS)
