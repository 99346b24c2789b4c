"""Whether the watches live: a watch that hangs looks just like a quiet cluster, so each has to prove itself.

The API server ends every watch after `SERVER_SECONDS` and kopf opens it again; each opening and each event is a proof.
A watch without one for longer than that is dead, unless the API server itself does not answer.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace

import aiohttp

from dreamhub_operator.kinds import REFLECTED, WATCHED, Kind

SERVER_SECONDS = 45
CLIENT_SECONDS = 60
LIMIT_SECONDS = 180.0


@dataclass
class Freshness:
    """Age of the last proof, for each kind."""

    clock: Callable[[], float] = time.monotonic
    _proofs: dict[str, float] = field(default_factory=dict)
    _opened: set[str] = field(default_factory=set)

    def start(self) -> None:
        """The watches are about to be opened: their ages count from here."""
        for kind in (*WATCHED, *REFLECTED):
            self.prove(kind.plural)

    def prove(self, plural: str) -> None:
        self._proofs[plural] = self.clock()

    def ages(self) -> dict[str, float]:
        """Seconds by kind; empty before `start`, when there are no watches."""
        now = self.clock()
        return {plural: now - proof for plural, proof in self._proofs.items()}

    def all_opened(self) -> bool:
        """Whether every kind is being watched, which kopf begins when it has listed it."""
        return self._opened >= {kind.plural for kind in WATCHED}

    def find_stale(self) -> list[str]:
        return sorted(plural for plural, age in self.ages().items() if age > LIMIT_SECONDS)

    def trace(self) -> aiohttp.TraceConfig:
        """Counts every watch request that the API server has accepted."""
        config = aiohttp.TraceConfig()
        config.on_request_end.append(self._on_request_end)
        return config

    async def _on_request_end(
        self, _session: aiohttp.ClientSession, _context: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        if params.url.query.get("watch") == "true" and params.response.status == 200:
            plural = params.url.path.rpartition("/")[2]
            self.prove(plural)
            self._opened.add(plural)


def selector_key(kind: Kind) -> tuple[str, str, str]:
    """As kopf's settings and decorators name a resource."""
    return kind.group, kind.version, kind.plural
