"""Stand-ins for the two ends of the loop: a server that sends given frames, and a Kafka that delivers when told to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from cdc.errors import SeamError
from cdc.kafka.positions import POSITIONS_TOPIC, PositionRecord


class FakeWalsender:
    """Sends frames, and keeps what it is told.

    Attributes:
        frames: What it has yet to send; a callable among them is called when its turn comes, and sends nothing.
        told: `(flushed, received)` of every status update.
        warning: What it warned of.
    """

    where = "replication from nowhere"
    driver_error = ZeroDivisionError

    def __init__(self, frames: Iterable[bytes | Callable[[], None]] = ()) -> None:
        self.frames: deque[bytes | Callable[[], None]] = deque(frames)
        self.told: list[tuple[int, int]] = []
        self.asked = 0
        self.warning: SeamError | None = None
        self.ended = False
        self.on_wait: Callable[[], None] = lambda: None

    def get_copy_data(self, _async: int) -> tuple[int, memoryview]:
        while self.frames:
            frame = self.frames.popleft()
            if isinstance(frame, bytes):
                return len(frame), memoryview(frame)
            frame()
        return (-1 if self.ended else 0), memoryview(b"")

    def raise_warning(self) -> None:
        if self.warning is not None:
            raise self.warning

    def wait(self, _seconds: float) -> bool:
        self.on_wait()
        return bool(self.frames)

    def send_status(self, flushed: int, received: int, *, reply: bool = False) -> None:
        self.told.append((int(flushed), int(received)))
        self.asked += reply

    def lost(self, error: BaseException) -> SeamError:
        return SeamError(str(error))

    def stop(self) -> None:
        self.ended = True


@dataclass(slots=True)
class Handed:
    """A record that was handed over and is not delivered."""

    topic: str
    value: bytes | None
    on_delivery: Callable[[Any, Any], None]
    key: bytes | None = None
    partition: int | None = None
    headers: Any = None


@dataclass
class FakeProducer:
    """Takes records and delivers none by itself.

    Attributes:
        flying: Handed over, neither delivered nor failed.
        delivered: In the order of their deliveries.
        room: How many records it takes until some are delivered; None for any number.
        on_poll: Called by each poll.
    """

    flying: list[Handed] = field(default_factory=list)
    delivered: list[Handed] = field(default_factory=list)
    room: int | None = None
    on_poll: Callable[[], None] = lambda: None
    where: str = "producing to nowhere"
    trouble: None = None
    fatal: SeamError | None = None

    def produce(self, topic, value=None, key=None, *, on_delivery, headers=None, partition=None) -> None:
        if self.room is not None and len(self.flying) >= self.room:
            raise BufferError
        self.flying.append(Handed(topic, value, on_delivery, key, partition, headers))

    def send(self, topic, value, key, *, on_delivery, partition=None, headers=None, table=None, timestamp=None) -> bool:
        try:
            FakeProducer.produce(self, topic, value, key, on_delivery=on_delivery, headers=headers, partition=partition)
        except BufferError:
            return False
        return True

    def poll(self, _seconds: float) -> int:
        self.on_poll()
        return 0

    def in_queue(self) -> int:
        return len(self.flying)

    def raise_fatal(self) -> None:
        if self.fatal is not None:
            raise self.fatal

    def deliver(self, index: int = 0, error: Any = None) -> None:
        handed = self.flying.pop(index)
        if error is None:
            self.delivered.append(handed)
        handed.on_delivery(error, None)

    def deliver_all(self) -> None:
        while self.flying:
            self.deliver()

    def positions(self) -> list[PositionRecord]:
        """The position records that were delivered."""
        return [PositionRecord.decode(each.value) for each in self.delivered if each.topic == POSITIONS_TOPIC]


class FakeTransactions:
    """A transactional producer's client: what was committed stays, what was not is gone with the producer."""

    def __init__(self, producer: FakeProducer) -> None:
        self.producer = producer
        self.open = False
        self.committed: list[Handed] = []

    def begin_transaction(self) -> None:
        assert not self.open, "a transaction within a transaction"
        self.open = True

    def commit_transaction(self, _seconds: float) -> None:
        assert self.open, "a commit without its transaction"
        self.producer.deliver_all()
        self.committed += self.producer.delivered
        self.producer.delivered.clear()
        self.open = False
