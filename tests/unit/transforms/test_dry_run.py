"""`seam transform`: records in, records out, step by step, before and after."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from cdc.errors import ConfigError, ConvertError, TransformError
from cdc.transforms import compile_chain
from cdc.transforms.dry_run import DryRun, line_text
from cdc.versions import LogRecord
from connectors.transform_commands import transform

SCHEMA = {"type": "struct", "fields": [{"type": "int32", "optional": False, "field": "id"}], "optional": False}
LINE = json.dumps({"topic": "orders", "value": {"schema": SCHEMA, "payload": {"id": 7}}})
CAST = {
    "transforms": "cast,route",
    "transforms.cast.type": "org.apache.kafka.connect.transforms.Cast$Value",
    "transforms.cast.spec": "id:string",
    "transforms.route.type": "RegexRouter",
    "transforms.route.regex": "(.*)",
    "transforms.route.replacement": "x.$1",
}

app = typer.Typer()
app.command()(transform)


@pytest.fixture
def run(tmp_path):
    def run(properties, *arguments, lines=LINE):
        file = tmp_path / "orders.json"
        file.write_text(json.dumps({"name": "orders", "config": properties}))
        result = CliRunner().invoke(app, [str(file), *arguments], input=lines)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return [json.loads(line) for line in result.stdout.splitlines()]

    return run


def test_what_comes_out_is_printed_as_it_was_read(run):
    (made,) = run(CAST)
    assert made["topic"] == "x.orders"
    assert made["value"]["payload"] == {"id": "7"}
    assert made["value"]["schema"]["fields"] == [{"type": "string", "optional": False, "field": "id"}]


def test_explain_prints_the_record_and_each_step(run):
    lines = run(CAST, "--explain")
    assert [line["step"] for line in lines] == [None, "cast", "route"]
    assert [line["records"][0]["topic"] for line in lines] == ["orders", "orders", "x.orders"]


def test_diff_prints_before_after_and_what_changed(run):
    (line,) = run(CAST, "--diff")
    assert line["changed"] == ["topic", "value"]
    assert line["before"]["value"]["payload"] == {"id": 7}


def test_plain_json_is_taken_where_schemas_are_off(run):
    properties = CAST | {"value.converter.schemas.enable": "false", "transforms.cast.spec": "price:string"}
    (made,) = run(properties, lines='{"topic":"orders","value":{"price":12.50}}')
    assert made["value"] == {"price": "12.5"}


def test_numbers_keep_their_digits(run):
    schema = {"type": "struct", "fields": [
        {"type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "version": 1, "parameters": {"scale": "2"},
         "optional": False, "field": "d"}], "optional": False}  # fmt: skip
    line = json.dumps({"topic": "o", "value": {"schema": schema, "payload": {"d": "AJw="}}})
    (made,) = run({"value.converter.decimal.format": "NUMERIC"}, lines=line)
    assert json.dumps(made["value"]["payload"]) == '{"d": 1.56}'


def test_the_first_refused_record_ends_the_run(run):
    with pytest.raises(TransformError):
        run(CAST | {"transforms.cast.spec": "id:int8", "transforms.route.replacement": "$7"})


def test_with_tolerance_the_refusal_is_a_line_and_the_run_goes_on(run):
    properties = CAST | {"transforms.route.replacement": "$7", "errors.tolerance": "all"}
    told = run(properties, lines=f"{LINE}\n{LINE}")
    assert [line["line"] for line in told] == [1, 2]
    assert told[0]["message"] == "No group 7"


@pytest.mark.parametrize("line", ["7", "{", '{"value":1}', '{"topic":"a","valu":1}', '{"topic":"a","value":{"a":1}}'])
def test_a_line_that_is_no_record_is_named_by_its_number(run, line):
    with pytest.raises(ConvertError, match="line 2 "):
        run(CAST, lines=f"{LINE}\n{line}")


def test_two_views_at_once_are_refused(run):
    with pytest.raises(ConfigError):
        run(CAST, "--explain", "--diff")


def test_a_chain_that_cannot_be_built_is_refused_before_anything_is_read(run):
    with pytest.raises(ConfigError) as refused:
        run(CAST | {"transforms.cast.spec": "", "transforms.route.regex": "["})
    assert len(refused.value.problems) == 2


def test_an_offset_makes_it_a_record_of_a_sink(run):
    properties = {"transforms": "a", "transforms.a.type": "InsertField$Value", "transforms.a.offset.field": "at"}
    line = json.dumps(json.loads(LINE) | {"offset": 17})
    assert run(properties, lines=line)[0]["value"]["payload"] == {"id": 7, "at": 17}


def test_secrets_of_the_database_are_not_asked_for(run):
    assert run(CAST | {"database.password": "${env:SEAM_NO_SUCH_SECRET}"})[0]["topic"] == "x.orders"


def test_a_chain_that_reads_kafka_is_refused_here(run):
    lookup = {"type": "seam.transforms.Lookup", "topic": "t", "key.field": "id", "fields": "name"}
    with pytest.raises(ConfigError, match="reads its reference topic from Kafka"):
        run({"transforms": "a"} | {f"transforms.a.{name}": text for name, text in lookup.items()})


def test_a_record_of_a_topic_is_read_by_the_files_converters():
    plain = {"key.converter.schemas.enable": "false", "value.converter.schemas.enable": "false"}
    kept = LogRecord("t", 2, 7, 1000, b'{"id":1}', b'{"id":1,"n":2.5}', (("weight", b"3"), ("none", None)))
    (source,) = DryRun(compile_chain(plain), plain).run([kept])
    assert json.loads(line_text(source)) == {
        "topic": "t", "partition": None, "timestamp": None, "key": {"id": 1}, "value": {"id": 1, "n": 2.5},
        "headers": [{"name": "weight", "schema": {"type": "int8", "optional": False}, "value": 3},
                    {"name": "none", "schema": None, "value": None}],
    }  # fmt: skip
    (sink,) = DryRun(compile_chain(plain), plain, sink=True).run([kept])
    assert (sink["partition"], sink["timestamp"], sink["offset"]) == (2, 1000, 7)
    with pytest.raises(ConvertError, match="the key cannot be read"):
        list(DryRun(compile_chain({}), {}).run([kept]))
