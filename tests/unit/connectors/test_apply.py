"""A plan is carried out on the fake worker: what runs, what is rolled back, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cdc.errors import SeamError
from connectors.apply import Applier, ApplyFailed, ApplyInterrupted, Outcome, Step
from connectors.cluster import examine, observe
from connectors.compare import OWNER
from connectors.connect_api import ConnectApi
from connectors.connect_settings import ConnectSettings
from connectors.desired import Desired
from connectors.lock import Journal
from connectors.plan import Observed, Plan, make_plan
from tests.support.fake_worker import INSERT_FIELD_TRACE, Clock, Failure, FakeWorker, Fault, rebalancing

SOURCE = {"connector.class": "FileStreamSource", "topic": "t", "file": "/nowhere"}
SINK = {"connector.class": "FileStreamSink", "topics": "t", "file": "/elsewhere"}
BROKEN = {**SOURCE, "transforms": "i", "transforms.i.type": "org.apache.kafka.connect.transforms.InsertField$Value"}


class Cluster:
    """A fake worker, and a client of it that waits for fractions of seconds."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.worker = FakeWorker(lag=0.02, clock=self.clock)
        settings = ConnectSettings(("http://fake:8083",), deadline=1.0)
        self.api = ConnectApi(settings, transport=self.worker.transport(), clock=self.clock, sleep=self.clock.sleep)
        self.steps: list[Step] = []
        self.journal = Journal()

    def plan(self, desired: dict[str, Desired], *, prune: bool = False) -> tuple[Plan, dict[str, Observed]]:
        observed = observe(self.api)
        return make_plan(desired, observed, examine(self.api, desired, observed), prune=prune), observed

    def apply(
        self, prune: bool = False, needs: dict[str, str] | None = None, **configs: dict[str, str]
    ) -> list[Outcome]:
        desired = {name: Desired(name, config, f"{name}.json") for name, config in configs.items()}
        for name, needed in (needs or {}).items():
            desired[name] = replace(desired[name], depends_on=(needed,))
        return self.carry_out(*self.plan(desired, prune=prune))

    def carry_out(self, plan: Plan, observed: dict[str, Observed]) -> list[Outcome]:
        return Applier(
            self.api,
            settle=0.1,
            timeout=2.0,
            report=self.steps.append,
            journal=self.journal,
            clock=self.clock,
            sleep=self.clock.sleep,
        ).apply(plan, observed)

    def config(self, name: str) -> dict[str, str]:
        return self.worker.connectors[name].config


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr("connectors.settling.FAILED_FOR", 0.1)
    monkeypatch.setattr("connectors.settling.STALE_FOR", 0.2)
    monkeypatch.setattr("connectors.settling.HELD_FOR", 0.05)
    return Cluster()


def results(outcomes: list[Outcome] | tuple[Outcome, ...]) -> dict[str, str]:
    return {outcome.connector: outcome.result for outcome in outcomes}


def failure_of(deed: Callable[[], object], kind: type[SeamError]) -> SeamError:
    with pytest.raises(kind) as failure:
        deed()
    return failure.value


def test_what_is_missing_is_created_with_our_mark_and_waited_for(cluster: Cluster) -> None:
    assert results(cluster.apply(a=SOURCE, b=SINK)) == {"a": "done", "b": "done"}
    assert cluster.config("a") == {**SOURCE, "name": "a", OWNER: "seam"}
    assert [step.phase for step in cluster.steps if step.connector == "a"] == ["writing", "waiting", "settled"]


def test_applying_again_changes_nothing_and_touches_nothing(cluster: Cluster) -> None:
    cluster.apply(a=SOURCE)
    before = cluster.worker.count("PUT"), cluster.worker.count("POST")
    assert results(cluster.apply(a=SOURCE)) == {"a": "unchanged"}
    assert (cluster.worker.count("PUT"), cluster.worker.count("POST")) == before


def test_only_what_differs_is_written(cluster: Cluster) -> None:
    cluster.apply(a=SOURCE, b=SINK)
    assert results(cluster.apply(a={**SOURCE, "batch.size": "5"}, b=SINK)) == {"a": "done", "b": "unchanged"}
    assert cluster.config("a")["batch.size"] == "5"
    assert cluster.worker.count("PUT", "/b/config") == 0


