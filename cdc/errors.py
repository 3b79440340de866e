"""The errors that `seam` raises on purpose.

    SeamError                    code, hint; the cause is always chained
      ConfigError                every problem found, not the first                 exit 2
      RetriableError             SourceUnavailable, BrokerUnavailable, SlotInUse,
                                 ConnectRebalancing, ConnectUnavailable             exit 3 when retries end
      OperatorError              SlotLost, SlotAhead, TimelineForked, SystemChanged,
                                 PublicationChanged, AuthFailed, PreflightFailed,
                                 Fenced, TopicMismatch                              exit 4
      ProtocolError              message tag, offset, length                        exit 4
      RecordError                stage, topic, table, position: DecodeError,
                                 TransformError, ConvertError, SendError            exit 4
      ConnectApiError            status, error code, the worker's text              exit 4
      VerificationFailed         the differences                                    exit 5
      WaitExpired                what was reached, what was asked                   exit 6

Anything else that reaches the command line is a defect of ours and ends with exit code 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class SeamError(Exception):
    """Something went wrong that the caller can name; the docstring of a class is its default message.

    Args:
        message: What happened and where (table, position, topic). Never a secret, never a row's value.
        hint: What to do about it, as a sentence or a command.
    """

    code: ClassVar[str] = "SEAM"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message if message is not None else _first_line(type(self).__doc__)
        self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.message


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().split("\n", 1)[0]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a configuration.

    Attributes:
        key: The option's name, or the place in the file.
        message: What is wrong with it; never the value of a secret.
        nearest: Names that were probably meant, best first.
    """

    key: str
    message: str
    nearest: tuple[str, ...] = ()

    def __str__(self) -> str:
        meant = f" (did you mean {' or '.join(self.nearest)}?)" if self.nearest else ""
        return f"{self.key}: {self.message}{meant}"


class ConfigError(SeamError):
    """The configuration cannot be used.

    Args:
        problems: Every problem that was found, in the order of the file.
        source: The file, or whatever else the configuration came from.
    """

    code = "CONFIG"
    exit_code = 2

    def __init__(
        self, problems: Sequence[Problem] | str, *, source: str | None = None, hint: str | None = None
    ) -> None:
        self.problems: tuple[Problem, ...] = () if isinstance(problems, str) else tuple(problems)
        self.source = source
        where = f"{source}: " if source else ""
        if isinstance(problems, str):
            text = where + problems
        elif len(self.problems) == 1:
            text = f"{where}{self.problems[0]}"
        else:
            lines = "".join(f"\n  {problem}" for problem in self.problems)
            text = f"{where}{len(self.problems)} problems{lines}"
        super().__init__(text, hint=hint)


class RetriableError(SeamError):
    """An outside system did not do its part; the same call may succeed later."""

    code = "RETRIABLE"
    exit_code = 3


class SourceUnavailable(RetriableError):
    """Postgres cannot be reached."""

    code = "SOURCE_UNAVAILABLE"


class BrokerUnavailable(RetriableError):
    """Kafka cannot be reached."""

    code = "BROKER_UNAVAILABLE"


class SlotInUse(RetriableError):
    """The replication slot is used by another process."""

    code = "SLOT_BUSY"


class ConnectRebalancing(RetriableError):
    """The Connect cluster is rebalancing."""

    code = "CONNECT_REBALANCING"


class ConnectUnavailable(RetriableError):
    """No Connect worker can be reached."""

    code = "CONNECT_UNAVAILABLE"


class OperatorError(SeamError):
    """A person has to decide; nothing was acknowledged."""

    code = "OPERATOR"
    exit_code = 4


class SlotLost(OperatorError):
    """The replication slot that the recorded position belongs to is gone or was invalidated."""

    code = "SLOT_LOST"


class SlotAhead(OperatorError):
    """The replication slot stands beyond the recorded position: changes between the two would be missing."""

    code = "SLOT_AHEAD"


class TimelineForked(OperatorError):
    """The recorded position lies on a timeline that the server has left behind."""

    code = "TIMELINE_FORK"


class SystemChanged(OperatorError):
    """The server is not the one that the recorded position belongs to."""

    code = "SYSTEMID_CHANGED"


