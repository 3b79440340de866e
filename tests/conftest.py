"""The plugins of all tests; each says at its head what it brings. What holds for every property test stands here."""

import os

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

# How long an example takes says how busy the machine is, not whether the code is right. CI draws the same examples each
# time, so that what fails there is a change; new ones are found by everybody's own runs.
_CI = os.environ.get("CI") == "true"
settings.register_profile(
    "seam",
    settings.get_profile("ci" if _CI else "default"),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("seam")
