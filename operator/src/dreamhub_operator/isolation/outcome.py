"""What probes came to. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Family = Literal["sql", "redis", "s3", "api", "network"]


@dataclass(frozen=True, slots=True)
class Blocked:
    """The wall held."""


@dataclass(frozen=True, slots=True)
class Leaked:
    """It got through."""

    what: str


@dataclass(frozen=True, slots=True)
class Inconclusive:
    """Nobody knows: what was needed to ask did not answer."""

    why: str


Outcome = Blocked | Leaked | Inconclusive


@dataclass(frozen=True, slots=True)
class Probe:
    """One attempt. `name` says who tried what, for people."""

    family: Family
    name: str
    outcome: Outcome


Verdict = Literal["Verified", "Failed", "Inconclusive"]


@dataclass(frozen=True, slots=True)
class Tally:
    """What a round came to."""

    verdict: Verdict
    probes: int
    failed: int
    failed_by_family: dict[Family, int]
    detail: str
    """The first that got through, else the first that told nothing, else empty."""


def tally(probes: Sequence[Probe]) -> Tally:
    """One leak fails the round whatever else was learned; no probes at all prove nothing."""
    leaks = [probe for probe in probes if isinstance(probe.outcome, Leaked)]
    unknown = [probe for probe in probes if isinstance(probe.outcome, Inconclusive)]
    failed: dict[Family, int] = {}
    for probe in leaks:
        failed[probe.family] = failed.get(probe.family, 0) + 1
    verdict: Verdict = "Failed" if leaks else "Inconclusive" if unknown or not probes else "Verified"
    detail = next(map(describe, leaks or unknown), "" if probes else "no probe was run")
    return Tally(verdict, len(probes), len(leaks), failed, detail)


def describe(probe: Probe) -> str:
    """The probe and its outcome as a sentence."""
    match probe.outcome:
        case Blocked():
            return f"{probe.family}: {probe.name}: refused"
        case Leaked(what):
            return f"{probe.family}: {probe.name}: {what}"
        case Inconclusive(why):
            return f"{probe.family}: {probe.name}: unknown, because {why}"


def blocked_unless(found: str | None) -> Outcome:
    """Blocked when nothing was found."""
    return Blocked() if found is None else Leaked(found)


def same_answer(foreign: object, absent: object) -> Outcome:
    """What a caller is told about another's must be what it is told about something that does not exist."""
    if foreign == absent:
        return Blocked()
    return Leaked(f"another tenant's is answered with {foreign}, an absent one with {absent}")


def undecided(family: Family, name: str, why: str) -> list[Probe]:
    """All that can be said of a family whose server, or whose control, failed."""
    return [Probe(family, name, Inconclusive(why))]


def families(probes: Iterable[Probe]) -> frozenset[Family]:
    return frozenset(probe.family for probe in probes)
