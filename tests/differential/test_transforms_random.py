"""Random chains over random records come out of the Java classes and out of ours alike, and so do the texts they read.

The seed stands in the output of a failure; SEAM_SEED repeats it.
"""

from __future__ import annotations

import json
import os
import random
import secrets
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from cdc.converters.inference import infer
from cdc.converters.json import JsonConverter
from cdc.errors import ConfigError
from cdc.model.javaerrors import JavaError
from cdc.transforms import Surroundings, compile_chain
from cdc.transforms.javaregex import JavaPattern, UntranslatablePattern
from cdc.values.simpledateformat import SimpleDateFormat
from tests.support.smt_cases import Runner, difference
from tests.support.smt_generator import Generator
from tests.support.transform_oracle import TransformOracle

DATE_PATTERNS = [
    "yyyy-MM-dd", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX", "dd/MM/yy HH:mm", "EEE MMM d yy h:mm a", "w W u F E", "yyyyMMddHHmmss",
    "G yyyy D", "YYYY-w-u", "yyyy w E", "yyyy MM W E", "yyyy MM F E", "MMMM LLLL EEEE GGGG zzzz", "Z X XX XXX z",
    "hh K kk a", "S SS SSSSS", "y yy yyy yyyyy", "HHmm a hh", "E a", "yyyy D M", "yyyy M D", "yyyy-MM-dd z", "''yyyy''",
]  # fmt: skip
DATE_LETTERS = "GyMdkHmsSEDFwWahKzZuXL"
TOKENS = [
    "1", "2", "1.5", "-3", "true", "false", "null", '"a"', "a", "[", "]", "{", "}", ",", ",", ":", " ", "\\", '"', "e3",
    "+", "300", "70000", "5000000000", "1e400", "2020-01-01", "12:34:56.789Z", "2020-01-01T12:34:56.789Z", "-0",
    "9223372036854775808", "1e-400", "[1,2]", '{"a":1}', "\t",
]  # fmt: skip
REGEX_PARTS = [
    "a", "b", "c", ".", "*", "+", "?", "|", "(", ")", "(?:", "(?<n>", "[ab]", "[^a]", "[a-c]", r"\d", r"\w", r"\s", r"\.",
    "$", "^", "{2}", "{1,}", r"\1", r"\Qa.\E", "(?i)", r"\p{Alpha}", r"\k<n>", "*?", "++", "[]a]", r"[a\]]", "(?=b)",
    "(?!a)", r"\h", r"[\w-]", "-", r"\b",
]  # fmt: skip
REPLACEMENTS = ["x", "$1", "$0", "${n}", r"\$", "$", "$11", "\\", "[$2]", "${", "$a", ""]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TransformOracle]:
    jvm = TransformOracle(tmp_path_factory.mktemp("oracle"))
    yield jvm
    jvm.close()


@pytest.fixture
def seed() -> int:
    given = int(os.environ.get("SEAM_SEED") or secrets.randbelow(1 << 32))
    print(f"SEAM_SEED={given}")
    return given


def differing(oracle: TransformOracle, runner: Runner, case: dict[str, Any]) -> str | None:
    """What is different between the two, or None."""
    answer = oracle.ask(case)
    try:
        chain = compile_chain(case["chain"], Surroundings(strict=True))
    except ConfigError as error:
        ours = {"config_errors": [f"{p.java_class}: {p.java_message}" for p in error.problems]}
        if "outcomes" in answer:
            return f"Java builds the chain, here it is refused: {ours}"
        return difference({"expected": answer}, ours)
    if "config_error" in answer:
        return f"Java refuses the chain: {answer['config_error']}"
    for given, expected in zip(case["records"], answer["outcomes"], strict=True):
        exact = json.loads(json.dumps(given), parse_float=Decimal)
        found = difference({"expected": expected}, runner.outcome(chain, exact))
        if found is not None:
            return f"{found}\nfor {json.dumps(given)}"
    return None


