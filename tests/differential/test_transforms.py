"""Chains give the records, and the errors, that the Java classes gave in the recorded cases."""

from __future__ import annotations

import pytest

from tests.support.smt_cases import Runner, difference, read_cases


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        path = metafunc.config.getoption("--smt-cases")
        cases = read_cases(path.read_text(encoding="utf-8"))
        metafunc.parametrize("case", cases, ids=[case["id"] for case in cases])


@pytest.fixture(scope="module")
def runner() -> Runner:
    return Runner()


def test_a_chain_equals_the_java_classes(case, runner):
    different = difference(case, runner.run(case))
    assert different is None, different
