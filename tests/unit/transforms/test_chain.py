"""A chain is built as a worker builds it, and says everything that is wrong at once."""

from __future__ import annotations

import pytest

from cdc.errors import ConfigError, TransformError
from cdc.model.record import Header, SourceRecord
from cdc.model.schema import INT32, OPTIONAL_STRING, STRING, Struct, struct_schema
from cdc.transforms import Surroundings, compile_chain

KAFKA = "org.apache.kafka.connect.transforms."
ROW = struct_schema([("id", INT32), ("name", OPTIONAL_STRING)], name="srv.public.orders.Value", optional=True)
EVENT = struct_schema([("before", ROW), ("after", ROW), ("op", STRING)], name="srv.public.orders.Envelope")


def row(**changes):
    record = SourceRecord("orders", None, None, None, ROW, Struct(ROW, [1, "Ann"]))
    return record.replace(**changes)


def chain_of(*steps, **more):
    """A chain of `(alias, class, options)`."""
    properties = {"transforms": ",".join(alias for alias, _, _ in steps)}
    for alias, java_class, options in steps:
        properties[f"transforms.{alias}.type"] = java_class
        properties |= {f"transforms.{alias}.{name}": text for name, text in options.items()}
    return compile_chain(properties | more.pop("properties", {}), **more)


def problems_of(*steps, **more):
    with pytest.raises(ConfigError) as refused:
        chain_of(*steps, **more)
    return {problem.key: problem.message for problem in refused.value.problems}


def test_no_transforms_leave_the_record_itself():
    record = row()
    assert compile_chain({}).apply(record) == [record]
    assert compile_chain({"transforms": ""}).apply(record)[0] is record


def test_steps_run_in_the_order_of_the_list():
    first = ("a", "RegexRouter", {"regex": "orders", "replacement": "x"})
    second = ("b", "RegexRouter", {"regex": "x", "replacement": "y"})
    assert chain_of(first, second).apply(row())[0].topic == "y"
    assert chain_of(second, first).apply(row())[0].topic == "x"


def test_every_problem_is_told_at_once():
    told = problems_of(
        ("a", "Cast$Value", {"spec": "id:nothing"}),
        ("b", "MaskField$Value", {"replacement": ""}),
        ("c", "RegexRoutr", {}),
        ("d", "Filter", {"predicate": "nope"}),
    )
    assert set(told) == {
        "transforms.a.spec",
        "transforms.b.fields",
        "transforms.b.replacement",
        "transforms.c.type",
        "transforms.d.predicate",
    }


def test_an_unknown_class_is_answered_with_the_nearest_names():
    with pytest.raises(ConfigError, match="did you mean RegexRouter"):
        chain_of(("c", "RegexRoutr", {}))


def test_the_outer_name_of_a_keyed_transform_is_no_class():
    assert "no class" in problems_of(("a", KAFKA + "Cast", {"spec": "id:int8"}))["transforms.a.type"]


def test_negate_without_a_predicate_is_refused():
    assert (
        "defining a predicate to be negated" in problems_of(("a", "Filter", {"negate": "true"}))["transforms.a.negate"]
    )


@pytest.mark.parametrize(("negate", "topics"), [("false", []), ("true", ["orders"])])
def test_a_predicate_decides_and_negate_turns_it_round(negate, topics):
    chain = chain_of(
        ("a", "Filter", {"predicate": "p", "negate": negate}),
        properties={
            "predicates": "p",
            "predicates.p.type": "TopicNameMatches",
            "predicates.p.pattern": "ord.*",
        },
    )
    assert [record.topic for record in chain.apply(row())] == topics


def test_a_refused_record_names_step_class_and_stage_but_no_value():
    chain = chain_of(("c", "Cast$Value", {"spec": "name:int8"}))
    with pytest.raises(TransformError) as refused:
        chain.apply(row())
    error = refused.value
    assert (error.stage, error.topic, error.exit_code) == ("TRANSFORMATION", "orders", 4)
    assert error.java_class == "org.apache.kafka.connect.errors.DataException"
    assert error.java_message == "Value (Ann) was out of range for requested data type"
    assert error.executing_class == KAFKA + "Cast$Value"
    assert "'c'" in str(error)
    assert "Ann" not in str(error)


def test_the_failing_step_of_joined_ones_is_named():
    chain = chain_of(
        ("good", "InsertField$Value", {"topic.field": "t"}),
        ("bad", "MaskField$Value", {"fields": "id", "replacement": "x"}),
    )
    with pytest.raises(TransformError, match="'bad'"):
        chain.apply(row())


def test_a_chain_tells_what_it_reads():
    assert chain_of(("a", "RegexRouter", {"regex": "a", "replacement": "b"})).reads == {"topic"}
    assert chain_of(("a", "Cast$Key", {"spec": "id:int8"}), ("b", "DropHeaders", {"headers": "h"})).reads == {
        "key",
        "headers",
    }
    assert chain_of(("a", "HeaderFrom$Value", {"fields": "id", "headers": "h", "operation": "copy"})).reads == {
        "value",
        "headers",
    }


