"""`seam connectors apply` and its neighbours on a real distributed worker."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdc.kafka.client import ClientOptions
from cdc.kafka.lease import lease
from connectors.commands import app
from connectors.connect_api import ConnectApi
from connectors.connect_settings import ConnectSettings
from tests.stack.connect import ConnectWorker
from tests.stack.fixtures import MakeConnect
from tests.stack.kafka import KafkaBroker
from tests.support.command_line import Result, run
from tests.support.waiting import wait_until

FAST = ("--settle", "0.3")


class Files:
    """A directory of connectors that copy lines of a file into a topic, and the commands on it."""

    def __init__(self, directory: Path, prefix: str, url: str) -> None:
        self.directory = directory / "connectors"
        self.directory.mkdir()
        self.lines = directory / "in.txt"
        self.lines.write_text("one\n")
        self.prefix = prefix
        self.url = url
        self.api = ConnectApi(ConnectSettings((url,)))

    def name(self, short: str) -> str:
        return f"{self.prefix}-{short}"

    def write(self, short: str, **more: str) -> None:
        config = {
            "connector.class": "FileStreamSource",
            "topic": self.name(short),
            "file": str(self.lines),
            "tasks.max": 1,
            **{key.replace("_", "."): value for key, value in more.items()},
        }
        (self.directory / f"{short}.json").write_text(json.dumps({"name": self.name(short), "config": config}))

    def run(self, command: str, *arguments: str) -> Result:
        return run(app, command, str(self.directory), "--connect-url", self.url, *arguments)

    def actions(self, *arguments: str) -> dict[str, str]:
        changes = self.run("plan", "--output", "json", *arguments).document["changes"]
        return {change["connector"]: change["action"] for change in changes}

    def running(self, short: str) -> bool:
        status = self.api.status(self.name(short))
        return status is not None and [task.state for task in status.tasks] == ["RUNNING"]


@pytest.fixture
def files(tmp_path: Path, prefix: str, connect: ConnectWorker) -> Iterator[Files]:
    ours = Files(tmp_path, prefix, connect.url)
    yield ours
    ours.api.close()


def test_apply_creates_changes_and_leaves_alone_and_the_plan_is_empty_afterwards(files: Files) -> None:
    files.write("a")
    files.write("b")
    assert files.actions() == {files.name("a"): "create", files.name("b"): "create"}
    assert files.run("plan", "--detailed-exitcode").code == 2
    assert files.run("apply", *FAST).code == 0
    assert files.running("a")
    assert files.running("b")
    assert files.run("plan", "--detailed-exitcode").code == 0

    files.write("a", **{"batch.size": "50"})
    assert files.actions() == {files.name("a"): "change", files.name("b"): "none"}
    applied = files.run("apply", "--output", "json", *FAST)
    assert applied.code == 0
    results = {outcome["connector"]: outcome["result"] for outcome in applied.document["outcomes"]}
    assert results == {files.name("a"): "done", files.name("b"): "unchanged"}
    assert files.api.tasks(files.name("a"))[0].config["batch.size"] == "50"
    assert set(files.actions().values()) == {"none"}


def test_defaults_and_spellings_make_no_false_change(files: Files) -> None:
    files.write("a")
    assert files.run("apply", *FAST).code == 0
    files.write(
        "a",
        **{
            "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
            "tasks.max": "01",
            "batch.size": "2000",
            "errors.log.enable": "False",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        },
    )
    assert files.run("plan", "--detailed-exitcode").code == 0
    files.api.patch_config(files.name("a"), {"batch.size": "7"})
    (change,) = files.run("plan", "--output", "json").document["changes"]
    assert [(key["key"], key["before"], key["after"]) for key in change["keys"]] == [("batch.size", "7", "2000")]


def test_only_what_we_made_is_pruned(files: Files) -> None:
    files.write("a")
    files.write("b")
    foreign = files.name("foreign")
    files.api.create(foreign, {"connector.class": "FileStreamSource", "topic": foreign, "file": str(files.lines)})
    assert files.run("apply", *FAST).code == 0
    (files.directory / "b.json").unlink()
    assert files.actions()[files.name("a")] == "none"
    assert {n: a for n, a in files.actions("--prune").items() if a == "delete"} == {files.name("b"): "delete"}
    assert files.run("apply", "--prune", *FAST).code == 2  # nobody answers the question
    assert files.run("apply", "--prune", "--yes", *FAST).code == 0
    names = files.api.names()
    assert files.name("b") not in names
    assert {foreign, files.name("a")} <= set(names)


def test_a_failure_after_a_passed_validation_is_rolled_back_with_its_cause(files: Files) -> None:
    """The transform meets its first record a second or two after the change, and cannot take it."""
    files.write("a")
    assert files.run("apply", *FAST).code == 0
    before = files.api.config(files.name("a"))
    files.write(
        "a",
        **{
            "transforms": "take",
            "transforms.take.type": "org.apache.kafka.connect.transforms.ExtractField$Value",
            "transforms.take.field": "id",
        },
    )

    def later() -> None:
        wait_until(lambda: "transforms" in (files.api.config(files.name("a")) or {}), 30, "the change")
        # The fault itself: a task that fails while it is being watched. It looks for new lines once in a second.
        time.sleep(0.7)
        with files.lines.open("a") as lines:
            lines.write("two\n")

    writer = threading.Thread(target=later)
    writer.start()
    result = files.run("apply")
    writer.join()
    assert result.code == 4
    assert "Only Map objects supported" in str(result.error) or "Only Struct objects supported" in str(result.error)
    assert "former configuration again and is RUNNING" in str(result.error)
    assert files.api.config(files.name("a")) == before
    assert files.running("a")


def test_a_creation_that_does_not_run_is_taken_back(files: Files) -> None:
    files.write(
        "a", **{"transforms": "i", "transforms.i.type": "org.apache.kafka.connect.transforms.InsertField$Value"}
    )
    result = files.run("apply")
    assert result.code == 4
    assert "No field insertion configured" in str(result.error)
    assert files.name("a") not in files.api.names()


def test_wrong_converters_unknown_plugins_and_misspelt_keys_never_reach_the_cluster(files: Files) -> None:
    files.write("a", **{"value.converter": "org.example.NoSuchConverter"})
    files.write("b", **{"connector.class": "FileStreamSorce"})
    files.write("c", **{"batch.sise": "5"})
    result = files.run("apply")
    assert result.code == 2
    text = str(result.error)
    assert "NoSuchConverter" in text
    assert "FileStreamSorce is not installed" in text
    assert "FileStreamSourceConnector" in text
    assert "batch.sise" in text
    assert "batch.size" in text
    assert not set(files.api.names()) & {files.name(short) for short in "abc"}


def test_no_secret_is_shown_in_any_mode(files: Files) -> None:
    secret = "c4nary-s3cret-value"
    files.write("a", **{"producer.override.sasl.password": secret, "tasks.max": secret})
    outputs = [files.run(command) for command in ("plan", "validate", "apply", "drift")]
    outputs += [files.run(command, "--output", "json") for command in ("plan", "validate", "apply", "drift")]
    files.write("a", **{"some.token": secret})
    outputs += [files.run("apply", *FAST), files.run("drift"), files.run("plan")]
    files.write("a", **{"some.token": f"{secret}-2"})
    outputs += [files.run("plan"), files.run("plan", "--output", "json")]
    outputs += [
        run(app, "show", files.name("a"), "--connect-url", files.url, "--output", mode) for mode in ("table", "json")
    ]
    outputs.append(run(app, "export", str(files.directory.parent / "out"), files.name("a"), "--connect-url", files.url))
    assert outputs[8].code == 0
    assert all(secret not in output.everything for output in outputs)
    assert secret not in "".join(file.read_text() for file in (files.directory.parent / "out").iterdir())


def test_an_exported_cluster_is_its_own_plan(files: Files) -> None:
    files.write("a", **{"batch.size": "5"})
    assert files.run("apply", *FAST).code == 0
    out = files.directory.parent / "out"
    assert run(app, "export", str(out), files.name("a"), "--connect-url", files.url).code == 0
    again = run(app, "plan", str(out), "--connect-url", files.url, "--detailed-exitcode")
    assert again.code == 0


def test_offsets_are_set_and_the_connector_goes_on_from_them(files: Files) -> None:
    files.write("a")
    assert files.run("apply", *FAST).code == 0
    name = files.name("a")
    wait_until(lambda: files.api.offsets(name), 30, "an offset")
    shown = run(app, "offsets", "show", name, "--connect-url", files.url, "--output", "json").document
    assert shown["offsets"] == [{"partition": {"filename": str(files.lines)}, "offset": {"position": 4}}]
    wanted = files.directory.parent / "offsets.json"
    wanted.write_text(json.dumps({"offsets": [{**shown["offsets"][0], "offset": {"position": 0}}]}))
    changed = run(
        app, "offsets", "set", name, str(wanted), "--connect-url", files.url, "--output", "json", *FAST
    ).document
    assert changed["before"] == shown["offsets"]
    assert changed["after"][0]["offset"] == {"position": 0}
    assert files.running("a")
    wait_until(lambda: files.api.offsets(name)[0].offset == {"position": 4}, 30, "the line to be read again")
    assert run(app, "offsets", "reset", name, "--connect-url", files.url, *FAST).code == 0


def test_pause_stop_and_resume_wait_for_their_effect(files: Files) -> None:
    files.write("a")
    assert files.run("apply", *FAST).code == 0
    name = files.name("a")
    for state, command in (("PAUSED", ["pause"]), ("STOPPED", ["stop"]), ("RUNNING", ["resume", *FAST])):
        assert run(app, *command, name, "--connect-url", files.url).code == 0
        status = run(app, "status", name, "--connect-url", files.url, "--output", "json").document["connectors"][0]
        assert status["state"] == state


def test_restart_restarts_what_failed_and_nothing_else(files: Files) -> None:
    files.write("a")
    assert files.run("apply", *FAST).code == 0
    name = files.name("a")
    healthy = run(app, "restart", name, "--connect-url", files.url, "--output", "json").document["restarts"]
    assert healthy[0]["form"] == "nothing failed"
    files.api.put_config(
        name,
        {
            **(files.api.config(name) or {}),
            "transforms": "i",
            "transforms.i.type": "org.apache.kafka.connect.transforms.InsertField$Value",
        },
    )
    wait_until(
        lambda: (s := files.api.status(name)) is not None and s.tasks and s.tasks[0].state == "FAILED", 30, "a failure"
    )
    listed = run(app, "status", name, "--connect-url", files.url, "--output", "json").document["connectors"][0]
    assert listed["state"] == "FAILED"
    assert "No field insertion configured" in listed["tasks"][0]["cause"]
    result = run(app, "restart", name, "--connect-url", files.url, "--attempts", "1")
    assert result.code == 4
    assert "No field insertion configured" in str(result.error)


def test_a_worker_that_is_killed_in_the_middle_leaves_a_plain_message_and_the_next_apply_finishes(
    files: Files, connect: ConnectWorker
) -> None:
    worker = connect
    files.write("a")
    files.write("b", **{"seam.depends.on": files.name("a")})

    def killer() -> None:
        wait_until(lambda: files.name("a") in files.api.names(), 30, "the first connector")
        worker.kill()

    killing = threading.Thread(target=killer)
    killing.start()
    (files.directory / "seam.toml").write_text("[connect]\ndeadline = 3\n")
    began = time.monotonic()
    result = files.run("apply")
    killing.join()
    assert result.code == 3
    assert time.monotonic() - began < 30
    assert f"{files.name('a')}: in doubt" in str(result.error)
    assert f"{files.name('b')}: not attempted" in str(result.error)
    assert "run the same command again" in str(result.error and result.error.hint)
    worker.start()
    assert files.run("apply", *FAST).code == 0
    assert files.running("a")
    assert files.running("b")


@pytest.mark.soak
def test_a_second_worker_that_joins_in_the_middle_does_not_disturb(
    files: Files, make_connect: MakeConnect, connect: ConnectWorker
) -> None:
    for number in range(4):
        files.write(f"c{number}")
    joined: list[ConnectWorker] = []
    joining = threading.Thread(target=lambda: joined.append(make_connect(group=connect.group)))
    joining.start()
    results = []
    while joining.is_alive():
        for number in range(4):
            files.write(f"c{number}", **{"batch.size": str(100 + len(results))})
        results.append(files.run("apply", *FAST))
    joining.join()
    assert [result.code for result in results] == [0] * len(results), [str(result.error) for result in results]
    other = ConnectSettings((joined[0].url, connect.url))
    with ConnectApi(other) as api:
        assert {files.name(f"c{number}") for number in range(4)} <= set(api.names())
    joined[0].stop()  # it says that it leaves: the group need not wait until it is missed


def test_two_appliers_exclude_each_other(files: Files) -> None:
    files.write("a")
    command = [sys.executable, "-c", "from connectors.commands import app; app()", "apply", str(files.directory)]
    command += ["--connect-url", files.url, *FAST]
    appliers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [applier.communicate(timeout=60) for applier in appliers]
    assert [applier.returncode for applier in appliers] == [0, 0], said
    assert sum("another apply works on this cluster" in err for _, err in said) == 1
    assert sum("nothing to do" in out for out, _ in said) == 1


def test_appliers_on_other_machines_are_kept_out_where_brokers_are_given(files: Files, kafka: KafkaBroker) -> None:
    cluster = files.api.server().kafka_cluster_id
    options = ClientOptions(kafka.bootstrap)
    files.write("a")
    with lease(options, f"connectors.{cluster}", wait=30, busy=RuntimeError):
        refused = files.run("apply", "--bootstrap-servers", kafka.bootstrap, "--lock-timeout", "1")
    assert refused.code == 3
    assert "on another machine" in str(refused.error)
    assert files.name("a") not in files.api.names()
    assert files.run("apply", "--bootstrap-servers", kafka.bootstrap, *FAST).code == 0


def test_the_lag_of_a_sink_is_told_where_brokers_are_given(files: Files, kafka: KafkaBroker) -> None:
    files.write("a")
    assert files.run("apply", *FAST).code == 0
    sink = files.name("sink")
    config = {
        "connector.class": "FileStreamSink",
        "topics": files.name("a"),
        "file": str(files.lines.parent / "out.txt"),
    }
    files.api.create(sink, config)
    wait_until(lambda: files.api.offsets(sink), 30, "the sink's offset")
    run(app, "stop", sink, "--connect-url", files.url)
    with files.lines.open("a") as lines:
        lines.write("two\nthree\n")

    def lag() -> int:
        listed = run(
            app, "list", "--connect-url", files.url, "--bootstrap-servers", kafka.bootstrap, "--output", "json"
        )
        return int({entry["name"]: entry["lag"] for entry in listed.document["connectors"]}[sink])

    # Source transactions end with a marker, which counts as an offset and is taken by no sink.
    wait_until(lambda: lag() >= 2, 30, "a lag of two records")
    run(app, "resume", sink, "--connect-url", files.url, *FAST)
    wait_until(lambda: lag() <= 1, 30, "the sink to catch up")
    files.api.delete(sink)