def assert_chains_equal(oracle: TransformOracle, seed: int, count: int) -> None:
    generator, runner = Generator(seed), Runner()
    for number in range(count):
        case = generator.case(number)
        found = differing(oracle, runner, case)
        assert found is None, f"{case['id']}: {json.dumps(case['chain'])}\n{found}"


def test_random_chains_equal_the_java_classes(oracle, seed):
    assert_chains_equal(oracle, seed, 300)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_many_random_chains_equal_the_java_classes(oracle, seed):
    assert_chains_equal(oracle, seed, 100_000)


def test_texts_are_understood_as_kafka_does(oracle, seed):
    dice, writer = random.Random(seed), JsonConverter(replace_null_with_default=False)
    for _ in range(500):
        text = "".join(dice.choice(TOKENS) for _ in range(dice.randint(1, 6)))
        wanted = oracle.ask({"ask": "infer", "text": text})
        try:
            data = writer.from_connect(*infer(text))
            got: dict[str, Any] = {"out": None if data is None else json.loads(data)}
        except JavaError as error:
            got = {"error": error.java_class}
        if "error" in wanted:
            assert got.get("error") == wanted["error"].partition(":")[0], text
        else:
            runs = {"expected": {"out": [{"value": wanted["out"]}]}}
            assert difference(runs, {"out": [{"value": got.get("out", got)}]}) is None, text


def test_dates_are_formatted_and_parsed_as_java_does(oracle, seed):
    dice = random.Random(seed)
    for _ in range(500):
        pattern = dice.choice(DATE_PATTERNS)
        if dice.random() < 0.4:
            parts = (
                dice.choice([dice.choice(DATE_LETTERS) * dice.randint(1, 4), " ", "-", ":", "'x'"]) for _ in range(4)
            )
            pattern = "".join(parts)
        # Week years before Christ are printed with a sign of their own and stay out.
        millis = dice.randint(-2 * 10**13, 10**14)
        wanted = oracle.ask({"ask": "format", "pattern": pattern, "millis": millis})
        assert date_outcome(lambda: SimpleDateFormat(pattern).format(millis)) == wanted, (pattern, millis)  # noqa: B023
        if "out" not in wanted:
            continue
        text = mutated(dice, wanted["out"])
        wanted = oracle.ask({"ask": "parse", "pattern": pattern, "text": text})
        assert date_outcome(lambda: SimpleDateFormat(pattern).parse(text)) == wanted, (pattern, text)  # noqa: B023


def date_outcome(ask: Any) -> dict[str, Any]:
    try:
        return {"out": ask()}
    except ValueError as error:
        return {"error": f"IllegalArgumentException: {error}"}


def mutated(dice: random.Random, text: str) -> str:
    if not text or dice.random() < 0.6:
        return text
    at = dice.randrange(len(text))
    return text[:at] + dice.choice(["", " ", "-", "x"]) + text[at + dice.choice([0, 1]) :]


def test_regular_expressions_mean_what_they_mean_in_java_or_are_refused(oracle, seed):
    dice = random.Random(seed)
    for _ in range(500):
        pattern = "".join(dice.choice(REGEX_PARTS) for _ in range(dice.randint(1, 5)))
        text = "".join(dice.choice("abcABC.1- ]") for _ in range(dice.randint(0, 5)))
        replacement = dice.choice(REPLACEMENTS)
        wanted = oracle.ask({"ask": "regex", "pattern": pattern, "text": text, "replacement": replacement})
        try:
            ours = JavaPattern(pattern)
        except UntranslatablePattern:
            continue
        except ValueError:
            assert "PatternSyntaxException" in wanted.get("error", ""), pattern
            continue
        try:
            got: dict[str, Any] = {"matches": ours.matches(text), "out": ours.replace_first(text, replacement)}
        except JavaError as error:
            got = {"matches": ours.matches(text), "error": f"{error.java_class}: {error.message}"}
        assert got == wanted, (pattern, text, replacement)


def test_the_same_seed_draws_the_same_cases(seed):
    assert Generator(seed).case(0) == Generator(seed).case(0)
