"""How much time and memory a document may take to be read: more for a large one than for a small one.

A file of a few kilobytes that computes for minutes is an attack or a fault, and a queue of them would hold up everybody
behind; a hundred megabytes may honestly take that long. Pure.
"""

from dataclasses import dataclass
from math import ceil

_CPU_SECONDS, _CPU_SECONDS_A_MEBIBYTE = 4, 4
"""Several times what the slowest honest formats take, workbooks and Markdown, with a second to load a library."""

_MEMORY, _MEMORY_A_BYTE = 512 * 2**20, 8
"""Address space; the libraries of all formats together take 210 MiB of it."""

_WALL_SECONDS = 30
"""On top of half as much again as the processor's time: a pod may have to share its processor."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """Of one document."""

    cpu_seconds: int
    memory_bytes: int
    wall_seconds: float


@dataclass(frozen=True, slots=True)
class ExtractionLimits:
    """What no document gets more of, however large it is."""

    cpu_seconds: int = 120
    wall_seconds: float = 210
    memory_bytes: int = 768 * 2**20
    """Address space of the process, libraries included: below what the pod has (1 GiB by default), so that a greedy
    document meets this limit, which fails it alone, and not the container's, which ends the job."""
    answer_bytes: int = 256 * 2**20

    def allow(self, size: int) -> Allowance:
        """For a document of `size` bytes."""
        cpu = min(self.cpu_seconds, _CPU_SECONDS + ceil(size * _CPU_SECONDS_A_MEBIBYTE / 2**20))
        return Allowance(
            cpu_seconds=cpu,
            memory_bytes=min(self.memory_bytes, _MEMORY + size * _MEMORY_A_BYTE),
            wall_seconds=min(self.wall_seconds, _WALL_SECONDS + 1.5 * cpu),
        )