class PublicationChanged(OperatorError):
    """The publication is gone or does not hold what the configuration asks for."""

    code = "PUBLICATION_CHANGED"


class AuthFailed(OperatorError):
    """A password, certificate or privilege was refused."""

    code = "AUTH"


class PreflightFailed(OperatorError):
    """A check before the start found something that blocks."""

    code = "PREFLIGHT"


class Fenced(OperatorError):
    """A newer instance with the same name has taken over."""

    code = "TXN_FENCED"


class TopicMismatch(OperatorError):
    """A topic on the broker is not as declared."""

    code = "TOPIC_MISMATCH"


class ProtocolError(SeamError):
    """The server sent bytes that the replication protocol does not allow.

    Args:
        reason: What was expected there.
        tag: The message's tag byte as text (`I`, `U`, ...), or "" where none was read.
        offset: Where in the message, in bytes.
        length: The message's length in bytes.
    """

    code = "PROTOCOL"
    exit_code = 4

    def __init__(self, reason: str, *, tag: str = "", offset: int = 0, length: int = 0) -> None:
        self.reason = reason
        self.tag = tag
        self.offset = offset
        self.length = length
        super().__init__(f"message {tag!r}: {reason} at byte {offset} of {length}")


class RecordError(SeamError):
    """One record could not be carried.

    Args:
        message: What is wrong with it.
        stage: The step of the pipe that refused it (Connect's stage names where there is one).
        topic: Its topic, where known.
        table: `schema.table`, where known.
        position: Its position as text, where known.
    """

    code = "RECORD"
    exit_code = 4
    stage: str = ""

    def __init__(
        self,
        message: str,
        *,
        stage: str | None = None,
        topic: str | None = None,
        table: str | None = None,
        position: str | None = None,
        hint: str | None = None,
    ) -> None:
        if stage is not None:
            self.stage = stage
        self.reason = message
        self.topic = topic
        self.table = table
        self.position = position
        places = (("table", table), ("topic", topic), ("position", position))
        where = ", ".join(f"{name} {value}" for name, value in places if value)
        super().__init__(f"{message} ({where})" if where else message, hint=hint)


class DecodeError(RecordError):
    """A value that Postgres sent cannot be expressed as the configuration asks."""

    code = "POISON_VALUE"
    stage = "DECODE"


class TransformError(RecordError):
    """A transform refused a record.

    Args:
        message: What is wrong, without the row's values.
        topic: The record's topic before the chain, where known.
        table: `schema.table`, where known.
        position: The record's position as text, where known.
        java_class: The full name of the exception that the Java class throws there, for dead-letter headers.
        java_message: That exception's message, which may quote values.
        executing_class: The transform's class, as the configuration names it in full.
    """

    code = "TRANSFORM"
    stage = "TRANSFORMATION"

    def __init__(
        self,
        message: str,
        *,
        topic: str | None = None,
        table: str | None = None,
        position: str | None = None,
        hint: str | None = None,
        java_class: str | None = None,
        java_message: str | None = None,
        executing_class: str | None = None,
    ) -> None:
        self.executing_class = executing_class
        self.java_class = java_class
        self.java_message = java_message
        super().__init__(message, topic=topic, table=table, position=position, hint=hint)


class ConvertError(RecordError):
    """A converter refused a record."""

    code = "CONVERT"
    stage = "VALUE_CONVERTER"


class SendError(RecordError):
    """Kafka refused a record."""

    code = "SEND"
    stage = "KAFKA_PRODUCE"


class ConnectApiError(SeamError):
    """The Connect worker answered with an error.

    Args:
        message: The worker's text, shortened to its cause.
        status: The HTTP status.
        error_code: The `error_code` member of the answer, where there is one.
    """

    code = "CONNECT_API"
    exit_code = 4

    def __init__(
        self, message: str, *, status: int = 0, error_code: int | None = None, hint: str | None = None
    ) -> None:
        self.status = status
        self.error_code = error_code
        super().__init__(message, hint=hint)


class VerificationFailed(SeamError):
    """The two sides differ."""

    code = "VERIFICATION_FAILED"
    exit_code = 5


class WaitExpired(SeamError):
    """The awaited position was not reached in time."""

    code = "WAIT_EXPIRED"
    exit_code = 6
