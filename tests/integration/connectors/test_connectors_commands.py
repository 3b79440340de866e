"""`seam connectors` as a command line: what goes to standard output, what to standard error, and the exit codes.

The worker is the tests' fake one, behind a port; `test_apply_on_a_worker.py` has the real one.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from connectors.commands import app
from tests.support.command_line import Result, run
from tests.support.fake_worker import INSERT_FIELD_TRACE, Failure, FakeWorker
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]
SOURCE = {"connector.class": "FileStreamSource", "topic": "t", "file": "/nowhere"}


class CommandLine:
    """A fake worker and a directory of files."""

    def __init__(self, worker: FakeWorker, url: str, directory: Path) -> None:
        self.worker, self.url, self.directory = worker, url, directory

    def write(self, name: str, **more: str) -> Path:
        file = self.directory / f"{name}.json"
        file.write_text(json.dumps({"name": name, "config": {**SOURCE, **more}}))
        return file

    def run(self, *arguments: object, answers: str | None = None) -> Result:
        return run(app, *(str(argument) for argument in arguments), "--connect-url", self.url, answers=answers)

    def applied(self, *names: str) -> None:
        for name in names:
            self.write(name)
        result = self.run("apply", self.directory, "--settle", "0.1")
        assert result.code == 0, str(result.error)


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    monkeypatch.chdir(tmp_path)
    # The fake worker follows at once: what a real one is given to come to rest would be waited for in vain.
    for name, seconds in {"FAILED_FOR": 0.1, "STALE_FOR": 0.2, "HELD_FOR": 0.05}.items():
        monkeypatch.setattr(f"connectors.settling.{name}", seconds)
    for module in ("apply", "operate"):
        monkeypatch.setattr(f"connectors.{module}.POLL", 0.02)
    directory = tmp_path / "connectors"
    directory.mkdir()
    worker = FakeWorker(lag=0.02)
    with worker.served() as url:
        yield CommandLine(worker, url, directory)


def test_a_plan_is_one_json_document_with_an_action_for_each_connector(line: CommandLine) -> None:
    line.applied("same", "other")
    line.write("other", **{"batch.size": "5"})
    line.write("new")
    document = line.run("plan", line.directory, "--output", "json").document
    actions = {change["connector"]: change["action"] for change in document["changes"]}
    assert actions == {"new": "create", "other": "change", "same": "none"}
    (keys,) = (change["keys"] for change in document["changes"] if change["connector"] == "other")
    assert [(key["key"], key["before"], key["after"], key["before_default"]) for key in keys] == [
        ("batch.size", "2000", "5", True)
    ]


def test_detailed_exit_codes_tell_nothing_to_do_from_changes(line: CommandLine) -> None:
    line.applied("a")
    assert line.run("plan", line.directory, "--detailed-exitcode").code == 0
    line.write("a", **{"batch.size": "5"})
    assert line.run("plan", line.directory, "--detailed-exitcode").code == 2
    assert line.run("plan", line.directory).code == 0


def test_a_risky_change_says_why(line: CommandLine) -> None:
    line.applied("a")
    line.write("a", file="/elsewhere")
    assert "risk: the stored offset belongs to the old file" in line.run("plan", line.directory).out
    assert line.run("apply", line.directory, "--settle", "0.1").code == 0


def test_a_dry_run_writes_nothing(line: CommandLine) -> None:
    line.write("a")
    assert line.run("apply", line.directory, "--dry-run").code == 0
    assert line.worker.connectors == {}


def test_the_document_of_an_apply_that_failed_is_still_one_document(line: CommandLine) -> None:
    line.write("a", **{"transforms": "i", "transforms.i.type": "org.apache.kafka.connect.transforms.InsertField$Value"})
    result = line.run("apply", line.directory, "--output", "json", "--settle", "0.1")
    assert result.code == 4
    (outcome,) = result.document["outcomes"]
    assert (outcome["connector"], outcome["result"]) == ("a", "rolled back")
    assert "No field insertion configured" in outcome["cause"]
    assert "rolling back" in result.err


@pytest.mark.parametrize("command", ["plan", "apply", "validate", "drift"])
def test_files_that_cannot_be_read_are_exit_2_with_the_place(line: CommandLine, command: str) -> None:
    (line.directory / "broken.json").write_text('{"name": "a",\n "config": }')
    broken = line.run(command, line.directory)
    assert broken.code == 2
    assert "line 2, column 12" in str(broken.error)
    missing = line.run(command, line.directory / "none.json")
    assert missing.code == 2
    assert "no such file" in str(missing.error)


def test_no_worker_is_exit_3_and_says_what_to_check(line: CommandLine) -> None:
    line.write("a")
    (line.directory / "seam.toml").write_text("[connect]\ndeadline = 0.5\n")
    began = time.monotonic()
    result = run(app, "plan", str(line.directory), "--connect-url", "http://127.0.0.1:1")
    assert result.code == 3
    assert time.monotonic() - began < 10
    assert "no Connect worker answers at http://127.0.0.1:1" in str(result.error)


def test_no_address_is_exit_2(line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEAM_CONNECT_URL", raising=False)
    result = run(app, "list")
    assert result.code == 2
    assert "no Connect worker is named" in str(result.error)


def test_the_cluster_may_come_from_the_environment_or_from_seam_toml_here(
    line: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SEAM_CONNECT_URL", line.url)
    assert run(app, "list").code == 0
    monkeypatch.delenv("SEAM_CONNECT_URL")
    (tmp_path / "seam.toml").write_text(f'[connect]\nurl = "{line.url}"\n')
    assert run(app, "list").code == 0


def test_literal_secrets_are_a_finding_and_refused_on_request(line: CommandLine) -> None:
    line.write("a", **{"producer.override.sasl.password": "c4nary"})
    assert "LITERAL_SECRET producer.override.sasl.password" in line.run("plan", line.directory).out
    refused = line.run("plan", line.directory, "--refuse-literal-secrets")
    assert refused.code == 2
    assert "c4nary" not in refused.everything


def test_misspelt_keys_are_refused_unless_let_pass(line: CommandLine) -> None:
    line.write("a", **{"batch.sice": "5"})
    assert line.run("apply", line.directory).code == 2
    assert line.run("apply", line.directory, "--allow-unknown-keys", "--settle", "0.1").code == 0


def test_deleting_asks_and_takes_no_for_an_answer(line: CommandLine) -> None:
    line.applied("a")
    refused = line.run("delete", "a")
    assert refused.code == 2
    assert "--yes" in refused.everything
    assert line.run("delete", "a", "--yes").code == 0
    assert line.worker.connectors == {}


def test_what_is_told_of_connectors_is_the_same_for_people_and_programs(line: CommandLine) -> None:
    line.applied("a", "b")
    line.worker.failures["b"] = Failure(INSERT_FIELD_TRACE)
    listed = line.run("list", "--output", "json").document["connectors"]
    assert {entry["name"]: entry["state"] for entry in listed} == {"a": "RUNNING", "b": "FAILED"}
    table = line.run("list").out
    assert "a     RUNNING" in table
    assert "b     FAILED" in table
    people = line.run("status", "b").out
    assert "No field insertion configured" in people
    assert "set one of its *.field options" in people


def test_everything_about_one_connector(line: CommandLine) -> None:
    line.applied("a")
    shown = line.run("show", "a", "--output", "json").document
    assert shown["config"] == SOURCE
    assert (shown["state"], shown["owner"], shown["topics"]) == ("RUNNING", "seam", ["t"])
    assert "file = /nowhere" in line.run("show", "a").out
    unknown = line.run("show", "z")
    assert unknown.code == 4
    assert "the cluster has a" in str(unknown.error)


def test_drift_names_configurations_states_and_strangers(line: CommandLine) -> None:
    line.applied("a", "b", "c")
    assert line.run("drift", line.directory, "--detailed-exitcode").code == 0
    line.run("stop", "b")
    line.worker.handle("PATCH", "/connectors/a/config", b'{"batch.size": "9"}', None)
    line.worker.handle("PUT", "/connectors/stranger/config", json.dumps(SOURCE).encode(), None)
    result = line.run("drift", line.directory, "--output", "json", "--detailed-exitcode")
    assert result.code == 2
    found = result.document
    assert [(change["connector"], change["action"]) for change in found["changes"]] == [("a", "change")]
    assert found["states"] == [{"connector": "b", "state": "STOPPED"}]
    assert found["unknown"] == [{"connector": "stranger", "owner": None}]
    assert "the cluster has drifted" in line.run("drift", line.directory).out


def test_an_export_replaces_secrets_and_overwrites_nothing(line: CommandLine, tmp_path: Path) -> None:
    config = {**SOURCE, "producer.override.sasl.password": "c4nary", "url": "http://u:c4nary@h", "plain": "x"}
    line.worker.handle("PUT", "/connectors/my-shop/config", json.dumps(config).encode(), None)
    out = tmp_path / "out"
    result = line.run("export", out, "--output", "json")
    (entry,) = result.document["connectors"]
    assert entry["variables"] == {
        "MY_SHOP_PRODUCER_OVERRIDE_SASL_PASSWORD": "producer.override.sasl.password",
        "MY_SHOP_URL": "url",
    }
    written = json.loads((out / "my-shop.json").read_text())
    assert written["config"]["producer.override.sasl.password"] == "${env:MY_SHOP_PRODUCER_OVERRIDE_SASL_PASSWORD}"
    assert written["config"]["plain"] == "x"
    assert "c4nary" not in (out / "my-shop.json").read_text() + result.everything
    again = line.run("export", out)
    assert again.code == 2
    assert "--force" in again.everything
    assert line.run("export", out, "--force").code == 0


def test_a_key_is_explained_by_the_plugins_that_declare_it(line: CommandLine) -> None:
    found = line.run("explain", "batch.size", "--output", "json").document
    assert [(one["type"], one["default"]) for one in found["definitions"]] == [("INT", "2000")]
    assert "risk when changed" in line.run("explain", "slot.name").out
    assert line.run("explain", "no.such.key").code == 2
    assert "did you mean batch.size?" in line.run("explain", "batch.sise").everything


def test_a_cluster_without_connectors_says_so(line: CommandLine) -> None:
    for command in ("status", "restart"):
        assert "the cluster has no connectors" in line.run(command).out
        (connectors,) = line.run(command, "--output", "json").document.values()
        assert connectors == []


def test_times_that_cannot_be_are_refused_as_arguments(line: CommandLine) -> None:
    line.applied("a")
    for arguments in (
        ("apply", line.directory, "--settle", "-1"), ("apply", line.directory, "--timeout", "-1"),
        ("apply", line.directory, "--lock-timeout", "-1"), ("resume", "a", "--settle", "-1"), ("status", "--watch", "--every", "0"),
    ):  # fmt: skip
        assert line.run(*arguments).code == 2, arguments


def test_what_is_wrong_with_a_setting_is_said_once_for_all_connectors(line: CommandLine) -> None:
    line.write("a")
    line.write("b")
    refused = line.run("plan", line.directory, "--set", "novalue")
    assert refused.code == 2
    assert str(refused.error).count("is not of the form name=value") == 1


def test_plugins_and_their_versions_are_listed(line: CommandLine) -> None:
    few = line.run("plugins", "--output", "json").document["plugins"]
    assert {plugin["type"] for plugin in few} == {"source", "sink"}
    assert len(line.run("plugins", "--all", "--output", "json").document["plugins"]) > len(few)


def test_offsets_that_are_no_offsets_are_refused_before_anything_is_stopped(line: CommandLine, tmp_path: Path) -> None:
    line.applied("a")
    file = tmp_path / "offsets.json"
    for text in ("[", "{}", '{"offsets": [{"partition": 1}]}'):
        file.write_text(text)
        assert line.run("offsets", "set", "a", file).code == 2
    assert line.worker.count("PUT", "/stop") == 0


def test_offsets_are_copied_and_what_was_there_is_told(line: CommandLine) -> None:
    line.write("a", file="/a")
    line.write("b", file="/b")
    line.applied()
    line.worker.offsets["a"] = [{"partition": {"filename": "/a"}, "offset": {"position": 7}}]
    changed = line.run("offsets", "copy", "a", "b", "--settle", "0.1", "--output", "json").document
    assert changed["before"] == []
    assert changed["after"] == [{"partition": {"filename": "/b"}, "offset": {"position": 7}}]
    assert line.run("offsets", "copy", "b", "a", "--settle", "0.1").code == 0
    nothing = line.run("offsets", "reset", "a", "--settle", "0.1", "--output", "json").document
    assert nothing["after"] == []
    assert line.run("offsets", "copy", "a", "b").code == 2


def test_a_change_that_only_one_engine_can_run_is_named_with_its_keys(line: CommandLine) -> None:
    line.write("a")
    (change,) = line.run("plan", line.directory, "--output", "json").document["changes"]
    assert change["notes"] == ["only Kafka Connect can run it, not the native engine: connector.class"]


def test_no_command_shows_a_secret_in_any_form(line: CommandLine, tmp_path: Path) -> None:
    """A secret that the file holds, another that only the cluster holds, one in an address, one in a failing task's trace."""
    secret = "c4nary-s3cret"
    hidden = {
        "producer.override.sasl.password": secret,
        "some.token": secret,
        "url": f"http://u:{secret}@h",
        "topic": "t",
    }
    line.worker.handle("PUT", "/connectors/live/config", json.dumps({**SOURCE, **hidden}).encode(), None)
    line.worker.offsets["live"] = [{"partition": {"filename": "/nowhere"}, "offset": {"position": 1}}]
    trace = f"org.example.Failed: cannot log in with {secret}\nCaused by: org.example.Failed: {secret} is wrong\n"
    line.worker.failures["live"] = Failure(trace)
    files = line.directory
    line.write("live", **{**hidden, "some.token": f"{secret}-2"})
    line.write("new", **hidden, **{"tasks.max": secret})
    offsets, out = tmp_path / "offsets.json", tmp_path / "out"
    offsets.write_text(json.dumps({"offsets": line.worker.offsets["live"]}))
    quick = ("--settle", "0", "--timeout", "2")
    # Every command, and how it is called; first while its task fails, then those that wait for their effect.
    failing: dict[str, tuple[object, ...]] = {
        "list": (), "status": (), "show": ("live",), "plugins": (), "explain": ("batch.size",), "template": ("postgres",),
        "plan": (files,), "validate": (files,), "drift": (files,), "export": (out, "--force"), "apply": (files, *quick),
        "restart": ("live", "--attempts", "1", *quick), "offsets show": ("live",),
    }  # fmt: skip
    running: dict[str, tuple[object, ...]] = {
        "pause": ("live",), "resume": ("live", *quick), "offsets set": ("live", offsets, *quick), "offsets copy": ("live", "live", *quick),
        "offsets reset": ("live", *quick), "stop": ("live",), "delete": ("live", "--yes"),
    }  # fmt: skip
    assert {*failing, *running} == set(command_names()), "a command is not called here"

    def call(command: str, arguments: tuple[object, ...], form: str) -> None:
        words = [*command.split(), *arguments, "--output", form]
        result = run(app, *map(str, words)) if command == "template" else line.run(*words)
        assert secret not in result.everything, (command, form)
        assert result.code in (0, 2, 4), (command, form, result.everything)

    for command, arguments in failing.items():
        for form in ("table",) if command == "restart" else ("table", "json"):
            call(command, arguments, form)
    line.worker.failures.clear()
    line.worker.handle("POST", "/connectors/live/restart?includeTasks=true", b"", None)
    for number, (command, arguments) in enumerate(running.items()):
        call(command, arguments, ("table", "json")[number % 2])
    assert secret not in "".join(file.read_text() for file in out.iterdir())
    done = line.run("apply", files, "--only", "live", "--settle", "0.1")
    assert done.code == 0
    assert secret not in done.everything


