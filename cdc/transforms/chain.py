"""A connector's chain of transforms: built once with every problem at once, then run per record.

The rules are those of Connect's `ConnectorConfig.transformationStages` and `TransformationChain`: order as listed,
`predicate` and `negate`, null drops the record.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Final

from cdc.errors import ConfigError, Problem, TransformError
from cdc.model.javaerrors import JavaError
from cdc.model.record import SourceRecord
from cdc.report import Finding, Severity
from cdc.transforms.base import NOTHING, Parts, PartTransform, Predicate, Surroundings, Transform, with_key, with_value
from cdc.transforms.configdef import ConfigDef, JavaProblem, Kind, parse_type, problem_of, trim
from cdc.transforms.debezium.new_record_state import ExtractNewRecordState, Unwrap
from cdc.transforms.native.python_transform import PREFIX, PythonTransform
from cdc.transforms.native.reference import ReferenceReader

_STEP_OPTIONS: Final = frozenset({"type", "predicate", "negate", "plugin.version"})


@dataclass(frozen=True, slots=True)
class Step:
    """One transform of a chain, with the condition under which it is applied.

    Attributes:
        alias: Its name in the configuration.
        transform: What it does.
        predicate: The condition, or None.
        negate: Whether the condition is turned round.
    """

    alias: str
    transform: Transform
    predicate: Predicate | None = None
    negate: bool = False

    @property
    def reads(self) -> Parts:
        """The parts of a record that the step looks at."""
        return self.transform.reads | (NOTHING if self.predicate is None else self.predicate.reads)

    def applies(self, record: SourceRecord) -> bool:
        """Whether the record is given to the transform."""
        return self.predicate is None or self.negate ^ self.predicate.test(record)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step made of a record, for `--explain`.

    Attributes:
        step: The step.
        applied: Whether its condition let the record through to it.
        records: What came out; empty where it was dropped.
    """

    step: Step
    applied: bool
    records: tuple[SourceRecord, ...]


class Chain:
    """A composed chain.

    Args:
        steps: In order.
        findings: What is worth saying about the configuration.

    Attributes:
        steps: In order.
        findings: What is worth saying about the configuration: options that no class knows, which Connect ignores.
        reads: Every part of a record that a step looks at. Where neither "key" nor "value" is among them, the caller
            may hand in any stand-in for them that is not None, and they come out as they went in.
    """

    def __init__(self, steps: Sequence[Step], findings: Sequence[Finding] = ()) -> None:
        self.steps = tuple(steps)
        self.findings = tuple(findings)
        self.reads: Parts = frozenset().union(*[step.reads for step in self.steps])
        self._several = any(step.transform.several for step in self.steps)
        self._runs = [link.run for link in _links(self.steps)]

    @property
    def native_only(self) -> tuple[str, ...]:
        """The aliases of steps that a Connect worker does not have."""
        return tuple(step.alias for step in self.steps if step.transform.native_only)

    @property
    def needs_reader(self) -> bool:
        """Whether `open` must be called with a reader of topics before the first record."""
        return any(step.transform.needs_reader for step in self.steps)

    def learn(self, facts: Mapping[str, str]) -> None:
        """Tell the steps what is known of the source now that it is reached.

        Args:
            facts: Names of `seam.transforms.InsertSource` -> texts.
        """
        for step in self.steps:
            step.transform.learn(facts)

    def open(self, reader: ReferenceReader) -> None:
        """Read what steps need before the first record: reference topics, to their ends.

        Args:
            reader: Reads topics.

        Raises:
            OperatorError: A reference topic does not fit into its bound, or cannot be read as one.
        """
        for step in self.steps:
            if step.transform.needs_reader:
                step.transform.open(reader)

    @property
    def unwrap(self) -> Unwrap | None:
        """Set where the chain is exactly one ExtractNewRecordState that the renderer can carry out by itself."""
        if len(self.steps) != 1 or self.steps[0].predicate is not None:
            return None
        only = self.steps[0].transform
        return only.unwrap if isinstance(only, ExtractNewRecordState) else None

    def apply(self, record: SourceRecord) -> list[SourceRecord]:
        """The records that come out; none where one is dropped.

        Raises:
            TransformError: A step refused the record.
        """
        if self._several:
            return self._apply_all(record)
        current = record
        for run in self._runs:
            following = run(current)
            if following is None:
                return []
            current = following
        return [current]

    def _apply_all(self, record: SourceRecord) -> list[SourceRecord]:
        current = [record]
        for step in self.steps:
            current = [outcome for given in current for outcome in _outcomes(step, given)[1]]
        return current

    def explain(self, record: SourceRecord) -> Iterator[Outcome]:
        """What each step makes of the record, one after the other; ends with the step that drops it.

        Raises:
            TransformError: A step refused the record.
        """
        current: Sequence[SourceRecord] = (record,)
        for step in self.steps:
            outcomes = [_outcomes(step, given) for given in current]
            current = tuple(made for _, records in outcomes for made in records)
            yield Outcome(step, any(applied for applied, _ in outcomes), current)
            if not current:
                return


