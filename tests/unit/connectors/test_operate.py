"""Day-to-day work on single connectors, on the fake worker."""

from __future__ import annotations

from typing import Any

import pytest

from cdc.errors import ConnectApiError, OperatorError, WaitExpired
from connectors.connect_api import ConnectApi
from connectors.connect_settings import ConnectSettings
from connectors.connect_types import Offset
from connectors.offsets import change, translated
from connectors.operate import Operator, whole_transactions
from tests.support.fake_worker import INSERT_FIELD_TRACE, Clock, Failure, FakeWorker

SOURCE = {"connector.class": "FileStreamSource", "topic": "t", "file": "/nowhere"}
PARTITION = {"server": "shop"}


def stored(**offset: Any) -> list[Offset]:
    return [Offset(PARTITION, {"txId": 7, "ts_usec": 1, **offset})]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> FakeWorker:
    monkeypatch.setattr("connectors.settling.FAILED_FOR", 0.1)
    monkeypatch.setattr("connectors.settling.STALE_FOR", 0.2)
    monkeypatch.setattr("connectors.settling.HELD_FOR", 0.05)
    return FakeWorker(lag=0.02, clock=Clock())


@pytest.fixture
def operator(worker: FakeWorker) -> Operator:
    clock = worker.clock
    assert isinstance(clock, Clock)
    settings = ConnectSettings(("http://fake:8083",), deadline=1)
    api = ConnectApi(settings, transport=worker.transport(), clock=clock, sleep=clock.sleep)
    api.create("a", SOURCE)
    ours = Operator(api, settle=0.1, timeout=2.0, clock=clock, sleep=clock.sleep)
    ours.reach("a", "RUNNING")
    return ours


def test_pause_resume_and_stop_return_when_it_is_so(worker: FakeWorker, operator: Operator) -> None:
    for deed, state in ((operator.pause, "PAUSED"), (operator.resume, "RUNNING"), (operator.stop, "STOPPED")):
        deed("a")
        status = operator.api.status("a")
        assert status is not None
        assert status.connector.state == state
    assert worker.connectors["a"].target == "STOPPED"


def test_an_unknown_connector_is_named_beside_those_that_there_are(operator: Operator) -> None:
    with pytest.raises(ConnectApiError, match="there is no connector b; the cluster has a"):
        operator.pause("b")


def test_what_fails_instead_of_running_is_told_with_its_cause(worker: FakeWorker, operator: Operator) -> None:
    operator.stop("a")
    worker.failures["a"] = Failure(INSERT_FIELD_TRACE)
    with pytest.raises(OperatorError, match="No field insertion configured"):
        operator.resume("a")


def test_what_never_gets_there_is_waited_for_in_vain_only_so_long(worker: FakeWorker, operator: Operator) -> None:
    worker.lag = 100
    with pytest.raises(WaitExpired, match="after 2 s, not PAUSED"):
        operator.pause("a")


def test_nothing_is_restarted_where_nothing_failed(worker: FakeWorker, operator: Operator) -> None:
    assert operator.restart("a").form == "nothing failed"
    assert worker.count("POST", "/restart") == 0


def test_what_failed_is_restarted_until_it_runs(worker: FakeWorker, operator: Operator) -> None:
    worker.failures["a"] = Failure(INSERT_FIELD_TRACE, heals_after=2)
    result = operator.restart("a")
    assert (result.form, result.restarted, result.attempts) == ("failed parts", ("task 0",), 2)


def test_it_is_given_up_after_so_many_tries(worker: FakeWorker, operator: Operator) -> None:
    worker.failures["a"] = Failure(INSERT_FIELD_TRACE)
    with pytest.raises(OperatorError, match="No field insertion configured"):
        operator.restart("a", attempts=2)
    assert worker.count("POST", "/restart") == 2


def test_a_deletion_keeps_offsets_unless_told_otherwise(worker: FakeWorker, operator: Operator) -> None:
    worker.offsets["a"] = [{"partition": {"filename": "/nowhere"}, "offset": {"position": 1}}]
    operator.delete("a")
    assert worker.offsets["a"]
    operator.api.create("a", SOURCE)
    operator.reach("a", "RUNNING")
    operator.delete("a", offsets=True)
    assert worker.offsets["a"] == []


def test_offsets_are_changed_while_stopped_and_the_former_state_returns(worker: FakeWorker, operator: Operator) -> None:
    operator.pause("a")
    wanted = [Offset({"filename": "/nowhere"}, {"position": 3})]
    made = change(operator, "a", lambda _before: wanted)
    assert (made.before, list(made.after)) == ([], wanted)
    assert worker.connectors["a"].target == "PAUSED"
    assert change(operator, "a", lambda _before: None).after == []


def test_a_refused_change_of_offsets_returns_the_former_state_too(worker: FakeWorker, operator: Operator) -> None:
    with pytest.raises(ConnectApiError, match="need to be provided"):
        change(operator, "a", lambda _before: [])
    assert worker.connectors["a"].target == "RUNNING"


def test_offsets_are_copied_under_the_other_connectors_own_partition() -> None:
    debezium = translated(stored(lsn=1), {"topic.prefix": "shop"}, {"topic.prefix": "store"})
    assert debezium[0].partition == {"server": "store"}
    files = translated([Offset({"filename": "/a"}, {"position": 1})], {"file": "/a"}, {"file": "/b"})
    assert files[0].partition == {"filename": "/b"}
    other = [Offset({"kafka_topic": "t", "kafka_partition": 0}, {"kafka_offset": 1})]
    assert translated(other, {"topics": "t"}, {"topics": "t"}) == other


def test_a_position_inside_a_transaction_is_set_back_to_the_last_commit() -> None:
    (offset,) = whole_transactions(stored(lsn=30, lsn_proc=30, lsn_commit=10, messageType="INSERT")) or []
    assert offset.offset == {
        "txId": 7, "ts_usec": 1, "lsn": 10, "lsn_proc": 10, "lsn_commit": 10, "messageType": "COMMIT",
    }  # fmt: skip


def test_before_the_first_commit_the_rows_own_position_is_given_out_as_one() -> None:
    (offset,) = whole_transactions(stored(lsn=30, lsn_proc=30, messageType="INSERT")) or []
    assert offset.offset is not None
    assert offset.offset["lsn_commit"] == 30
    assert offset.offset["messageType"] == "COMMIT"


@pytest.mark.parametrize("offset", [{"snapshot": "INITIAL", "lsn": 1, "lsn_proc": 1}, {"lsn": 1}])
def test_a_position_of_a_snapshot_is_left_alone(offset: dict[str, Any]) -> None:
    assert whole_transactions(stored(**offset)) is None
    assert whole_transactions([]) is None