def command_names() -> list[str]:
    def names(group: typer.core.TyperGroup, before: str) -> Iterator[str]:
        for name, command in group.commands.items():
            if isinstance(command, typer.core.TyperGroup):
                yield from names(command, f"{before}{name} ")
            else:
                yield f"{before}{name}"

    root = typer.main.get_command(app)
    assert isinstance(root, typer.core.TyperGroup)
    return list(names(root, ""))


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "import cli; cli.app()", "connectors", *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_apply_says_what_is_and_what_is_not(line: CommandLine, number: signal.Signals) -> None:
    line.write("a")
    line.write("b", **{"seam.depends.on": "a"})
    process = start("apply", line.directory, "--connect-url", line.url, "--settle", "60")
    wait_until(lambda: line.worker.count("GET", "/a/status") > 1, 30, "the first connector to be watched")
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "a: in doubt" in err
    assert "b: not attempted" in err
    assert "run the same command again" in err


def test_watching_writes_a_line_for_each_change_until_it_is_interrupted(line: CommandLine) -> None:
    line.applied("a")
    process = start("status", "a", "--connect-url", line.url, "--watch", "--every", "0.05", "--output", "json")
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    line.run("pause", "a")
    second = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert [document["connectors"][0]["state"] for document in (first, second)] == ["RUNNING", "PAUSED"]