def _outcomes(step: Step, record: SourceRecord) -> tuple[bool, list[SourceRecord]]:
    """Whether the step was applied, and what came out."""
    try:
        applied = step.applies(record)
        return applied, step.transform.apply_all(record) if applied else [record]
    except JavaError as error:
        raise _refused(step, record, error) from error


class _Link:
    """One step, run by itself."""

    __slots__ = ("_apply", "_step")

    def __init__(self, step: Step) -> None:
        self._step = step
        self._apply = step.transform.apply

    def run(self, record: SourceRecord) -> SourceRecord | None:
        step = self._step
        try:
            if step.predicate is None or step.negate ^ step.predicate.test(record):
                return self._apply(record)
        except JavaError as error:
            raise _refused(step, record, error) from error
        return record


class _PartLink:
    """Neighbouring unconditional steps on one part: schema and value run through, one record is built at the end."""

    __slots__ = ("_converters", "_is_value", "_steps")

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps
        transforms = [step.transform for step in steps if isinstance(step.transform, PartTransform)]
        self._converters = [transform.convert for transform in transforms]
        self._is_value = transforms[0].part == "value"

    def run(self, record: SourceRecord) -> SourceRecord:
        schema, value = (record.value_schema, record.value) if self._is_value else (record.key_schema, record.key)
        at = 0
        try:
            for at, convert in enumerate(self._converters):  # noqa: B007 - names the step that failed
                schema, value = convert(record, schema, value)
        except JavaError as error:
            raise _refused(self._steps[at], record, error) from error
        return with_value(record, schema, value) if self._is_value else with_key(record, schema, value)


def _links(steps: Sequence[Step]) -> list[_Link | _PartLink]:
    links: list[_Link | _PartLink] = []
    run: list[Step] = []

    def close() -> None:
        if run:
            links.append(_PartLink(list(run)) if len(run) > 1 else _Link(run[0]))
            run.clear()

    for step in steps:
        transform = step.transform
        if step.predicate is not None or not isinstance(transform, PartTransform) or not transform.joinable:
            close()
            links.append(_Link(step))
            continue
        if run and isinstance(run[-1].transform, PartTransform) and run[-1].transform.part != transform.part:
            close()
        run.append(step)
    close()
    return links


def _refused(step: Step, record: SourceRecord, error: JavaError) -> TransformError:
    return TransformError(
        f"the transform {step.alias!r} ({step.transform.java_name}) refused a record: {error.java_class}: {error.shown}",
        topic=record.topic, java_class=error.qualified_class, java_message=error.message,
        executing_class=step.transform.java_name,
    )  # fmt: skip


def compile_chain(properties: Mapping[str, str], surroundings: Surroundings | None = None) -> Chain:
    """Build the chain of a connector's configuration.

    Args:
        properties: The connector's properties, secrets resolved.
        surroundings: What transforms may know beside their options.

    Raises:
        ConfigError: Every problem of every transform and predicate; each is a `JavaProblem` where a worker has one too.
    """
    return _Builder(properties, surroundings or Surroundings()).build()


def _registry() -> ModuleType:
    """All transforms that there are; a pipeline without a chain neither waits for nor carries them."""
    from cdc.transforms import registry

    return registry


