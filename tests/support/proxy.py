"""A TCP proxy whose network can be broken: the tests' own cut, black hole, half-open connection, delay and throttle.

    with Proxy(server.port) as proxy:
        connect_to("127.0.0.1", proxy.port)
        proxy.cut()

One thread moves the bytes of all connections. A fault holds for the connections that are open and for those to come,
until `heal`. Before Kafka the broker's advertised listener must name the proxy's port.
"""

from __future__ import annotations

import contextlib
import queue
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

HOST = "127.0.0.1"
Direction = Literal["both", "to_server", "to_client"]

_BUFFER = 256 * 1024  # bytes held per direction: beyond it the sender is stopped, as by a full network
_CHUNK = 64 * 1024
_IDLE = 0.5  # seconds


@dataclass(slots=True)
class _Rules:
    stalled: set[str] = field(default_factory=set)
    delay: float = 0.0
    rate: float | None = None


class _Pipe:
    """The bytes on their way in one direction of one connection."""

    def __init__(self, name: str, source: socket.socket, target: socket.socket) -> None:
        self.name = name
        self.source = source
        self.target = target
        self.chunks: deque[tuple[float, bytes]] = deque()  # when they are due, what they are
        self.held = 0
        self.ended = False  # the source will send no more
        self.closed = False  # and the target was told
        self.next_allowed = 0.0

    def wants_input(self, rules: _Rules) -> bool:
        return not self.ended and self.held < _BUFFER and self.name not in rules.stalled

    def due(self, rules: _Rules, now: float) -> float | None:
        """Seconds until something can be handed on; None when there is nothing."""
        if self.name in rules.stalled:
            return None
        if self.chunks:
            return max(0.0, self.chunks[0][0] - now, self.next_allowed - now)
        return 0.0 if self.ended and not self.closed else None

    def receive(self, rules: _Rules, now: float) -> None:
        data = self.source.recv(_CHUNK)
        if data:
            self.chunks.append((now + rules.delay, data))
            self.held += len(data)
        else:
            self.ended = True

    def send(self, rules: _Rules, now: float) -> int:
        """Hand on what may go now; the bytes that went."""
        if not self.chunks:
            if self.ended and not self.closed:
                self.closed = True
                self.target.shutdown(socket.SHUT_WR)
            return 0
        due, data = self.chunks[0]
        allowed = data if rules.rate is None else data[: max(1, int(rules.rate / 20))]
        sent = self.target.send(allowed)
        self.held -= sent
        if sent == len(data):
            self.chunks.popleft()
        else:
            self.chunks[0] = (due, data[sent:])
        if rules.rate is not None:
            self.next_allowed = now + sent / rules.rate
        return sent


@dataclass(slots=True, eq=False)
class _Connection:
    client: socket.socket
    server: socket.socket | None
    pipes: tuple[_Pipe, ...]


