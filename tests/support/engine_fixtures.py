"""Fixtures: engines that a test starts and need not end.

start_engine       starts the engine in a thread and waits until it streams
start_process      starts it in a process of its own
quick              makes its periodic work frequent, so that a test need not wait for it
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from cdc import acknowledger
from connectors import watch
from connectors.postgres import PipelineConfig
from tests.stack.postgres import Database
from tests.support.engine import EngineProcess, RunningEngine

StartEngine = Callable[[PipelineConfig, Database], RunningEngine]
StartProcess = Callable[..., EngineProcess]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acknowledger, "IDLE_POSITION_SECONDS", 0.1)
    monkeypatch.setattr(watch, "WATCH_SECONDS", 0.3)


@pytest.fixture
def start_engine(quick: None) -> Iterator[StartEngine]:
    with contextlib.ExitStack() as leaving:

        def start(config: PipelineConfig, database: Database) -> RunningEngine:
            engine = RunningEngine(config, database)
            leaving.callback(engine.leave)
            engine.streaming()
            return engine

        yield start


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[StartProcess]:
    with contextlib.ExitStack() as killing:

        def start(
            database: Database, bootstrap: str, config: Mapping[str, str], *, wait: bool = True,
            directory: Path = tmp_path, **more: object,
        ) -> EngineProcess:  # fmt: skip
            engine = killing.enter_context(EngineProcess(database, bootstrap, config, directory, **more))
            if wait:
                engine.streaming()
            return engine

        yield start
