"""What a site's robots.txt allows (RFC 9309), fetched once a reading and once a site."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from protego import Protego
from yarl import URL

from dreamhub.errors import UnavailableError
from dreamhub_worker.sources.web_fetch import REDIRECTS, Fetcher, read_beginning, redirect_target
from dreamhub_worker.sources.web_links import AGENT

MAX_BYTES = 500 * 1024
"""What a crawler has to read at least; the rest of a longer file is not looked at."""
MAX_DELAY = 60.0
"""Seconds between two requests that a site may ask for. With more, a run would never end."""
MAX_OWN_DELAY = 5.0
_HOPS = 5


@dataclass(frozen=True, slots=True)
class Rules:
    parsed: Protego

    def allow(self, url: URL) -> bool:
        return self.parsed.can_fetch(str(url), AGENT)

    @property
    def delay(self) -> float:
        return min(self.parsed.crawl_delay(AGENT) or 0.0, MAX_DELAY)

    @property
    def sitemaps(self) -> tuple[str, ...]:
        return tuple(self.parsed.sitemaps)


_ALL_ALLOWED = Rules(Protego.parse(""))


@dataclass
class Robots:
    fetcher: Fetcher
    _known: dict[URL, Rules | UnavailableError] = field(default_factory=dict)

    async def rules(self, url: URL) -> Rules:
        """Raises UnavailableError when the site cannot say: then nothing of it may be read."""
        origin = url.origin()
        if origin not in self._known:
            self._known[origin] = await self._ask(origin)
        known = self._known[origin]
        if isinstance(known, UnavailableError):
            raise known
        return known

    async def _ask(self, origin: URL) -> Rules | UnavailableError:
        try:
            return await self._fetch(origin / "robots.txt")
        except UnavailableError as error:
            return UnavailableError(f"the site's robots.txt cannot be read: {error.message}", code="RobotsUnavailable")

    async def _fetch(self, url: URL) -> Rules:
        for _ in range(_HOPS + 1):
            async with self.fetcher.send("GET", url) as response:
                if response.status == 200:
                    text = (await read_beginning(response, MAX_BYTES)).decode(errors="replace")
                    return Rules(await asyncio.to_thread(Protego.parse, text))
                if response.status not in REDIRECTS:
                    return _without_file(response.status)
                url = redirect_target(response)
        return _ALL_ALLOWED  # RFC 9309, 2.3.1.2: as if there were none


def _without_file(status: int) -> Rules:
    """Sites that have no robots.txt, or let nobody see it, allow all; those that are busy or broken allow nothing."""
    if 400 <= status < 500 and status != 429:
        return _ALL_ALLOWED
    raise UnavailableError(f"it answers HTTP {status}")


@dataclass
class Pace:
    """One request at a time to a site, then a pause: what it asks for, at least as long as its last answer."""

    _free: dict[str, float] = field(default_factory=dict)

    @asynccontextmanager
    async def turn(self, site: str, delay: float) -> AsyncIterator[None]:
        await asyncio.sleep(max(0.0, self._free.get(site, 0.0) - time.monotonic()))
        begun = time.monotonic()
        try:
            yield
        finally:
            ended = time.monotonic()
            self._free[site] = ended + max(delay, min(ended - begun, MAX_OWN_DELAY))
