"""Running the HTTP application of views with uvicorn, beside the views' threads."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping

import uvicorn

from cdc.errors import ConfigError
from views.runner import View
from views.serve import Probe, ViewServer


class HttpServer:
    """The application on a port.

    Args:
        views: By name.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        probe: See `ViewServer`.

    Attributes:
        port: The port that is listened on.

    Raises:
        ConfigError: The address cannot be listened on.
    """

    def __init__(self, views: Mapping[str, View], *, host: str, port: int, probe: Probe | None = None) -> None:
        try:
            self._socket = socket.create_server((host, port), backlog=512)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another --port"
            ) from error
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            ViewServer(views, probe=probe).app, log_config=None, access_log=False, lifespan="off", ws="none",
            timeout_graceful_shutdown=3, server_header=False,
        )  # fmt: skip
        self._server = _Server(config)

    def run(self, stop: threading.Event, on_started: Callable[[], None] = lambda: None) -> None:
        """Serve until stopped; on the calling thread.

        Args:
            stop: Ends it.
            on_started: Called when requests are taken.
        """

        def watch() -> None:
            stop.wait()
            self._server.should_exit = True

        threading.Thread(target=watch, name="http-stop", daemon=True).start()
        on_started()
        self._server.run(sockets=[self._socket])


class _Server(uvicorn.Server):
    """Signals are the caller's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield
