"""Every benchmark can be started: what it takes from the others is there."""

from __future__ import annotations

import importlib

import pytest

from benchmarks.__main__ import ALL


@pytest.mark.parametrize("name", ALL)
def test_a_benchmark_has_a_beginning(name: str):
    assert callable(importlib.import_module(f"benchmarks.{name}").main)
