"""Reads the Dockerfile: which stages a target needs, and which files of the repository those stages copy.

Docker's classic builder runs every stage that stands above the target, needed or not, so the builder is given a
Dockerfile cut down to the target. The copied files are what a target's tag is a hash of: as both come from the
Dockerfile itself, neither can drift from it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_FROM = re.compile(r"FROM\s+(?P<base>\S+)(?:\s+AS\s+(?P<name>\S+))?", re.IGNORECASE)


class DockerfileError(Exception):
    """The Dockerfile uses something that this reader, or the classic builder, does not know."""


@dataclass(frozen=True)
class Stage:
    name: str
    text: str
    needs: frozenset[str]
    """What it is built on or copies from: other stages, or images."""
    sources: frozenset[str]
    """Paths of the build context that it copies."""


@dataclass
class _Open:
    """A stage while its instructions are being read."""

    name: str
    needs: set[str]
    lines: list[str] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)

    def close(self) -> Stage:
        return Stage(self.name, "\n".join(self.lines) + "\n", frozenset(self.needs), frozenset(self.sources))


@dataclass(frozen=True)
class Dockerfile:
    preamble: str
    """Global ARG lines above the first stage."""
    stages: tuple[Stage, ...]

    def needed_by(self, target: str) -> tuple[Stage, ...]:
        """The target and all it rests on, in the order of the file."""
        by_name = {stage.name: stage for stage in self.stages}
        if target not in by_name:
            raise DockerfileError(f"the Dockerfile has no stage {target!r}: it has {', '.join(by_name)}")
        wanted, queue = set[str](), [target]
        while queue:
            name = queue.pop()
            if name in by_name and name not in wanted:
                wanted.add(name)
                queue.extend(by_name[name].needs)
        return tuple(stage for stage in self.stages if stage.name in wanted)

    def cut(self, target: str) -> str:
        """A Dockerfile that holds the stages of one target and nothing else."""
        return self.preamble + "".join(stage.text for stage in self.needed_by(target))

    def sources(self, target: str) -> tuple[str, ...]:
        """Paths of the build context that end, in some form, in the target's image."""
        return tuple(sorted({source for stage in self.needed_by(target) for source in stage.sources}))


def parse(text: str) -> Dockerfile:
    """Read a Dockerfile in the classic syntax.

    Raises:
        DockerfileError: a stage has no name, or COPY is in its JSON or heredoc form.
    """
    preamble: list[str] = []
    stages: list[_Open] = []
    for instruction in _instructions(text.splitlines()):
        head = instruction[0].lstrip()
        if started := _FROM.match(head):
            if not started["name"]:
                raise DockerfileError(f"give the stage a name (`FROM x AS name`): {head}")
            stages.append(_Open(started["name"], {started["base"]}))
        if not stages:
            preamble.extend(line for line in instruction if not line.lstrip().startswith("#"))
            continue
        stages[-1].lines.extend(instruction)
        if head.upper().startswith(("COPY ", "ADD ")):
            _read_copy(" ".join(line.rstrip("\\") for line in instruction), stages[-1])
    return Dockerfile("\n".join([*preamble, ""]), tuple(stage.close() for stage in stages))


def _instructions(lines: Iterable[str]) -> Iterable[list[str]]:
    """Instructions with their continuation lines; comments and empty lines are dropped: they decide nothing."""
    current: list[str] = []
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        current.append(line)
        if not line.rstrip().endswith("\\"):
            yield current
            current = []
    if current:
        yield current


def _read_copy(instruction: str, stage: _Open) -> None:
    words = instruction.split()[1:]
    if "<<" in instruction or any(word.startswith("[") for word in words):
        raise DockerfileError(f"use the plain form `COPY from... to`: {instruction}")
    flags = [word for word in words if word.startswith("--")]
    paths = [word for word in words if not word.startswith("--")]
    origin = next((flag.removeprefix("--from=") for flag in flags if flag.startswith("--from=")), None)
    if origin:
        stage.needs.add(origin)
    else:
        stage.sources.update(paths[:-1])
