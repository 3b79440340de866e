"""The plugins of all tests; each says at its head what it brings. What holds for every property test stands here."""

from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.differential.plugin",
    "tests.stack.fixtures",
    "tests.support.engine_fixtures",
    "tests.support.migration_fixtures",
    "tests.support.no_sockets",
    "tests.support.selection",
    "tests.support.smt_options",
]

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("seam", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("seam")
