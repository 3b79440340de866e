"""The cache of server parts, with a Maven of our own in place of the real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.stack import maven, missing
from tests.stack.missing import MissingPart
from tests.support.processes import answer, python

_MAVEN = """#!/bin/sh
echo called >> "$FAKE_CALLS"
sleep 0.5
test -e "$FAKE_BROKEN" && { echo "no such artifact" >&2; exit 1; }
for argument in "$@"; do
  case "$argument" in -DoutputDirectory=*) directory="${argument#*=}";; esac
done
mkdir -p "$directory"
echo jar > "$directory/part.jar"
"""
_ASK = """
import json
from tests.stack import maven
print(json.dumps(str(maven.kafka_jars())), flush=True)
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    program = tmp_path / "bin" / "mvn"
    program.parent.mkdir()
    program.write_text(_MAVEN)
    program.chmod(0o755)
    values = {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "SEAM_STACK_DIR": str(tmp_path / "stack"),
        "FAKE_CALLS": str(tmp_path / "calls"),
        "FAKE_BROKEN": str(tmp_path / "broken"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


def calls(environment: dict[str, str]) -> int:
    path = Path(environment["FAKE_CALLS"])
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_a_part_is_fetched_once(environment: dict[str, str]):
    first = maven.kafka_jars()
    assert first == maven.kafka_jars()
    assert (first / "part.jar").read_text() == "jar\n"
    assert calls(environment) == 1


def test_two_processes_at_once_fetch_once(environment: dict[str, str]):
    with python(_ASK, environment) as one, python(_ASK, environment) as another:
        assert answer(one) == answer(another)
    assert calls(environment) == 1


def test_a_fetch_that_failed_is_told_and_tried_again(environment: dict[str, str]):
    broken = Path(environment["FAKE_BROKEN"])
    broken.touch()
    with pytest.raises(RuntimeError, match=r"no such artifact"):
        maven.kafka_jars()
    broken.unlink()
    assert (maven.kafka_jars() / "part.jar").exists()


def test_a_fetch_that_was_cut_off_is_not_taken_for_done(environment: dict[str, str]):
    part = maven.kafka_jars()
    (part / ".complete").unlink()
    (part / "part.jar").write_text("half")
    assert (maven.kafka_jars() / "part.jar").read_text() == "jar\n"


def test_a_missing_program_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(MissingPart, match=r"mvn is missing.*apt-get install maven"):
        missing.maven()
    with pytest.raises(MissingPart, match=r"java is missing.*apt-get install openjdk-17"):
        missing.java()


def test_a_java_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(MissingPart, match=r"Java 17 or newer .*11"):
        missing.java()


def test_no_pom_names_a_host():
    for pom in (Path(maven.__file__).parent / "poms").glob("*.xml"):
        assert "://" not in pom.read_text().replace("file://", ""), pom
