"""`seam deadletter`: records that could not be carried, seen, mended, and sent again."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Annotated

import typer

from cdc.errors import ConfigError, Problem
from cdc.kafka.client import ClientOptions
from cdc.kafka.log import TopicLog
from cdc.versions import key_candidates
from connectors.console import STDOUT, Output, write_json, write_table
from connectors.log_commands import OutputOption, Servers, Topic, WorkerFile, kafka_of
from connectors.mending import Mended, compact, find_letter, read_letters, send_mended

Place = Annotated[str, typer.Argument(help="partition/offset, as `list` shows it.")]

app = typer.Typer(no_args_is_help=True, help="Records that could not be carried: list, show, replay.")


@app.command("list")
def list_letters(
    topic: Topic,
    table: Annotated[str | None, typer.Option("--table", help="Only of this schema.table.")] = None,
    bootstrap_servers: Servers = None,
    file: WorkerFile = None,
    output: OutputOption = Output.table,
) -> None:
    """What could not be carried, why, at which stage, and its position."""
    letters = [
        letter
        for letter in read_letters(kafka_of(bootstrap_servers, file), topic)
        if table is None or letter.table == table
    ]
    if output is Output.json:
        write_json({"topic": topic, "letters": [letter.as_json() for letter in letters]})
        return
    write_table(
        topic,
        ("place", "time", "table", "stage", "position", "message"),
        [
            (
                letter.place,
                dt.datetime.fromtimestamp(letter.record.timestamp / 1000, dt.UTC).isoformat(timespec="seconds"),
                letter.table, letter.stage, letter.position, letter.message,
            )
            for letter in letters
        ],
    )  # fmt: skip


@app.command()
def show(
    topic: Topic,
    place: Place,
    bootstrap_servers: Servers = None,
    file: WorkerFile = None,
    output: OutputOption = Output.table,
) -> None:
    """One dead letter with its headers and its value: the message as Postgres sent it, or the record's value."""
    shown = find_letter(kafka_of(bootstrap_servers, file), topic, place).shown()
    if output is Output.json:
        write_json(shown)
        return
    headers = shown.pop("headers")
    write_table(f"{topic} {place}", ("what", "value"), [*shown.items(), *headers.items()])


@app.command()
def replay(
    topic: Topic,
    place: Place,
    key: Annotated[str, typer.Option("--key", help="JSON of the key, or the value of its only field.")],
    value: Annotated[
        Path | None, typer.Option("--value", help="A file with the mended value as JSON; - for standard input.")
    ] = None,
    tombstone: Annotated[bool, typer.Option("--tombstone", help="Send a tombstone in its place.")] = False,
    into: Annotated[
        str | None, typer.Option("--into", help="The topic, where the dead letter does not tell it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Even though the key has a later version.")] = False,
    bootstrap_servers: Servers = None,
    file: WorkerFile = None,
    output: OutputOption = Output.table,
) -> None:
    """Send a mended record to its topic, with the position that it was to have.

    Refused when the key has a later version: readers would take the older one for the newest.
    """
    options = kafka_of(bootstrap_servers, file)
    if (value is None) == (not tombstone):
        raise ConfigError([Problem("--value", "give a file, or say --tombstone; one of the two")])
    letter = find_letter(options, topic, place)
    target = into or letter.topic
    if not target:
        raise ConfigError([Problem("--into", "is needed: the dead letter does not tell its topic")])
    text = None
    if value is not None:
        text = compact(sys.stdin.buffer.read() if str(value) == "-" else value.read_bytes(), "--value")
    sent = send_mended(options, letter, Mended(target, _key(options, target, key), text), force=force)
    document = {"topic": target, "partition": sent.partition, "offset": sent.offset, "position": letter.position}
    if output is Output.json:
        write_json(document)
    else:
        STDOUT.print(f"written to {target}/{sent.partition} at offset {sent.offset}, position {letter.position}")


def _key(options: ClientOptions, topic: str, text: str) -> bytes:
    """The key's bytes in the form of the topic's keys."""
    log = TopicLog(options, topic)
    try:
        for partition in log.partitions:
            low, high = log.bounds(partition)
            if high > low:
                sample = next((record.key for record in log.read({partition: low}) if record.key is not None), None)
                return key_candidates(text, sample)[0]
    finally:
        log.close()
    return key_candidates(text, None)[0]