class Proxy:
    """Listens on a free loopback port and carries each connection to a server's port.

    Args:
        target: The server's port on the loopback interface; may be set later, and changed for connections to come.
        port: The port to listen on; 0 takes a free one.
    """

    def __init__(self, target: int = 0, *, port: int = 0) -> None:
        self.target = target
        self.carried = {"to_server": 0, "to_client": 0}  # bytes since the start
        self.accepted = 0  # connections since the start
        self._rules = _Rules()
        self._selector = selectors.DefaultSelector()
        self._connections: list[_Connection] = []
        self._commands: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        self._listener: socket.socket | None = None
        self._listen(port)
        assert self._listener is not None
        self.port: int = self._listener.getsockname()[1]
        self._running = True
        self._thread = threading.Thread(target=self._loop, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()

    @property
    def open(self) -> int:
        """How many connections are open now."""
        return len(self._connections)

    def cut(self) -> None:
        """Reset every open connection on both sides; new ones are carried as before."""
        self._do(self._reset_all)

    def refuse(self) -> None:
        """Cut, and refuse new connections until `heal`, as a server does that is not there."""

        def stop_listening() -> None:
            self._reset_all()
            if self._listener is not None:
                self._selector.unregister(self._listener)
                self._listener.close()
                self._listener = None

        self._do(stop_listening)

    def blackhole(self, direction: Direction = "both") -> None:
        """Let nothing through and tell nobody; after `heal` the bytes go on, as TCP would send them again.

        A connection made meanwhile is accepted and stays silent.
        """
        directions = {"to_server", "to_client"} if direction == "both" else {direction}
        self._do(lambda: self._rules.stalled.update(directions))

    def half_open(self) -> None:
        """Close every open connection towards the server; the client's stays open and silent for ever."""
        self._do(self._forget_servers)

    def delay(self, seconds: float) -> None:
        """Hand each byte on this much later, in both directions."""
        self._do(lambda: setattr(self._rules, "delay", seconds))

    def throttle(self, bytes_per_second: float) -> None:
        """Carry at most this much in each direction of each connection."""
        self._do(lambda: setattr(self._rules, "rate", bytes_per_second))

    def heal(self) -> None:
        """End every fault; connections that a half-open fault left behind are reset."""

        def end_faults() -> None:
            self._rules = _Rules()
            for connection in [each for each in self._connections if each.server is None]:
                self._reset(connection)
            if self._listener is None:
                self._listen(self.port)

        self._do(end_faults)

    def close(self) -> None:
        """Reset everything and end the thread."""
        if not self._running:
            return

        def end() -> None:
            self._reset_all()
            self._running = False

        self._do(end)
        self._thread.join()
        if self._listener is not None:
            self._listener.close()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _do(self, command: Callable[[], None]) -> None:
        """Run a command in the proxy's thread and wait until it has taken effect."""
        done = threading.Event()

        def run() -> None:
            try:
                command()
            finally:
                done.set()

        self._commands.put(run)
        self._wake_in.send(b".")
        assert done.wait(10), "the proxy's thread does not answer"

    def _listen(self, port: int) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(128)
        listener.setblocking(False)
        self._listener = listener
        self._selector.register(listener, selectors.EVENT_READ)

    def _loop(self) -> None:
        while self._running:
            now = time.monotonic()
            timeout = self._watch(now)
            for key, _ in self._selector.select(timeout):
                if key.fileobj is self._wake_out:
                    self._wake_out.recv(4096)
                elif key.fileobj is self._listener:
                    self._accept()
            while not self._commands.empty():
                self._commands.get()()
            now = time.monotonic()
            for connection in list(self._connections):
                self._move(connection, now)

    def _watch(self, now: float) -> float:
        """Tell the selector what each socket waits for; the seconds until a delayed chunk is due."""
        timeout = _IDLE
        for connection in self._connections:
            wanted: dict[socket.socket, int] = {}
            for pipe in connection.pipes:
                if pipe.wants_input(self._rules):
                    wanted[pipe.source] = wanted.get(pipe.source, 0) | selectors.EVENT_READ
                due = pipe.due(self._rules, now)
                if due == 0.0:
                    wanted[pipe.target] = wanted.get(pipe.target, 0) | selectors.EVENT_WRITE
                elif due is not None:
                    timeout = min(timeout, due)
            for end in (connection.client, connection.server):
                if end is not None:
                    self._register(end, wanted.get(end, 0))
        return timeout

    def _register(self, end: socket.socket, events: int) -> None:
        known = self._selector.get_map().get(end)
        if known is None and events:
            self._selector.register(end, events)
        elif known is not None and not events:
            self._selector.unregister(end)
        elif known is not None and known.events != events:
            self._selector.modify(end, events)

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(BlockingIOError):
            client, _ = self._listener.accept()
            self.accepted += 1
            try:
                server = socket.create_connection((HOST, self.target), timeout=2)
            except OSError:
                _abort(client)  # the server is down, and so is the way to it
                return
            for end in (client, server):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pipes = (_Pipe("to_server", client, server), _Pipe("to_client", server, client))
            self._connections.append(_Connection(client, server, pipes))

    def _move(self, connection: _Connection, now: float) -> None:
        try:
            for pipe in connection.pipes:
                if pipe.wants_input(self._rules):
                    with contextlib.suppress(BlockingIOError):
                        pipe.receive(self._rules, now)
                if pipe.due(self._rules, now) == 0.0:
                    with contextlib.suppress(BlockingIOError):
                        self.carried[pipe.name] += pipe.send(self._rules, now)
        except OSError:
            self._reset(connection)
            return
        if connection.pipes and all(pipe.closed for pipe in connection.pipes):
            self._drop(connection, _close)  # a reset would throw away what the kernel has yet to send

    def _reset_all(self) -> None:
        for connection in list(self._connections):
            self._reset(connection)

    def _reset(self, connection: _Connection) -> None:
        self._drop(connection, _abort)

    def _drop(self, connection: _Connection, close: Callable[[socket.socket], None]) -> None:
        self._connections.remove(connection)
        for end in (connection.client, connection.server):
            if end is not None:
                self._register(end, 0)
                close(end)

    def _forget_servers(self) -> None:
        for connection in self._connections:
            if connection.server is not None:
                for end in (connection.client, connection.server):
                    self._register(end, 0)
                _abort(connection.server)
                connection.server = None
                connection.pipes = ()


def _close(end: socket.socket) -> None:
    end.close()


def _abort(end: socket.socket) -> None:
    """Close with a reset instead of an orderly end."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
