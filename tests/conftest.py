"""The plugins of all tests; each says at its head what it brings."""

pytest_plugins = [
    "tests.differential.plugin",
    "tests.stack.fixtures",
    "tests.support.engine_fixtures",
    "tests.support.migration_fixtures",
    "tests.support.no_sockets",
    "tests.support.selection",
    "tests.support.smt_options",
]
