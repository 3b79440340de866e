"""Topics as declared: which group holds for a topic, what is created, and what of a topic that is there is refused."""

from __future__ import annotations

import pytest

from cdc.errors import TopicMismatch
from connectors.topic_rules import Topics, read_rules


class Broker:
    """Topic -> partitions and options."""

    def __init__(self, **topics: tuple[int, dict[str, str]]) -> None:
        self.topics = topics
        self.created: list[tuple[str, int, int, dict[str, str]]] = []

    def partitions(self):
        return {name: count for name, (count, _) in self.topics.items()}

    def configs(self, names):
        return {name: self.topics[name][1] for name in names}

    def create(self, topic, *, partitions, replication, config):
        self.created.append((topic, partitions, replication, dict(config)))


def rules(**declared: str):
    problems: list = []
    properties = {f"topic.creation.{name.replace('__', '.')}": value for name, value in declared.items()}
    found = read_rules(properties, properties.get("topic.creation.groups", "").split(",")[: len(declared)], problems)
    assert problems == []
    return found


def declared(**options: str) -> dict[str, str]:
    return {f"default__{name}": value for name, value in options.items()}


def refused(broker: Broker, **options: str) -> TopicMismatch:
    with pytest.raises(TopicMismatch) as caught:
        Topics(rules(**declared(**options)), broker).ensure(["orders"])
    assert broker.created == []
    return caught.value


def test_a_missing_topic_is_created_as_declared():
    broker = Broker()
    made = Topics(rules(**declared(partitions="6", retention__ms="-1")), broker).ensure(["orders", "orders"])
    assert made == ["orders"]
    assert broker.created == [("orders", 6, -1, {"retention.ms": "-1", "retention.bytes": "-1"})]


def test_nothing_is_created_or_compared_where_nothing_is_declared():
    broker = Broker(orders=(7, {"cleanup.policy": "compact"}))
    assert Topics(rules(), broker).ensure(["orders", "new"]) == []
    assert broker.created == []


def test_the_first_group_that_takes_a_topic_holds_for_it():
    found = rules(
        groups="latest", latest__include=r"shop\.(a|b)", latest__exclude=r"shop\.b", latest__cleanup__policy="compact",
        default__cleanup__policy="delete",
    )  # fmt: skip
    topics = Topics(found, Broker())
    assert [topics.rule(name).group for name in ("shop.a", "shop.b", "shop.ab")] == ["latest", "default", "default"]


def test_another_policy_is_refused_with_the_command_that_mends_it():
    error = refused(Broker(orders=(1, {"cleanup.policy": "compact"})), cleanup__policy="delete")
    assert "cleanup.policy is compact, delete is declared" in str(error)
    assert error.hint.endswith("--entity-name orders --add-config cleanup.policy=delete")


def test_policies_are_lists_without_an_order():
    broker = Broker(orders=(1, {"cleanup.policy": "delete,compact"}))
    assert Topics(rules(**declared(cleanup__policy="compact, delete")), broker).ensure(["orders"]) == []


def test_another_number_of_partitions_is_refused():
    error = refused(Broker(orders=(3, {})), partitions="6")
    assert "has 3 partitions, 6 are declared" in str(error)
    assert "topic.creation.default.partitions=3" in error.hint


@pytest.mark.parametrize(
    ("found", "says", "mends"),
    [
        ({"retention.ms": "604800000", "retention.bytes": "-1"}, "keeps records for 604800000 ms", "retention.ms=-1"),
        ({"retention.ms": "-1", "retention.bytes": "1000"}, "keeps 1000 bytes of each partition", "retention.bytes=-1"),
    ],
)
def test_for_ever_with_an_end_is_refused_with_the_command_that_mends_it(found, says, mends):
    error = refused(Broker(orders=(1, found)), retention__ms="-1")
    assert f"{says}, for ever is declared" in str(error)
    assert error.hint.endswith(mends)


def test_a_size_that_is_declared_may_end_what_time_does_not():
    broker = Broker(orders=(1, {"retention.ms": "-1", "retention.bytes": "1000"}))
    assert Topics(rules(**declared(retention__ms="-1", retention__bytes="1000")), broker).ensure(["orders"]) == []


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("topic.creation.default.partitions", "0", "neither a positive number"),
        ("topic.creation.default.replication.factor", "three", "neither a positive number"),
        ("topic.creation.latest.cleanup.policy", "compact", "not in topic.creation.groups"),
        ("topic.creation.default.include", "(", "not a regular expression"),
    ],
)
def test_a_declaration_that_cannot_be_read_is_named(key, value, says):
    problems: list = []
    read_rules({key: value}, [], problems)
    assert [says in str(problem) for problem in problems] == [True]
