"""A chain that is carried out column by column gives the records of the plain form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from cdc.column_chain import ColumnWriter, _Known, tells
from cdc.connect_form import connect_render
from cdc.errors import DecodeError, TransformError
from cdc.model.javaerrors import DataError
from cdc.render import ComposedRender
from cdc.transforms import Surroundings, compile_chain
from cdc.transforms.chain import Chain
from cdc.transforms.debezium.new_record_state import MODES
from cdc.unwrapping import Unfit
from tests.unit.test_render_equal import LSN_TEXT, Case, _state, cases
from tests.unit.test_unwrapping import Emit, without_blocks

UNWRAP = "io.debezium.transforms.ExtractNewRecordState"


@st.composite
def chains(draw: st.DrawFn, names: list[str]) -> tuple[Chain, Chain]:
    """A whole chain, and what follows its first step."""
    name = st.sampled_from([*names, "__deleted", "__op", "__lsn", "absent"])
    kinds = st.sampled_from(["Cast", "ReplaceField", "MaskField", "InsertField", "TimestampConverter"])
    properties = {
        "u.type": UNWRAP, "u.add.fields": draw(st.sampled_from(["", "op,source.ts_ms", "lsn,txId,source.ts_us"])),
        "u.delete.tombstone.handling.mode": draw(st.sampled_from(MODES)),
    }  # fmt: skip
    steps = draw(st.lists(kinds, min_size=1, max_size=5))
    for at, kind in enumerate(steps):
        chosen = ",".join(draw(st.lists(name, min_size=1, max_size=3, unique=True)))
        options: dict[str, str] = {}
        match kind:
            case "Cast":
                target = draw(st.sampled_from(["string", "string", "int64", "boolean"]))
                options["spec"] = ",".join(f"{each}:{target}" for each in chosen.split(","))
            case "ReplaceField":
                options[draw(st.sampled_from(["exclude", "include"]))] = chosen
                options["renames"] = f"{draw(name)}:renamed{at}"
            case "MaskField":
                options["fields"] = chosen
                if draw(st.booleans()):
                    options["replacement"] = draw(st.sampled_from(["7", "x"]))
            case "InsertField":
                options |= {"topic.field": f"topic{at}", "static.field": f"fixed{at}!", "static.value": "legacy"}
            case "TimestampConverter":
                options |= {
                    "field": draw(st.sampled_from(["__source_ts_ms", *names])),
                    "target.type": draw(st.sampled_from(["Timestamp", "unix"])),
                }
        options["replace.null.with.default"] = draw(st.sampled_from(["true", "false"]))
        properties |= {f"s{at}.type": f"{kind}$Value", **{f"s{at}.{option}": text for option, text in options.items()}}
    all_steps = ["u", *(f"s{at}" for at in range(len(steps)))]
    whole = compile_chain(
        {"transforms": ",".join(all_steps), **{f"transforms.{option}": text for option, text in properties.items()}},
        Surroundings(),
    )
    return whole, Chain(whole.steps[1:])


def outcome(call: Any) -> Any:
    try:
        return [tuple(record) for record in call()]
    except DecodeError:
        return "refused"
    except (TransformError, DataError) as error:
        return str(error)


def narrow(column: str) -> Any:
    raise DecodeError(f"no room in {column}", table="", position="")


JAVA_TRIMS = "".join(map(chr, range(0x21)))  # what an option's value loses at its ends


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(st.data())
def test_the_records_are_those_of_the_plain_form(data):
    case: Case = without_blocks(data.draw(cases()))
    names = [
        column.name
        for column in case.layout.columns
        if not set(column.name) & set(",:") and column.name.strip(JAVA_TRIMS) == column.name
    ]
    chain, rest = data.draw(chains(names or ["none"]))
    unwrap = Chain(chain.steps[:1]).unwrap
    assert unwrap is not None
    assert tells(rest)
    plain = connect_render(case.layout, case.options, narrow, Emit(case.options, chain))
    fell_back = []

    def instead(payload: bytes, lsn: bytes, state: Any) -> Any:
        fell_back.append(payload)
        return plain(payload, lsn, state)

    try:
        writer = ColumnWriter(case.layout, case.options, unwrap, rest)
    except Unfit:
        event("unfit")
        return
    render = ComposedRender(case.layout, case.options, narrow, writer, instead=instead).render
    for payload in case.payloads:
        left, right = _state(case), _state(case)
        found = outcome(lambda: render(payload, LSN_TEXT, left))  # noqa: B023
        assert found == outcome(lambda: plain(payload, LSN_TEXT, right)), payload  # noqa: B023
    event(f"fell back {len(fell_back)} of {len(case.payloads)} times")


@pytest.mark.parametrize("step", ["Flatten$Value", "Cast$Key", "HeaderFrom$Value"])
def test_a_step_that_is_not_one_of_columns_is_left_to_the_plain_form(step):
    options = {
        "Flatten$Value": {},
        "Cast$Key": {"spec": "id:string"},
        "HeaderFrom$Value": {"fields": "a", "headers": "b", "operation": "copy"},
    }
    chain = compile_chain(
        {"transforms": "s", "transforms.s.type": step, **{f"transforms.s.{k}": v for k, v in options[step].items()}}
    )
    told = tells(chain) and chain.steps[0].transform.columns(UNUSED) is not None
    assert not told


UNUSED: Any = None


def test_a_text_that_is_known_is_told_apart_from_all_others():
    asked: list[bytes] = []

    def convert(raw: bytes) -> bytes:
        asked.append(raw)
        return b"<" + raw + b">"

    tell = _Known(convert).__getitem__
    texts = [b"", b"a", b"ab", b"abc", b"abcd", b"a" * 32, b"a" * 33]
    for _ in range(2):
        assert [tell(text) for text in texts] == [b"<" + text + b">" for text in texts]
    assert asked == [*texts, b"a" * 33], "a long text is not kept"


def test_no_more_than_a_thousand_texts_are_kept():
    known = _Known(lambda raw: raw)
    assert [known[b"%d" % n] for n in range(3000)] == [b"%d" % n for n in range(3000)]
    assert len(known) == 1000