def test_a_key_that_only_the_cluster_has_is_removed(cluster: Cluster) -> None:
    cluster.apply(a={**SOURCE, "batch.size": "5"})
    cluster.apply(a=SOURCE)
    assert "batch.size" not in cluster.config("a")


def test_a_change_that_fails_is_rolled_back_and_the_cause_is_told(cluster: Cluster) -> None:
    cluster.apply(a=SOURCE)
    error = failure_of(lambda: cluster.apply(a=BROKEN), ApplyFailed)
    assert error.exit_code == 4
    assert cluster.config("a") == {**SOURCE, "name": "a", OWNER: "seam"}
    assert "No field insertion configured" in str(error)
    assert "it has its former configuration again and is RUNNING" in str(error)
    assert "set one of its *.field options" in str(error.hint)


def test_a_failure_that_comes_after_a_while_is_seen_within_the_settling_time(cluster: Cluster) -> None:
    cluster.apply(a=SOURCE)
    cluster.worker.failures["a"] = Failure(INSERT_FIELD_TRACE, after=0.06, config=lambda config: "batch.size" in config)
    error = failure_of(lambda: cluster.apply(a={**SOURCE, "batch.size": "5"}), ApplyFailed)
    assert results(error.outcomes) == {"a": "rolled back"}
    assert "batch.size" not in cluster.config("a")


def test_a_creation_that_fails_is_taken_back(cluster: Cluster) -> None:
    error = failure_of(lambda: cluster.apply(a=BROKEN), ApplyFailed)
    assert cluster.worker.connectors == {}
    assert "it is absent again" in str(error)


def test_one_failure_does_not_keep_the_others_back_unless_they_need_it(cluster: Cluster) -> None:
    error = failure_of(
        lambda: cluster.apply(a=BROKEN, b=SOURCE, c=SINK, d=SINK, needs={"c": "a", "d": "b"}), ApplyFailed
    )
    assert results(error.outcomes) == {"a": "rolled back", "b": "done", "c": "not attempted", "d": "done"}
    assert "c: not attempted: a failed" in str(error)
    assert "applied: b, d" in str(error)


def test_nothing_is_deleted_after_a_failure(cluster: Cluster) -> None:
    cluster.apply(old=SOURCE)
    error = failure_of(lambda: cluster.apply(new=BROKEN, prune=True), ApplyFailed)
    assert results(error.outcomes) == {"new": "rolled back", "old": "not attempted"}
    assert "old" in cluster.worker.connectors


def test_pruning_deletes_what_is_ours_and_in_no_file(cluster: Cluster) -> None:
    cluster.apply(old=SOURCE, kept=SOURCE)
    cluster.api.create("foreign", SOURCE)
    assert results(cluster.apply(kept=SOURCE, prune=True)) == {"kept": "unchanged", "old": "done"}
    assert sorted(cluster.worker.connectors) == ["foreign", "kept"]


def test_a_rebalance_in_the_middle_is_waited_out(cluster: Cluster) -> None:
    cluster.worker.faults += [rebalancing("POST", "/connectors", times=2), rebalancing("GET", "/status", times=2)]
    assert results(cluster.apply(a=SOURCE)) == {"a": "done"}


def test_an_answer_lost_after_the_deed_is_no_second_deed(cluster: Cluster) -> None:
    cluster.apply(a=SOURCE)
    cluster.worker.faults.append(Fault("PUT", "/a/config", carry_out=True, drop=True))
    assert results(cluster.apply(a={**SOURCE, "batch.size": "5"})) == {"a": "done"}
    assert cluster.worker.count("PUT", "/a/config") == 1


def test_a_change_by_somebody_else_since_the_plan_is_not_overwritten(cluster: Cluster) -> None:
    cluster.apply(a=SOURCE)
    plan, observed = cluster.plan({"a": Desired("a", {**SOURCE, "batch.size": "5"}, "")})
    cluster.api.patch_config("a", {"batch.size": "7"})
    error = failure_of(lambda: cluster.carry_out(plan, observed), ApplyFailed)
    assert "somebody changed it since the plan was made" in str(error)
    assert cluster.config("a")["batch.size"] == "7"


