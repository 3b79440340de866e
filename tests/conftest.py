"""Plugins of the test suite."""

pytest_plugins = ["tests.support.smt_options"]