class _Builder:
    def __init__(self, properties: Mapping[str, str], surroundings: Surroundings) -> None:
        self.properties = properties
        self.surroundings = surroundings
        self.parsing: list[Problem] = []  # what a worker finds while it parses, all before
        self.configuring: list[Problem] = []  # what it finds while it configures one transform after the other
        self.findings: list[Finding] = []

    def build(self) -> Chain:
        aliases = self._aliases("transforms")
        predicates = self._aliases("predicates")
        steps = [step for alias in aliases if (step := self._step(alias, predicates)) is not None]
        for alias in predicates:
            self._predicate(alias, used=False)
        problems = self._distinct()
        if problems:
            raise ConfigError(problems)
        return Chain(steps, self.findings)

    def _distinct(self) -> list[Problem]:
        return list(dict.fromkeys([*self.parsing, *self.configuring]))

    def _aliases(self, option: str) -> list[str]:
        aliases: list[str] = parse_type(option, self.properties.get(option, ""), Kind.LIST)
        if len(set(aliases)) != len(aliases):
            self.parsing.append(
                JavaProblem(
                    option, "an alias stands twice", (), "ConfigException",
                    f"Invalid value [{', '.join(aliases)}] for configuration {option}: Duplicate alias provided.",
                )
            )  # fmt: skip
        return list(dict.fromkeys(aliases))

    def _under(self, prefix: str) -> dict[str, str]:
        return {name[len(prefix) :]: text for name, text in self.properties.items() if name.startswith(prefix)}

    def _step(self, alias: str, predicates: Sequence[str]) -> Step | None:
        prefix = f"transforms.{alias}."
        texts = self._under(prefix)
        name = trim(texts.get("type", ""))
        if not name:
            self._wrong(f"{prefix}type", f"Invalid value null for configuration {prefix}type: Not a Transformation")
            return None
        transform = self._transform(name, texts, prefix)
        negate, predicate = False, None
        if "negate" in texts:
            try:
                negate = parse_type(f"{prefix}negate", texts["negate"], Kind.BOOLEAN)
            except JavaError as error:
                self.parsing.append(problem_of(error, f"{prefix}negate"))
            if "predicate" not in texts:
                self._wrong(
                    f"{prefix}negate",
                    f"Config '{prefix}negate' was provided but there is no config '{prefix}predicate' defining a "
                    "predicate to be negated.",
                )
        if "predicate" in texts:
            chosen = texts["predicate"]
            if chosen not in predicates:
                self.configuring.append(
                    JavaProblem(
                        f"{prefix}predicate", f"there is no predicate {chosen!r} in the option predicates", (),
                        "ConfigException", f"Unknown configuration 'predicates.{chosen}.plugin.version'",
                    )
                )  # fmt: skip
            else:
                predicate = self._predicate(chosen, used=True)
        return None if transform is None else Step(alias, transform, predicate, negate)

    def _predicate(self, alias: str, *, used: bool) -> Predicate | None:
        prefix = f"predicates.{alias}."
        texts = self._under(prefix)
        name = trim(texts.get("type", ""))
        if not name:
            self._wrong(f"{prefix}type", f"Invalid value null for configuration {prefix}type: Not a Predicate")
            return None
        registry = _registry()
        found: type[Predicate] | None = registry.PREDICATES.get(name)
        if found is None:
            self._unknown(f"{prefix}type", name, registry.nearest(name, registry.PREDICATES))
            return None
        self._note_unknown(found.config, texts, prefix)
        values, problems = found.config.parse(texts, prefix)
        self.parsing += problems
        if problems or not used:
            return None
        return found(values, self.surroundings)

    def _transform(self, name: str, texts: dict[str, str], prefix: str) -> Transform | None:
        """The step's transform; None where something is wrong with it, which is noted."""
        if name.startswith(PREFIX):
            return self._python(name, texts, prefix)
        registry = _registry()
        found: type[Transform] | None = registry.TRANSFORMS.get(name)
        if found is not None:
            return self._made(found, texts, prefix)
        if name in registry.REFUSED:
            self.parsing.append(Problem(f"{prefix}type", f"{name} is not carried out here: {registry.REFUSED[name]}"))
        else:
            self._unknown(f"{prefix}type", name, registry.nearest(name, registry.TRANSFORMS))
        return None

    def _python(self, name: str, texts: dict[str, str], prefix: str) -> Transform | None:
        own = {option: text for option, text in texts.items() if option not in ("type", "predicate", "negate")}
        try:
            return PythonTransform(name.removeprefix(PREFIX), own, self.surroundings)
        except JavaError as error:
            self.configuring.append(Problem(f"{prefix}type", error.shown))
            return None

    def _made(self, found: type[Transform], texts: dict[str, str], prefix: str) -> Transform | None:
        self._note_unknown(found.config, texts, prefix)
        values, problems = found.config.parse(texts, prefix)
        self.parsing += problems
        if problems:
            return None
        late = found.config.late_problems(texts, prefix)
        self.configuring += late
        if late:
            return None
        try:
            return found(values, self.surroundings, texts)
        except JavaError as error:
            self.configuring.append(problem_of(error, prefix.rstrip(".")))
            return None

    def _note_unknown(self, config: ConfigDef, texts: Mapping[str, str], prefix: str) -> None:
        for name in texts:
            if name in config.names or name in _STEP_OPTIONS:
                continue
            meant = difflib.get_close_matches(name, config.names, n=1, cutoff=0.7)
            self.findings.append(
                Finding(
                    "TRANSFORM_OPTION_UNKNOWN", Severity.WARNING, prefix + name,
                    "the class has no such option; Connect ignores it without a word, and so does this engine",
                    f"did you mean {prefix}{meant[0]}?" if meant else f"take {prefix}{name} out",
                )
            )  # fmt: skip

    def _wrong(self, key: str, java_message: str) -> None:
        self.parsing.append(JavaProblem(key, java_message, (), "ConfigException", java_message))

    def _unknown(self, key: str, name: str, meant: tuple[str, ...]) -> None:
        self.parsing.append(
            JavaProblem(
                key, f"there is no class {name!r} here", meant, "ConfigException",
                f"Invalid value {name} for configuration {key}: Class {name} could not be found.",
            )
        )  # fmt: skip