def test_a_creation_that_somebody_else_was_quicker_with_is_taken_when_it_is_equal(cluster: Cluster) -> None:
    plan, observed = cluster.plan({"a": Desired("a", SOURCE, "")})
    cluster.api.create("a", SOURCE)
    assert results(cluster.carry_out(plan, observed)) == {"a": "done"}
    other, observed = cluster.plan({"b": Desired("b", SOURCE, "")})
    cluster.api.create("b", {**SOURCE, "batch.size": "9"})
    error = failure_of(lambda: cluster.carry_out(other, observed), ApplyFailed)
    assert "already exists" in str(error)
    assert cluster.config("b")["batch.size"] == "9"


def test_a_worker_that_goes_away_in_the_middle_leaves_a_message_of_what_is_and_what_is_not(cluster: Cluster) -> None:
    cluster.worker.faults.append(Fault("GET", "/a/status", drop=True, times=1000))
    error = failure_of(lambda: cluster.apply(a=SOURCE, b=SINK, needs={"b": "a"}), ApplyInterrupted)
    assert error.exit_code == 3
    assert results(error.outcomes) == {"a": "in doubt", "b": "not attempted"}
    cluster.worker.faults.clear()
    assert results(cluster.apply(a=SOURCE, b=SINK, needs={"b": "a"})) == {"a": "unchanged", "b": "done"}


def test_a_cut_short_apply_is_finished_by_the_next_one(cluster: Cluster) -> None:
    cluster.worker.lag = 3600.0  # it has no status until that is over
    cluster.api.create("a", {**SOURCE, OWNER: "seam"})
    plan, observed = cluster.plan({"a": Desired("a", SOURCE, "")})
    assert observed["a"].status is None
    cluster.worker.lag = 0.02
    cluster.worker.connectors["a"].started = cluster.clock()
    assert results(cluster.carry_out(plan, observed)) == {"a": "unchanged"}
    assert any("does not run yet" in step.text for step in cluster.steps)


def test_a_connector_that_is_as_asked_for_and_fails_is_an_error_and_stays(cluster: Cluster) -> None:
    cluster.apply(a=SOURCE)
    cluster.worker.failures["a"] = Failure(INSERT_FIELD_TRACE)
    error = failure_of(lambda: cluster.apply(a=SOURCE), ApplyFailed)
    assert results(error.outcomes) == {"a": "failed"}
    assert "a" in cluster.worker.connectors


def test_failed_tasks_that_a_change_leaves_as_they_were_are_restarted(cluster: Cluster) -> None:
    cluster.apply(a=SOURCE)
    cluster.worker.failures["a"] = Failure(INSERT_FIELD_TRACE, heals_after=1)
    plan, observed = cluster.plan({"a": Desired("a", {**SOURCE, "batch.size": "5"}, "")})
    assert results(cluster.carry_out(plan, observed)) == {"a": "done"}
    assert cluster.worker.connectors["a"].restarts == 1


def test_a_stopped_connector_gets_its_configuration_and_stays_stopped(cluster: Cluster) -> None:
    cluster.apply(a=SOURCE)
    cluster.api.stop("a")
    cluster.clock.sleep(1)
    assert results(cluster.apply(a={**SOURCE, "batch.size": "5"})) == {"a": "done"}
    assert cluster.worker.connectors["a"].target == "STOPPED"


def test_a_connector_may_be_born_stopped(cluster: Cluster) -> None:
    plan, observed = cluster.plan({"a": Desired("a", SOURCE, "", initial_state="STOPPED")})
    assert results(cluster.carry_out(plan, observed)) == {"a": "done"}
    assert cluster.worker.connectors["a"].target == "STOPPED"


