"""`seam log`: a topic as an event store. Each version of a key, the tail, copies, and groups set back."""

from __future__ import annotations

import datetime as dt
import importlib
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.markup import escape

from cdc.errors import ConfigError, OperatorError, Problem, TopicMismatch, VerificationFailed
from cdc.kafka.admin import Admin
from cdc.kafka.client import ClientOptions, client_options
from cdc.kafka.log import Copier, TopicLog, group_offsets, group_state, set_group_offsets
from cdc.lsn import LSN
from cdc.partitioner import partition_of
from cdc.properties import load, resolve
from cdc.versions import History, LogRecord, Upcast, Version, as_of, key_candidates
from connectors.console import STDERR, STDOUT, Output, write_json, write_table
from connectors.latest_check import check_latest, repair_latest
from connectors.pipeline import failpoint_from_environment
from connectors.topic_forms import LATEST_SUFFIX, ensure_latest, mend

Servers = Annotated[
    str | None,
    typer.Option("--bootstrap-servers", envvar="SEAM_BOOTSTRAP_SERVERS", help="Kafka brokers, host:port,..."),
]
WorkerFile = Annotated[
    Path | None, typer.Option("--file", help="A seam.toml whose \\[worker] names brokers and security options.")
]
OutputOption = Annotated[Output, typer.Option("--output", help="A table for people or JSON for programs.")]
Topic = Annotated[str, typer.Argument(help="The topic.")]

app = typer.Typer(no_args_is_help=True, help="The topic as an event store: audit, tail, copy, latest, rewind.")


def kafka_of(servers: str | None, file: Path | None) -> ClientOptions:
    """How Kafka is reached, from the option or from `[worker]` of a file.

    Raises:
        ConfigError: Neither names brokers.
    """
    worker: Mapping[str, str] = resolve(load(file).worker) if file is not None else {}
    found = servers or worker.get("bootstrap.servers")
    if not found:
        raise ConfigError(
            [Problem("--bootstrap-servers", "is not given, and no --file with a [worker] that names brokers is")]
        )
    security = {
        f"kafka.{name}": value for name, value in worker.items() if name.startswith(("security.", "sasl.", "ssl."))
    }
    return client_options(found, security, prefix="kafka.")


def parse_time(text: str) -> int:
    """Milliseconds since the Unix epoch of an ISO 8601 time (UTC where it names no zone) or of digits.

    Raises:
        ConfigError: It is neither.
    """
    if text.isdigit():
        return int(text)
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError([Problem(text, "is neither an ISO 8601 time nor milliseconds")]) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000)


def load_upcasters(specs: list[str] | None) -> dict[tuple[str, int], Upcast]:
    """Upcasters by what they take: `SCHEMA:VERSION=package.module:function`.

    Raises:
        ConfigError: One that cannot be read or imported.
    """
    found: dict[tuple[str, int], Upcast] = {}
    problems = []
    for spec in specs or ():
        what, _, where = spec.partition("=")
        name, _, version = what.rpartition(":")
        module, _, function = where.partition(":")
        if not version.isdigit() or not module or not function:
            problems.append(Problem(f"--upcast {spec}", "is not SCHEMA:VERSION=package.module:function"))
            continue
        sys.path.insert(0, str(Path.cwd()))
        try:
            found[name, int(version)] = getattr(importlib.import_module(module), function)
        except (ImportError, AttributeError) as error:
            problems.append(Problem(f"--upcast {spec}", str(error)))
        finally:
            sys.path.pop(0)
    if problems:
        raise ConfigError(problems)
    return found


