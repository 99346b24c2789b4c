"""One HTTP exchange with the API: address, token, errors, retries. The only module that knows aiohttp's sessions."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, ValidationError
from yarl import URL

from dreamhub_client.credentials import TokenSource
from dreamhub_client.errors import (
    ClientError,
    ProtocolError,
    UnauthenticatedError,
    UnreachableError,
    error_from_answer,
)
from dreamhub_client.retry import RetryPolicy

API_PREFIX = "/api/v1"
CONNECT_SECONDS = 10
SILENCE_SECONDS = 60
"""How long a connection may carry nothing before it counts as dead. Uploads of any length stay below it."""

Answer = TypeVar("Answer", bound=BaseModel)
Body = Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True)
class Call:
    """A request. `repeatable` says that sending it twice does no harm; others are sent again only if refused unread."""

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    model: BaseModel | None = None
    body: Body | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


def segment(value: str) -> str:
    """An id or a name as one segment of a path, whatever it holds."""
    return quote(value, safe="")


class Transport:
    """Sends calls to one server. Open it with `connect`."""

    def __init__(
        self, session: aiohttp.ClientSession, server: str, tokens: TokenSource | None, policy: RetryPolicy
    ) -> None:
        self._session = session
        self._server = server
        self._tokens = tokens
        self._policy = policy

    async def read(self, call: Call, kind: type[Answer]) -> Answer:
        """The parsed body of a successful answer."""
        return self.parse(await self.send(call), kind, call)

    def parse(self, reply: Reply, kind: type[Answer], call: Call) -> Answer:
        try:
            return kind.model_validate_json(reply.body)
        except ValidationError as error:
            raise ProtocolError(
                f"{self._server}{call.path} did not answer with a {kind.__name__}: the server speaks another version "
                "of the API; upgrade the older side"
            ) from error

    async def send(self, call: Call) -> Reply:
        """The answer of a call, after retries.

        Raises:
            ApiError: the server refused.
            UnreachableError: no answer.
        """
        async with self.stream(call) as response:
            return Reply(response.status, response.headers, await self._read_body(response))

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[aiohttp.ClientResponse]:
        """The open answer of a call, its body unread. Retries end where the body begins."""
        response = await self._respond(call)
        try:
            yield response
        finally:
            response.release()

    @asynccontextmanager
    async def websocket(self, path: str, query: Mapping[str, str] | None = None) -> AsyncIterator[Any]:
        """An open WebSocket, logged in by header; without retries, since its user resumes by itself."""
        url = URL(self._server + path, encoded=True).with_query(query or {})
        try:
            socket = await self._session.ws_connect(
                url, headers=await self._authorization(renew=False), heartbeat=20, max_msg_size=4 * 1024 * 1024
            )
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 401:
                await self._authorization(renew=True)
            raise UnreachableError(f"{url.with_query(None)} refused the WebSocket with {error.status}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unreachable(error) from error
        async with socket:
            yield socket

    async def _respond(self, call: Call) -> aiohttp.ClientResponse:
        attempt, renewed = 1, False
        while True:
            try:
                return await self._attempt(call, renew=renewed)
            except UnauthenticatedError:
                if renewed or self._tokens is None:
                    raise
                renewed = True
            except ClientError as error:
                delay = self._policy.delay(attempt, error)
                if delay is None or (isinstance(error, UnreachableError) and not call.repeatable):
                    raise
                await asyncio.sleep(delay)
                attempt, renewed = attempt + 1, False

    async def _attempt(self, call: Call, *, renew: bool) -> aiohttp.ClientResponse:
        headers = {**call.headers, **await self._authorization(renew=renew)}
        if call.model is not None:
            headers["Content-Type"] = "application/json"
        url = URL(self._server + call.path, encoded=True).with_query(call.query)
        try:
            response = await self._session.request(
                call.method, url, headers=headers, data=_data(call), allow_redirects=False
            )
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise self._unreachable(error) from error
        if response.status < 300:
            return response
        async with response:
            if response.status < 400:
                target = response.headers.get("Location", "elsewhere")
                raise ProtocolError(f"{self._server} redirects to {target}: use that address as the server")
            body = await self._read_body(response)
            raise error_from_answer(response.status, response.headers, body, str(url.with_query(None)))

    async def _read_body(self, response: aiohttp.ClientResponse) -> bytes:
        try:
            return await response.read()
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise self._unreachable(error) from error

    async def _authorization(self, *, renew: bool) -> dict[str, str]:
        if self._tokens is None:
            return {}
        return {"Authorization": f"Bearer {await self._tokens.fetch_token(renew=renew)}"}

    def _unreachable(self, error: BaseException) -> UnreachableError:
        reason = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return UnreachableError(
            f"the DreamHub API at {self._server} cannot be reached ({reason}): check the address and that it is running"
        )


def _data(call: Call) -> str | AsyncIterator[bytes] | None:
    if call.model is not None:
        return call.model.model_dump_json(by_alias=True, exclude_none=True)
    return call.body() if call.body is not None else None


@asynccontextmanager
async def connect(server: str, tokens: TokenSource | None, policy: RetryPolicy) -> AsyncIterator[Transport]:
    """A transport to `server`, such as `https://hub.example` or `http://localhost:8080`.

    Raises:
        ProtocolError: `server` is no http or https address.
    """
    address = server.rstrip("/")
    try:
        url = URL(address)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise ProtocolError(f"{server!r} is no server address: give one such as https://hub.example")
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Transport(session, address, tokens, policy)
