"""Which tests run: soak tests only when asked for, and no skip passes under CI=true."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import REPOSITORY

_TESTS = """
import pytest

def test_quick(): pass

@pytest.mark.soak
def test_long(): pass
"""
_SKIPPING = """
import pytest

def test_quick(): pass

@pytest.mark.skip(reason="no server")
def test_left_out(): pass
"""


def test_soak_tests_are_left_out(tmp_path: Path):
    done = run(tmp_path, _TESTS)
    assert done.returncode == 0
    assert "1 passed, 1 deselected" in done.stdout


def test_soak_tests_run_when_asked_for(tmp_path: Path):
    done = run(tmp_path, _TESTS, "-m", "soak")
    assert done.returncode == 0
    assert "1 passed, 1 deselected" in done.stdout


def test_a_mark_that_is_not_soak_does_not_bring_them(tmp_path: Path):
    assert "1 passed, 1 deselected" in run(tmp_path, _TESTS, "-m", "not slow").stdout


@pytest.mark.parametrize("processes", ["0", "2"])
@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)])
def test_a_skip_fails_the_run_of_ci(tmp_path: Path, ci: str, code: int, processes: str):
    done = run(tmp_path, _SKIPPING, "--numprocesses", processes, ci=ci)
    assert done.returncode == code
    assert "1 passed, 1 skipped" in done.stdout
    assert ("so the run has failed" in done.stdout) == (ci == "true")


def run(directory: Path, tests: str, *arguments: str, ci: str = "") -> subprocess.CompletedProcess[str]:
    (directory / "test_some.py").write_text(tests)
    (directory / "pytest.ini").write_text("[pytest]\nmarkers =\n  soak: long\n  slow: slow\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.selection", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(directory), "-c", str(directory / "pytest.ini"), str(directory), *arguments]
    return subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False
    )
