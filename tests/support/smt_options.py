"""`--smt-cases FILE`: which recorded transform cases to run."""

from __future__ import annotations

from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent.parent / "golden" / "smt" / "cases.jsonl"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--smt-cases",
        metavar="FILE",
        type=Path,
        default=GOLDEN,
        help="recorded transform cases to run, in the format of tests/golden/smt/README.md",
    )
