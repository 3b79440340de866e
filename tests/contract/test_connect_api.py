"""What `ConnectApi` claims about Connect's REST API, held against a real worker and against the tests' fake one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from cdc.errors import ConfigError, ConnectApiError
from connectors.connect_api import ConnectApi
from connectors.connect_settings import ConnectSettings
from connectors.connect_types import Config, ConnectorStatus, Offset
from tests.support.fake_worker import FakeWorker
from tests.support.waiting import wait_until

SOURCE = "org.apache.kafka.connect.file.FileStreamSourceConnector"
_numbers = itertools.count()


@pytest.fixture(params=["fake", "real"])
def api(request: pytest.FixtureRequest) -> Iterator[ConnectApi]:
    if request.param == "real":
        url = request.getfixturevalue("connect").url
        with ConnectApi(ConnectSettings((url,))) as client:
            yield client
        return
    with FakeWorker().served() as url, ConnectApi(ConnectSettings((url,))) as client:
        yield client


@pytest.fixture
def name(api: ConnectApi) -> Iterator[str]:
    chosen = f"contract-{os.getpid()}-{next(_numbers)}"
    yield chosen
    api.delete(chosen)


@pytest.fixture
def config(tmp_path: Path, name: str) -> Config:
    lines = tmp_path / "in.txt"
    lines.write_text("one\ntwo\n")
    return {"connector.class": "FileStreamSource", "topic": name, "file": str(lines), "tasks.max": "1"}


def status_when(api: ConnectApi, name: str, wanted: Callable[[ConnectorStatus], bool]) -> ConnectorStatus:
    def look() -> ConnectorStatus | None:
        status = api.status(name)
        return status if status is not None and wanted(status) else None

    return wait_until(look, 30, f"the status of {name}")


def running(status: ConnectorStatus) -> bool:
    return status.connector.state == "RUNNING" and [task.state for task in status.tasks] == ["RUNNING"]


def stopped(status: ConnectorStatus) -> bool:
    return status.connector.state == "STOPPED" and not status.tasks


def test_the_root_tells_version_and_cluster(api: ConnectApi) -> None:
    server = api.server()
    assert server.version.startswith("4.")
    assert server.kafka_cluster_id


def test_a_started_worker_is_healthy(api: ConnectApi) -> None:
    assert api.health().healthy


def test_plugins_are_connectors_unless_all_are_asked_for(api: ConnectApi) -> None:
    connectors = {plugin.class_: plugin for plugin in api.plugins()}
    assert connectors[SOURCE].type == "source"
    assert connectors[SOURCE].version
    assert {plugin.type for plugin in connectors.values()} == {"source", "sink"}
    assert "org.apache.kafka.connect.transforms.RegexRouter" in {
        plugin.class_ for plugin in api.plugins(connectors_only=False)
    }


def test_a_plugin_declares_its_keys_under_its_full_name_and_its_alias(api: ConnectApi) -> None:
    definitions = api.definitions("FileStreamSource")
    assert definitions["topic"].required
    assert definitions["batch.size"].type == "INT"
    assert definitions["batch.size"].default_value == "2000"
    assert definitions == api.definitions(SOURCE)
    assert definitions == api.definitions(SOURCE, version=definitions["connector.plugin.version"].default_value)


def test_an_unknown_plugin_has_no_definitions(api: ConnectApi) -> None:
    with pytest.raises(ConnectApiError, match="Unknown plugin Nope") as refusal:
        api.definitions("Nope")
    assert refusal.value.status == 404
    assert refusal.value.error_code == 404


def test_validation_names_each_key_that_is_wrong(api: ConnectApi) -> None:
    validation = api.validate(
        {"connector.class": SOURCE, "name": "x", "tasks.max": "many", "value.converter": "no.Such"}
    )
    assert set(validation.errors()) == {"topic", "tasks.max", "value.converter"}
    assert validation.error_count >= 3


def test_validation_asks_for_the_name(api: ConnectApi) -> None:
    assert "name" in api.validate({"connector.class": SOURCE, "topic": "t"}).errors()


def test_validation_lets_unknown_keys_and_undeclared_predicates_through(api: ConnectApi) -> None:
    validation = api.validate(
        {
            "connector.class": SOURCE, "name": "x", "topic": "t", "topics.misspelt": "y",
            "transforms": "r", "transforms.r.type": "org.apache.kafka.connect.transforms.RegexRouter",
            "transforms.r.regex": "a", "transforms.r.replacement": "b", "transforms.r.predicate": "undeclared",
        }
    )  # fmt: skip
    assert validation.error_count == 0
    assert "topics.misspelt" not in validation.definitions()
    assert "transforms.r.regex" in validation.definitions()


def test_validation_shows_the_workers_own_converter_as_default(api: ConnectApi) -> None:
    definitions = api.validate({"connector.class": SOURCE, "name": "x", "topic": "t"}).definitions()
    assert definitions["value.converter"].default_value == "org.apache.kafka.connect.json.JsonConverter"


def test_validation_of_an_unknown_class_is_an_error_without_the_list_of_everything(api: ConnectApi) -> None:
    with pytest.raises(ConnectApiError, match="which name matches Nope") as refusal:
        api.validate({"connector.class": "Nope", "name": "x"})
    assert refusal.value.status == 500
    assert "PluginDesc" not in str(refusal.value)


def test_a_created_connector_runs_and_keeps_its_configuration(api: ConnectApi, name: str, config: Config) -> None:
    info = api.create(name, config)
    assert info.properties() == {**config, "name": name}
    assert api.config(name) == {**config, "name": name}
    status = status_when(api, name, running)
    assert status.tasks[0].worker_id
    assert status.tasks[0].trace is None
    assert api.connector(name).type == "source"
    assert name in api.names()


def test_a_name_that_is_taken_is_refused_at_once(api: ConnectApi, name: str, config: Config) -> None:
    api.create(name, config)
    with pytest.raises(ConnectApiError, match="already exists") as refusal:
        api.create(name, {**config, "batch.size": "10"})
    assert refusal.value.status == 409


def test_an_invalid_configuration_is_refused_with_the_reason(api: ConnectApi, name: str) -> None:
    with pytest.raises(ConnectApiError, match='Missing required configuration "topic"') as refusal:
        api.create(name, {"connector.class": SOURCE})
    assert refusal.value.status == 400
    assert api.config(name) is None


def test_a_connector_can_be_born_stopped(api: ConnectApi, name: str, config: Config) -> None:
    api.create(name, config, initial_state="STOPPED")
    status_when(api, name, stopped)
    assert api.tasks(name) == []


def test_put_creates_and_replaces_the_whole_configuration(api: ConnectApi, name: str, config: Config) -> None:
    api.put_config(name, {**config, "batch.size": "10"})
    assert api.put_config(name, config).properties() == {**config, "name": name}
    assert api.config(name) == {**config, "name": name}


def test_put_leaves_a_stopped_connector_stopped(api: ConnectApi, name: str, config: Config) -> None:
    api.create(name, config, initial_state="STOPPED")
    status_when(api, name, stopped)
    api.put_config(name, {**config, "batch.size": "10"})
    assert api.config(name) == {**config, "name": name, "batch.size": "10"}
    status_when(api, name, stopped)


def test_patch_sets_keys_and_takes_them_away(api: ConnectApi, name: str, config: Config) -> None:
    api.create(name, config)
    assert api.patch_config(name, {"batch.size": "10"}).config["batch.size"] == "10"
    assert "batch.size" not in api.patch_config(name, {"batch.size": None}).config


def test_the_name_is_never_patched(api: ConnectApi, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be patched"):
        api.patch_config(name, {"name": "another"})


def test_pause_and_resume(api: ConnectApi, name: str, config: Config) -> None:
    api.create(name, config)
    status_when(api, name, running)
    api.pause(name)
    paused = status_when(api, name, lambda status: {t.state for t in status.tasks} == {"PAUSED"})
    assert paused.connector.state == "PAUSED"
    api.resume(name)
    status_when(api, name, running)


def test_stop_ends_the_tasks_and_can_be_repeated(api: ConnectApi, name: str, config: Config) -> None:
    api.create(name, config)
    status_when(api, name, running)
    api.stop(name)
    status_when(api, name, stopped)
    api.stop(name)
    assert api.tasks(name) == []
    api.resume(name)
    status_when(api, name, running)


@pytest.mark.parametrize(
    "call", ["stop", "pause", "resume", "restart", "connector", "tasks", "offsets", "reset_offsets"]
)
def test_calls_on_an_unknown_connector_are_404(api: ConnectApi, call: str) -> None:
    with pytest.raises(ConnectApiError) as refusal:
        getattr(api, call)("there-is-none")
    assert refusal.value.status == 404


def test_what_is_not_there_reads_as_nothing(api: ConnectApi) -> None:
    assert api.config("there-is-none") is None
    assert api.status("there-is-none") is None
    assert api.topics("there-is-none") == []
    assert api.delete("there-is-none") is False


def test_restart_answers_with_what_restarts_when_tasks_are_asked_for(
    api: ConnectApi, name: str, config: Config
) -> None:
    api.create(name, config)
    status_when(api, name, running)
    assert api.restart(name) is None
    status = api.restart(name, include_tasks=True)
    assert status is not None
    assert status.name == name
    status_when(api, name, running)


def test_tasks_have_a_configuration_and_a_state_of_their_own(api: ConnectApi, name: str, config: Config) -> None:
    api.create(name, config)
    status_when(api, name, running)
    (task,) = api.tasks(name)
    assert (task.id.connector, task.id.task) == (name, 0)
    assert task.config["topic"] == name
    assert api.task_status(name, 0).state == "RUNNING"
    api.restart_task(name, 0)
    status_when(api, name, running)
    with pytest.raises(ConnectApiError) as refusal:
        api.restart_task(name, 7)
    assert refusal.value.status == 404


def test_what_a_transform_checks_on_its_start_fails_the_task_under_a_running_connector(
    api: ConnectApi, name: str, config: Config
) -> None:
    broken = {**config, "transforms": "i", "transforms.i.type": "org.apache.kafka.connect.transforms.InsertField$Value"}
    assert api.validate({**broken, "name": name}).error_count == 0
    api.create(name, broken)
    status = status_when(api, name, lambda status: [t.state for t in status.tasks] == ["FAILED"])
    assert status.connector.state == "RUNNING"
    assert "Caused by: org.apache.kafka.common.config.ConfigException: No field insertion configured" in str(
        status.tasks[0].trace
    )


def test_offsets_are_altered_only_while_stopped(api: ConnectApi, name: str, config: Config) -> None:
    api.create(name, config)
    status_when(api, name, running)
    partition = {"filename": config["file"]}
    wait_until(lambda: api.offsets(name) == [Offset(partition, {"position": 8})], 30, "the first stored offset")
    with pytest.raises(ConnectApiError, match="must be in the STOPPED state") as refusal:
        api.reset_offsets(name)
    assert refusal.value.status == 400
    api.stop(name)
    status_when(api, name, stopped)
    assert "altered successfully" in api.alter_offsets(name, [Offset(partition, {"position": 4})])
    assert api.offsets(name) == [Offset(partition, {"position": 4})]
    assert "reset successfully" in api.reset_offsets(name)
    assert api.offsets(name) == []
    assert "reset successfully" in api.reset_offsets(name)


def test_an_empty_alteration_is_refused(api: ConnectApi, name: str, config: Config) -> None:
    api.create(name, config, initial_state="STOPPED")
    status_when(api, name, stopped)
    with pytest.raises(ConnectApiError, match="need to be provided") as refusal:
        api.alter_offsets(name, [])
    assert refusal.value.status == 400


def test_offsets_outlive_a_deletion(api: ConnectApi, name: str, config: Config) -> None:
    api.create(name, config)
    status_when(api, name, running)
    expected = [Offset({"filename": config["file"]}, {"position": 8})]
    wait_until(lambda: api.offsets(name) == expected, 30, "the first stored offset")
    assert api.delete(name) is True
    wait_until(lambda: name not in api.names(), 30, "the deletion")
    api.create(name, config, initial_state="STOPPED")
    status_when(api, name, stopped)
    assert api.offsets(name) == expected
    api.reset_offsets(name)


def test_topics_are_those_that_were_used(api: ConnectApi, name: str, config: Config) -> None:
    api.create(name, config)
    wait_until(lambda: api.topics(name) == [name], 30, "the topic")
    api.reset_topics(name)


def test_one_call_reads_every_connector_and_its_state(api: ConnectApi, name: str, config: Config) -> None:
    api.create(name, config)
    status_when(api, name, running)
    entry = api.connectors()[name]
    assert entry.info is not None
    assert entry.status is not None
    assert entry.info.properties() == {**config, "name": name}
    assert running(entry.status)
    assert running(api.statuses()[name])


@pytest.mark.parametrize("bad", ["a/b", "a\\b", "a%b", "a{b}", " outer ", "", "..", "tab\tinside"])
def test_names_that_no_request_could_address_are_refused_before_they_are_sent(api: ConnectApi, bad: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name"):
        api.create(bad, {"connector.class": SOURCE, "topic": "t"})


def test_a_name_with_inner_blanks_and_signs_is_addressed(api: ConnectApi, config: Config) -> None:
    odd = 'contract ä?&#;:|<+"x'
    api.create(odd, config)
    try:
        assert api.config(odd) == {**config, "name": odd}
    finally:
        assert api.delete(odd) is True


def test_loggers_are_read_and_set(api: ConnectApi) -> None:
    assert api.logger("root").level
    assert "org.apache.kafka.connect.runtime.rest" in api.set_logger("org.apache.kafka.connect.runtime.rest", "WARN")
    assert api.loggers()["org.apache.kafka.connect.runtime.rest"].level == "WARN"
    assert api.set_logger("org.apache.kafka.connect.runtime.rest", "INFO", cluster=True) == []
    with pytest.raises(ConnectApiError, match="invalid log level") as refusal:
        api.set_logger("root", "LOUD")
    assert refusal.value.status == 404


class LosesAnswers(httpx.HTTPTransport):
    """Hands requests to the worker, and loses its answer to the first one of a method."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method
        self.sent: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request.method)
        response = super().handle_request(request)
        if request.method == self.method and self.sent.count(self.method) == 1:
            response.read()
            response.close()
            raise httpx.ReadTimeout("the answer got lost", request=request)
        return response


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_deed_whose_answer_got_lost_is_read_back_and_not_done_twice(
    api: ConnectApi, name: str, config: Config, method: str
) -> None:
    if method != "POST":
        api.create(name, config, initial_state="STOPPED")
    network = LosesAnswers(method)
    with ConnectApi(api.settings, transport=network) as losing:
        if method == "POST":
            assert losing.create(name, config, initial_state="STOPPED").name == name
        elif method == "PUT":
            losing.put_config(name, {**config, "batch.size": "5"})
        else:
            losing.delete(name)
    assert network.sent.count(method) == (2 if method == "DELETE" else 1)
    left = {"POST": config, "PUT": {**config, "batch.size": "5"}, "DELETE": None}[method]
    found = api.config(name)
    assert (found and {key: value for key, value in found.items() if key != "name"}) == left


def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with FakeWorker().served() as url, ConnectApi(ConnectSettings((url,), deadline=1)) as api:
        assert api.names() == []
