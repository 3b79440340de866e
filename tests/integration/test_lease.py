"""A lease has one holder at a time, across processes and machines."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from cdc.kafka.client import ClientOptions
from cdc.kafka.lease import lease
from tests.stack.kafka import KafkaBroker

HOLD = """
import sys, time
from cdc.kafka.client import ClientOptions
from cdc.kafka.lease import lease
with lease(ClientOptions(sys.argv[1]), sys.argv[2], wait=30, busy=RuntimeError, session=6):
    print("held", flush=True)
    time.sleep(60)
"""


class Busy(Exception):
    pass


def test_it_is_refused_while_another_process_holds_it_and_given_when_that_one_is_killed(
    kafka: KafkaBroker, prefix: str
) -> None:
    options = ClientOptions(kafka.bootstrap)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, kafka.bootstrap, prefix],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Busy), lease(options, prefix, wait=1.5, busy=Busy):
            pytest.fail("two hold the same lease")
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    began = time.monotonic()
    with lease(options, prefix, wait=40, busy=Busy):
        assert time.monotonic() - began < 40
    with lease(options, prefix, wait=40, busy=Busy):
        pass  # it was given back
