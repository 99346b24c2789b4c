"""Web sites as a source: pages by following links, within what robots.txt and the limits allow.

Each page is one item, known by its address. Its ETag and Last-Modified are its revision, so that a second reading is
answered 304 for what has not changed. A page is gone when it answers 404 or 410, moves for good, or asks not to be
indexed; a page that is only linked no more stays for as long as it answers.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from yarl import URL

from dreamhub.crd.ingest_source import WebSource as WebConfig
from dreamhub.errors import DreamHubError, InvalidInputError, UnavailableError, UserError
from dreamhub_worker.fetch_guard import FetchGuard
from dreamhub_worker.sources.credentials import build_authorization, build_tls
from dreamhub_worker.sources.source import Checkpoint, Event, Found, Gone, Same, Skipped, SourceContext
from dreamhub_worker.sources.web_address import parse_start, site_of
from dreamhub_worker.sources.web_fetch import Fetcher, build_login, open_fetcher
from dreamhub_worker.sources.web_frontier import Frontier, Limits, Target
from dreamhub_worker.sources.web_robots import Pace, Robots
from dreamhub_worker.sources.web_sitemap import read_sitemaps
from dreamhub_worker.sources.web_visit import Answer, Visitor

CHECKPOINT_PAGES = 25
"""What a worker that is killed asks for again at most."""
MAX_FAILURES = 5
"""Pages one after another that cannot be had. Then the site is down, and the next attempt goes on."""
_BEYOND = "there are links to more pages than the source may read, which is at most"
_STATES_ADDRESS = frozenset({"AddressRefused", "BadCertificate", "BadUrl", "UnknownHost"})


class WebSource:
    def __init__(self, config: Mapping[str, Any], context: SourceContext) -> None:
        self._config = WebConfig.model_validate(config)
        self._context = context
        self._starts = [_start(text) for text in self._config.urls]
        self._login = build_login(build_authorization(context.secret), self._starts)
        self._tls = build_tls(context.secret)

    async def read(self, checkpoint: Checkpoint | None) -> AsyncIterator[Event]:
        guard = FetchGuard(tuple(self._context.private_networks))
        limits = Limits(self._config.max_depth, self._config.max_pages)
        starts = [str(url) for url in self._starts]
        state = checkpoint.state if checkpoint else None
        frontier = Frontier.begin(limits, self._scope(), starts, state)
        sites = {site_of(url) for url in self._starts} | {
            site_of(URL(f"https://{host}")) for host in self._config.hosts
        }
        async with open_fetcher(guard, self._tls, self._login) as fetcher:
            crawl = Crawl(self._context, fetcher, frontier, sites)
            if self._config.sitemap:
                await crawl.add_sitemaps(self._starts)
            async for event in crawl.run():
                yield event

    def _scope(self) -> str:
        config = self._config
        said = [sorted(config.urls), config.max_depth, config.max_pages, config.sitemap, sorted(config.hosts)]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def _start(text: str) -> URL:
    url = parse_start(text)
    if url is None:
        raise InvalidInputError(
            "a start page of the source is no http or https URL, or has a password in it; correct spec.source.web.urls "
            "and put credentials into a Secret",
            code="BadUrl",
        )
    return url


@dataclass
class Crawl:
    context: SourceContext
    fetcher: Fetcher
    frontier: Frontier
    sites: set[str]
    """Host and port of what may be read. Grows by where start pages redirect to."""
    _pace: Pace = field(default_factory=Pace)
    _answered: bool = False
    _stands: bool = False
    """Whether any page was told."""
    _obstacle: str = ""
    """Why a start page was not."""
    _failed: list[Target] = field(default_factory=list)
    """One after another, up to now."""

    def __post_init__(self) -> None:
        self._stands = bool(self.frontier.done)  # a reading that goes on
        self._robots = Robots(self.fetcher)
        self._visitor = Visitor(self.fetcher, self.context.folder, self.context.size_limit)

    async def add_sitemaps(self, starts: list[URL]) -> None:
        depth = min(1, self.frontier.limits.depth)
        for site, start in {site_of(start): start for start in starts}.items():
            async for url in read_sitemaps(self.fetcher, self._robots, start):
                if site_of(url) == site:
                    self.frontier.offer([Target(str(url), depth)])

    async def run(self) -> AsyncIterator[Event]:
        failure: UnavailableError | None = None
        while (target := self.frontier.take()) is not None:
            try:
                events = await self._take(target)
                self._failed.clear()
            except UnavailableError as error:
                failure = error
                self._failed.append(target)
                self.frontier.keep(target)
                events = [_skipped(target, error.code, error.message)]
            for event in events:
                self._note(target, event)
                yield event
            if len(self._failed) >= MAX_FAILURES:
                self.frontier.put_back(self._failed)
                yield Checkpoint(self.frontier.state())
                raise _down(failure)
            if self.frontier.visited % CHECKPOINT_PAGES == 0:
                yield Checkpoint(self.frontier.state())
        if failure is not None and not self._answered:
            raise _down(failure)
        if self.frontier.cut:
            limit = self.frontier.limits.pages
            yield Skipped("", "PageLimit", f"{_BEYOND} {limit} pages; raise spec.source.web.maxPages to read more")
        yield Checkpoint(self.frontier.state())
        if self._obstacle and not self._stands:
            raise InvalidInputError(f"no page was read: {self._obstacle}", code="NothingToRead")

    def _note(self, target: Target, event: Event) -> None:
        self._stands |= isinstance(event, Found | Same)
        if isinstance(event, Skipped) and target.depth == 0:
            self._obstacle = event.message

    async def _take(self, target: Target) -> list[Event]:
        """One page, and what it means for the others. Raises UnavailableError."""
        url = URL(target.url, encoded=True)
        try:
            rules = await self._robots.rules(url)
            if not rules.allow(url):
                self.frontier.keep(target)
                return [_skipped(target, "RobotsDisallowed", "the site's robots.txt asks not to read this page")]
            revision = None if self.frontier.reread else await self.context.known(target.url)
            async with self._pace.turn(site_of(url), rules.delay):
                answer = await self._visitor.visit(url, revision or "")
        except UserError as error:
            if error.code in _STATES_ADDRESS and target.depth == 0 and target.hops == 0:
                raise
            self.frontier.keep(target)
            return [_skipped(target, error.code, error.message)]
        self._answered = True
        return list(self._judge(target, answer))

    def _judge(self, target: Target, answer: Answer) -> Iterator[Event]:
        match answer.outcome:
            case "Unchanged":
                self.frontier.keep(target)
                yield Same(target.url)
            case "Read":
                yield from self._found(target, answer)
            case "Moved":
                yield from self._moved(target, answer)
            case "Gone":
                yield Gone(target.url)
                if target.depth == 0 and target.hops == 0:
                    yield _skipped(
                        target,
                        "PageNotFound",
                        f"a start page answers HTTP {answer.status}; correct spec.source.web.urls",
                    )
            case "Refused":
                self.frontier.keep(target)
                yield _skipped(
                    target,
                    "PageRefused",
                    f"the site refuses this page (HTTP {answer.status}); give credentials in a Secret, or leave it out",
                )

    def _found(self, target: Target, answer: Answer) -> Iterator[Event]:
        name = str(answer.says.name) if answer.says.name is not None else target.url
        fresh = answer.says.index and self.frontier.keep(target, name)
        self._offer(answer.says.links, target)
        if not answer.says.index:
            yield Gone(target.url)
        if not fresh:
            return
        if name != target.url:
            yield Gone(target.url)
        yield Found(
            key=name,
            name=name,
            media_type=answer.media_type,
            data=answer.data,
            revision=answer.revision,
            modified=answer.modified,
        )

    def _moved(self, target: Target, answer: Answer) -> Iterator[Event]:
        url = answer.target
        if url is None or str(url) == target.url:
            yield _skipped(target, "BadRedirect", "the page redirects to itself")
            return
        if target.depth == 0:
            self.sites.add(site_of(url))
        if site_of(url) in self.sites:
            self.frontier.offer([Target(str(url), target.depth, target.hops + 1)])
            yield Gone(target.url)
        elif answer.is_permanent:
            yield Gone(target.url)
        else:
            self.frontier.keep(target)
            yield _skipped(
                target,
                "LeftTheSite",
                "the page redirects to another site; add its host to spec.source.web.hosts if it belongs to the source",
            )

    def _offer(self, links: list[URL], target: Target) -> None:
        self.frontier.offer(Target(str(url), target.depth + 1) for url in links if site_of(url) in self.sites)


def _skipped(target: Target, reason: str, message: str) -> Skipped:
    return Skipped(target.url, reason, message, name=target.url)


def _down(error: DreamHubError | None) -> UnavailableError:
    said = error.message if error is not None else "no page answers"
    return UnavailableError(f"the site does not answer any more: {said}", code="SourceUnavailable")