def test_routers_and_header_steps_hand_through_what_stands_for_the_row():
    stand_in = object()
    chain = chain_of(
        ("a", "RegexRouter", {"regex": "orders", "replacement": "x"}),
        ("b", "InsertHeader", {"header": "h", "value.literal": "1"}),
    )
    (made,) = chain.apply(row(value_schema=None, value=stand_in))
    assert made.value is stand_in
    assert made.topic == "x"
    assert made.headers[0][:1] == ("h",)


def test_one_record_of_many_schemas_meets_a_bounded_memory():
    chain = chain_of(("a", "ReplaceField$Value", {"exclude": "name"}))
    for number in range(1000):
        schema = struct_schema([("id", INT32), ("name", STRING)], version=number)
        (made,) = chain.apply(row(value_schema=schema, value=Struct(schema, [number, "n"])))
        assert (made.value.values, made.value_schema.version) == ([number], number)


UNWRAP = "io.debezium.transforms.ExtractNewRecordState"


def event(op, before=None, after=None):
    sides = [None if side is None else Struct(ROW, [side, "Ann"]) for side in (before, after)]
    return row(value_schema=EVENT, value=Struct(EVENT, [*sides, op]))


@pytest.mark.parametrize(("strict", "schema"), [(False, None), (True, ROW)])
def test_an_unwrapped_delete_is_a_real_tombstone_but_in_strict_mode(strict, schema):
    chain = chain_of(("u", UNWRAP, {}), surroundings=Surroundings(strict=strict))
    (made,) = chain.apply(event("d", before=1))
    assert made.value is None
    assert made.value_schema is schema


def test_the_renderer_is_told_of_a_plain_unwrap_and_of_no_other_chain():
    plain = chain_of(
        ("u", UNWRAP, {"add.fields": "op,source.ts_ms:when", "delete.tombstone.handling.mode": "Rewrite"})
    ).unwrap
    assert plain is not None
    assert plain.mode == "rewrite"
    assert [(field.struct, field.field, field.new_name) for field in plain.add_fields] == [
        (None, "op", "__op"),
        ("source", "ts_ms", "__when"),
    ]
    assert plain.real_tombstones
    assert chain_of(("u", UNWRAP, {"route.by.field": "name"})).unwrap is None
    assert chain_of(("u", UNWRAP, {"drop.fields.header.name": "h"})).unwrap is None
    assert chain_of(("u", UNWRAP, {}), ("f", "Flatten$Value", {})).unwrap is None


def test_explain_shows_what_comes_out_of_each_step():
    chain = chain_of(
        ("u", UNWRAP, {}),
        ("never", "Filter", {"predicate": "tomb"}),
        ("end", "Filter", {}),
        ("behind", "Flatten$Value", {}),
        properties={"predicates": "tomb", "predicates.tomb.type": "RecordIsTombstone"},
    )
    outcomes = list(chain.explain(event("c", after=1)))
    assert [(o.step.alias, o.applied, len(o.records)) for o in outcomes] == [
        ("u", True, 1),
        ("never", False, 1),
        ("end", True, 0),
    ]


@pytest.mark.parametrize("name", ["io.debezium.transforms.Filter", "io.debezium.transforms.ContentBasedRouter"])
def test_scripted_transforms_are_refused_with_a_way_out(name):
    told = problems_of(("a", name, {"language": "jsr223.groovy", "condition": "true"}))
    assert "python:package.module:name" in told["transforms.a.type"]


def test_a_known_transform_that_is_not_here_is_not_called_unknown():
    told = problems_of(("a", "io.debezium.transforms.SwapGeometryCoordinates", {}))
    assert "known from Debezium" in told["transforms.a.type"]


def test_a_regular_expression_that_means_something_else_in_python_is_refused():
    told = problems_of(("a", "RegexRouter", {"regex": "[a-z&&[^b]]", "replacement": "x"}))
    assert "intersection" in told["transforms.a.regex"]


def test_headers_of_one_name_may_repeat():
    record = row(headers=(Header("h", STRING, "1"), Header("i", STRING, "2"), Header("h", STRING, "3")))
    (made,) = chain_of(("a", "DropHeaders", {"headers": "h"})).apply(record)
    assert [header.name for header in made.headers] == ["i"]


def test_an_option_that_no_class_knows_is_a_finding_not_an_error():
    chain = chain_of(("a", "ReplaceField$Value", {"blacklist": "id", "exclud": "name"}))
    assert chain.apply(row())[0].value.as_dict() == {"id": 1, "name": "Ann"}
    assert [(f.code, f.subject) for f in chain.findings] == [
        ("TRANSFORM_OPTION_UNKNOWN", "transforms.a.blacklist"),
        ("TRANSFORM_OPTION_UNKNOWN", "transforms.a.exclud"),
    ]
    assert chain.findings[1].remedy == "did you mean transforms.a.exclude?"
