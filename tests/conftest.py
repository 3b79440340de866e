"""The plugins of all tests; each says at its head what it brings."""

pytest_plugins = [
    "tests.stack.fixtures",
    "tests.support.no_sockets",
    "tests.support.selection",
]