@app.command()
def audit(
    topic: Topic,
    key: Annotated[str, typer.Option("--key", help="JSON of the key, or the value of its only field.")],
    as_of_time: Annotated[str | None, typer.Option("--as-of", help="Only the version of that time.")] = None,
    upcast: Annotated[
        list[str] | None, typer.Option("--upcast", help="SCHEMA:VERSION=package.module:function.")
    ] = None,
    bootstrap_servers: Servers = None,
    file: WorkerFile = None,
    output: OutputOption = Output.table,
) -> None:
    """Every version of a key: position, time, transaction, and what it changed. Reads the key's partition only."""
    moment = None if as_of_time is None else parse_time(as_of_time)
    history = History(load_upcasters(upcast))
    log = TopicLog(kafka_of(bootstrap_servers, file), topic)
    try:
        wanted, partition, records = _find(log, key)
        low, _ = log.bounds(partition)
        versions = _versions(history, records)
    finally:
        log.close()
    if not versions:
        raise ConfigError(
            f"topic {topic} holds no record with key {wanted.decode('utf-8', 'replace')} in partition {partition}"
        )
    complete = low == 0
    if moment is not None:
        found = as_of(versions, moment)
        versions = [found] if found is not None else []
    document = {
        "topic": topic, "partition": partition, "key": wanted.decode("utf-8", "replace"), "complete": complete,
        "versions": [version.as_json() for version in versions],
    }  # fmt: skip
    if output is Output.json:
        write_json(document)
        return
    write_table(
        f"{document['key']} in {topic}/{partition}",
        ("offset", "time", "what", "transaction", "position", "changed"),
        [_row(version) for version in versions],
    )
    if not complete:
        STDERR.print(f"the topic no longer holds the beginning: it starts at offset {low} of partition {partition}")


def _versions(history: History, records: list[LogRecord]) -> list[Version]:
    versions = []
    for record in records:
        try:
            versions.append(history.add(record))
        except ValueError as error:
            raise ConfigError(
                f"the value at {record.topic}/{record.partition} offset {record.offset} is not JSON, as an Avro converter "
                "writes it: versions of it cannot be compared"
            ) from error
    return versions


def _row(version: Version) -> tuple[Any, ...]:
    time = dt.datetime.fromtimestamp(version.time / 1000, dt.UTC).isoformat(timespec="milliseconds")
    changed = ", ".join(
        f"{name}: {_text(before)} → {_text(after)}" if before is not None else f"{name}: {_text(after)}"
        for name, (before, after) in version.changed.items()
    )
    return version.record.offset, time, version.operation, version.transaction, version.position, changed