def test_what_the_worker_refuses_at_the_last_moment_is_named(cluster: Cluster) -> None:
    cluster.apply(a=SOURCE)
    plan, observed = cluster.plan({"a": Desired("a", {**SOURCE, "batch.size": "5"}, "")})
    cluster.worker.faults.append(Fault("PUT", "/a/config", 400, '{"message":"Connector configuration is invalid"}'))
    error = failure_of(lambda: cluster.carry_out(plan, observed), ApplyFailed)
    assert results(error.outcomes) == {"a": "failed"}
    assert "Connector configuration is invalid" in str(error)


def test_what_cannot_be_rolled_back_is_said_to_be_in_doubt(cluster: Cluster) -> None:
    cluster.apply(a=SOURCE)
    plan, observed = cluster.plan({"a": Desired("a", BROKEN, "")})

    def no_more() -> None:
        cluster.worker.faults.append(Fault("PUT", "/a/config", drop=True, times=1000))

    cluster.worker.faults.append(Fault("PUT", "/a/config", before=no_more))
    error = failure_of(lambda: cluster.carry_out(plan, observed), ApplyInterrupted)
    assert results(error.outcomes) == {"a": "in doubt"}
    assert "could not be rolled back" in str(error)


def test_many_connectors_are_watched_with_one_request_a_turn(cluster: Cluster) -> None:
    cluster.apply(**{f"c{n}": SOURCE for n in range(10)})
    assert cluster.worker.count("GET", "/status") == 0


@pytest.fixture
def careful(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster whose connectors are changed as Debezium for Postgres is."""
    monkeypatch.setattr("connectors.apply.is_debezium_postgres", lambda _config: True)
    monkeypatch.setattr("connectors.settling.HELD_FOR", 0.05)
    cluster.apply(a=SOURCE)
    return cluster


def test_debezium_for_postgres_is_stopped_and_set_back_before_it_goes_on_with_a_change(careful: Cluster) -> None:
    position = {"lsn": 30, "lsn_proc": 30, "lsn_commit": 10, "messageType": "INSERT"}
    careful.worker.offsets["a"] = [{"partition": {"server": "shop"}, "offset": position}]
    careful.worker.requests.clear()
    assert results(careful.apply(a={**SOURCE, "batch.size": "5"})) == {"a": "done"}
    writes = [
        (method, path.rpartition("/")[2]) for method, path in careful.worker.requests if method in ("PUT", "PATCH")
    ]
    assert writes == [("PUT", "validate"), ("PUT", "stop"), ("PUT", "config"), ("PATCH", "offsets"), ("PUT", "resume")]
    assert careful.worker.offsets["a"][0]["offset"]["lsn_proc"] == 10
    assert "a" not in careful.journal


def test_what_a_killed_apply_had_stopped_is_resumed_by_the_next_one(careful: Cluster) -> None:
    careful.worker.faults.append(Fault("PUT", "/a/config", drop=True, times=1000))
    error = failure_of(lambda: careful.apply(a={**SOURCE, "batch.size": "5"}), ApplyInterrupted)
    assert results(error.outcomes) == {"a": "in doubt"}
    careful.worker.faults.clear()
    careful.api.stop("a")
    careful.journal.stopped("a")
    careful.clock.sleep(1)
    assert results(careful.apply(a={**SOURCE, "batch.size": "5"})) == {"a": "done"}
    assert careful.worker.connectors["a"].target == "RUNNING"
    careful.api.stop("a")
    careful.journal.stopped("a")
    careful.clock.sleep(1)
    assert results(careful.apply(a={**SOURCE, "batch.size": "5"})) == {"a": "unchanged"}
    assert careful.worker.connectors["a"].target == "RUNNING"
    assert "a" not in careful.journal


def test_a_change_that_is_refused_after_the_stop_lets_it_go_on_as_it_was(careful: Cluster) -> None:
    plan, observed = careful.plan({"a": Desired("a", {**SOURCE, "batch.size": "5"}, "")})
    careful.worker.faults.append(Fault("PUT", "/a/config", 400, '{"message":"Connector configuration is invalid"}'))
    failure_of(lambda: careful.carry_out(plan, observed), ApplyFailed)
    assert careful.worker.connectors["a"].target == "RUNNING"
    assert "batch.size" not in careful.config("a")
