"""Pages of a wiki that tells what has changed: `GET /changes?since=N` and `GET /pages/ID`.

The wiki counts its changes. The count is the checkpoint, so a second reading asks for nothing that it knows, and the
wiki tells deletions itself.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import aiohttp

from dreamhub.errors import InvalidInputError, NotFoundError, TooLargeError, UnavailableError
from dreamhub_worker.fetch_guard import FetchGuard
from dreamhub_worker.sources.source import Checkpoint, Event, Found, Gone, SourceContext

_TIMEOUT = aiohttp.ClientTimeout(total=60)


class WikiSource:
    """`config`: `url`. The Secret may hold `token`."""

    def __init__(self, config: Mapping[str, Any], context: SourceContext) -> None:
        if "url" not in config:
            raise InvalidInputError("the wiki's source needs config.url, such as https://wiki.example.com")
        self._url = str(config["url"]).rstrip("/")
        self._context = context
        self._guard = FetchGuard(tuple(context.private_networks))

    async def read(self, checkpoint: Checkpoint | None) -> AsyncIterator[Event]:
        since = int(checkpoint.state["count"]) if checkpoint is not None else 0
        token = self._context.secret.get("token")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connector = aiohttp.TCPConnector(socket_factory=self._guard.make_socket, use_dns_cache=False)
        async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=_TIMEOUT) as session:
            while changes := await self._changes(session, since):
                for change in changes:
                    yield self._event(session, change)
                since = max(int(change["count"]) for change in changes)
                yield Checkpoint({"count": since})

    def _event(self, session: aiohttp.ClientSession, change: Mapping[str, Any]) -> Event:
        page = str(change["page"])
        if change.get("deleted"):
            return Gone(page)
        return Found(
            key=page,
            name=str(change["title"]),
            media_type="text/markdown",
            data=partial(self._fetch, session, page),
            revision=str(change["count"]),
        )

    async def _changes(self, session: aiohttp.ClientSession, since: int) -> list[dict[str, Any]]:
        try:
            async with session.get(f"{self._url}/changes", params={"since": str(since)}) as response:
                self._check(response)
                changes: list[dict[str, Any]] = await response.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"the wiki does not answer ({type(error).__name__})", code="WikiAway") from error
        return changes

    async def _fetch(self, session: aiohttp.ClientSession, page: str) -> bytes:
        """Only for pages in a revision that is new to DreamHub."""
        limit = self._context.size_limit
        try:
            async with session.get(f"{self._url}/pages/{page}") as response:
                self._check(response)
                return await asyncio.wait_for(_read(response, limit), _TIMEOUT.total)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UnavailableError(f"the wiki does not answer ({type(error).__name__})", code="WikiAway") from error

    def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status == 404:
            raise NotFoundError("the page is gone")
        if response.status in {401, 403}:
            raise InvalidInputError("the wiki refuses the token; put a present one into the Secret", code="WikiRefused")
        if response.status != 200:
            raise UnavailableError(f"the wiki answered HTTP {response.status}", code="WikiAway")


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    data = b""
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > limit:
            raise TooLargeError(f"the page is above the limit of {limit} bytes")
    return data