def _text(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 40 else text[:39] + "…"


def _find(log: TopicLog, key: str) -> tuple[bytes, int, list[LogRecord]]:
    """The key's bytes, its partition, and its records; the form of the topic's keys is learnt from its first one."""
    sample: bytes | None = None
    for partition in log.partitions:
        low, high = log.bounds(partition)
        if high > low:
            sample = next((record.key for record in log.read({partition: low}) if record.key is not None), None)
            break
    best: tuple[bytes, int, list[LogRecord]] | None = None
    for candidate in key_candidates(key, sample):
        partition = log.partitions[partition_of(candidate, len(log.partitions))]
        records = list(log.read({partition: log.bounds(partition)[0]}, key=candidate))
        if records:
            return candidate, partition, records
        best = best or (candidate, partition, records)
    assert best is not None
    return best


@app.command()
def tail(
    topic: Topic,
    since: Annotated[str, typer.Option("--from", help="beginning, end, or an ISO 8601 time.")] = "end",
    where: Annotated[list[str] | None, typer.Option("--where", help="field=value of the row; may repeat.")] = None,
    op: Annotated[str | None, typer.Option("--op", help="Only these operations, as cud.")] = None,
    most: Annotated[int, typer.Option("--max", help="End after so many; 0 for any number.")] = 0,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Wait for new records.")] = True,
    bootstrap_servers: Servers = None,
    file: WorkerFile = None,
    output: OutputOption = Output.table,
) -> None:
    """Records as they arrive; with JSON one line each."""
    log = TopicLog(kafka_of(bootstrap_servers, file), topic)
    conditions = [condition.partition("=")[::2] for condition in where or ()]
    shown = 0
    try:
        if since in ("beginning", "end"):
            starts = {p: log.bounds(p)[0 if since == "beginning" else 1] for p in log.partitions}
        else:
            moment = parse_time(since)
            starts = {p: log.offset_at(p, moment) for p in log.partitions}
        for record in log.read(starts, follow=(lambda: True) if follow else None):
            version = History().add(record) if _is_json(record) else None
            if not _matches(version, conditions, op):
                continue
            _show(record, version, output)
            shown += 1
            if most and shown >= most:
                return
    except KeyboardInterrupt:
        return
    finally:
        log.close()


def _is_json(record: LogRecord) -> bool:
    if record.value is None:
        return True
    try:
        orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return False
    return True


def _matches(version: Version | None, conditions: list[Any], op: str | None) -> bool:
    if op is not None and (version is None or version.operation[:1] not in op):
        return False
    if not conditions:
        return True
    row = (version.row if version else None) or {}
    return all(str(row.get(name)) == value for name, value in conditions)


def _show(record: LogRecord, version: Version | None, output: Output) -> None:
    key = None if record.key is None else record.key.decode("utf-8", "replace")
    if output is Output.json:
        body = version.as_json() if version else {"offset": record.offset, "partition": record.partition}
        sys.stdout.write(orjson.dumps({"key": key, **body}).decode() + "\n")
        sys.stdout.flush()
        return
    row = (version.row if version else None) or {}
    fields = "  ".join(f"[dim]{escape(name)}[/]={escape(_text(value))}" for name, value in row.items())
    STDOUT.print(
        f"{record.partition}/{record.offset} [bold]{version.operation if version else 'bytes'}[/] {escape(key or '')} {fields}"
    )


@app.command()
def copy(
    topic: Topic,
    target: Annotated[str | None, typer.Argument(help="The new topic; left out with --latest.")] = None,
    latest: Annotated[
        bool, typer.Option("--latest", help="Keep the compacted TOPIC.latest in step, exactly once.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until interrupted.")] = False,
    upcast: Annotated[
        list[str] | None, typer.Option("--upcast", help="SCHEMA:VERSION=package.module:function.")
    ] = None,
    bootstrap_servers: Servers = None,
    file: WorkerFile = None,
    output: OutputOption = Output.table,
) -> None:
    """Copy a history topic into another one, exactly once; old event versions are brought up to date on the way."""
    if latest == (target is not None):
        raise ConfigError([Problem("TARGET", "name a target, or say --latest, not both and not neither")])
    options = kafka_of(bootstrap_servers, file)
    into = target or topic + LATEST_SUFFIX
    admin = Admin(options)
    create_copy(admin, topic, into, compacted=latest)
    upcasters = load_upcasters(upcast)
    copier = Copier(
        options, topic, into, group=f"seam-copy-{into}", change=change_of(upcasters, keyed=latest),
        failpoint=failpoint_from_environment(),
    )  # fmt: skip
    try:
        count = copier.run(lambda: False, to_end=not follow)
    except KeyboardInterrupt:
        count = -1
    finally:
        copier.close()
    if output is Output.json:
        write_json({"source": topic, "target": into, "copied": count})
    elif count >= 0:
        STDOUT.print(f"{count} records copied from {topic} to {into}")


def create_copy(admin: Admin, topic: str, into: str, *, compacted: bool) -> None:
    """The topic that is copied into: created like its source, or checked.

    Raises:
        ConfigError: There is no source.
        TopicMismatch: The target has a policy that does not fit its role.
    """
    known = admin.partitions()
    if topic not in known:
        raise ConfigError(f"there is no topic {topic!r} at {admin.options.bootstrap_servers}")
    if compacted:
        ensure_latest(admin, topic, into)
    elif into not in known:
        config = {"cleanup.policy": "delete", "retention.ms": "-1"}
        admin.create(into, partitions=known[topic], replication=-1, config=config)
    elif "compact" in (policy := admin.configs([into])[into].get("cleanup.policy") or ""):
        raise TopicMismatch(
            f"topic {into} has cleanup.policy={policy}: a copy of a history keeps every version",
            hint=mend(into, "delete"),
        )


def change_of(
    upcasters: Mapping[tuple[str, int], Upcast], *, keyed: bool = False
) -> Callable[[LogRecord], tuple[bytes | None, bytes | None] | None]:
    """What a copy makes of a record.

    Args:
        upcasters: Bring old event versions up to date.
        keyed: Leave out records without a key, which a compacted topic does not take.
    """
    history = History(upcasters)

    def change(record: LogRecord) -> tuple[bytes | None, bytes | None] | None:
        if keyed and record.key is None:
            return None
        if record.value is None or not upcasters:
            return record.key, record.value
        return record.key, history.upcast_document(record.value)

    return change


@app.command("latest")
def latest(
    topic: Topic,
    repair: Annotated[bool, typer.Option("--repair", help="Write the missing or wrong records again.")] = False,
    every: Annotated[
        float | None,
        typer.Option("--every", min=0.0, help="Check again after so many seconds, until there is a difference."),
    ] = None,
    bootstrap_servers: Servers = None,
    file: WorkerFile = None,
    output: OutputOption = Output.table,
) -> None:
    """Check that TOPIC.latest holds the last record of each key of TOPIC, at one cut."""
    options = kafka_of(bootstrap_servers, file)
    found = repair_latest(options, topic) if repair else check_latest(options, topic)
    while every is not None and not found.wrong and not found.ahead:
        STDERR.print(f"{topic}: {found.keys} keys, no difference")
        time.sleep(every)
        found = repair_latest(options, topic) if repair else check_latest(options, topic)
    if output is Output.json:
        write_json(found.as_json())
    else:
        STDOUT.print(
            f"{found.keys} keys: {len(found.wrong)} wrong, {len(found.ahead)} ahead of the history, {found.repaired} repaired"
        )
    if found.wrong or found.ahead:
        raise VerificationFailed(
            f"{topic}{LATEST_SUFFIX} is not the latest of {topic}", hint=f"seam log latest {topic} --repair"
        )


@app.command()
def rewind(
    group: Annotated[str, typer.Argument(help="The consumer group.")],
    to: Annotated[str, typer.Option("--to", help="beginning, end, an offset, an ISO 8601 time, or an LSN.")],
    topic: Annotated[list[str] | None, typer.Option("--topic", help="Only this topic; may repeat.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without it only what would be done is shown.")] = False,
    bootstrap_servers: Servers = None,
    file: WorkerFile = None,
    output: OutputOption = Output.table,
) -> None:
    """Set a consumer group back, or forward. Without --yes nothing is changed; a group with members is refused."""
    options = kafka_of(bootstrap_servers, file)
    admin = Admin(options)
    state, members = group_state(admin, group)
    committed = group_offsets(admin, group)
    topics = topic or sorted({name for name, _ in committed})
    if not topics:
        raise ConfigError(f"group {group} has committed nothing; name a topic with --topic")
    moves: dict[tuple[str, int], int] = {}
    for name in topics:
        log = TopicLog(options, name)
        try:
            for partition in log.partitions:
                moves[name, partition] = _target(log, partition, to)
        finally:
            log.close()
    rows = [
        {"topic": name, "partition": partition, "from": _offset(committed.get((name, partition))), "to": offset}
        for (name, partition), offset in sorted(moves.items())
    ]
    if members:
        raise OperatorError(
            f"group {group} is {state} with {members} members, which would overwrite its offsets",
            hint="stop them first",
        )
    if yes:
        set_group_offsets(admin, group, moves)
    if output is Output.json:
        write_json({"group": group, "done": yes, "moves": rows})
        return
    write_table(f"group {group}", ("topic", "partition", "from", "to"), [tuple(row.values()) for row in rows])
    STDOUT.print("done" if yes else "nothing was changed; --yes does it")


def _offset(committed: int | None) -> int | None:
    """A committed offset; below zero stand librdkafka's words for none."""
    return committed if committed is not None and committed >= 0 else None


def _target(log: TopicLog, partition: int, to: str) -> int:
    low, high = log.bounds(partition)
    if to == "beginning":
        return low
    if to == "end":
        return high
    if to.isdigit():
        return min(max(int(to), low), high)
    try:
        lsn = LSN.parse(to)
    except ValueError:
        return log.offset_at(partition, parse_time(to))
    for record in log.read({partition: low}):
        if (found := _lsn_of(record)) is not None and found >= lsn:
            return record.offset
    return high


def _lsn_of(record: LogRecord) -> int | None:
    """The commit LSN of a record's position header, else the LSN of its source block."""
    position = record.header("seam.position")
    if position is not None:
        parts = position.split("/")
        return LSN.parse(f"{parts[2]}/{parts[3]}") if len(parts) == 5 else None
    if record.value is None:
        return None
    try:
        document = orjson.loads(record.value)
    except orjson.JSONDecodeError:
        return None
    value = document.get("payload", document) if isinstance(document, dict) else {}
    return (value.get("source") or {}).get("lsn") if isinstance(value, dict) else None
