"""HTTP for readers: one guarded session whose every answer is limited in size, time and redirects.

Redirects are not followed by the library: each hop is a request of its own, so that whoever asks decides about the next
address, and the guard decides about each connection. Nothing of the process's environment (proxies, .netrc) is used.
"""

import socket
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from ssl import SSLContext
from typing import Final, TypeAlias

import aiohttp
from yarl import URL

from dreamhub.errors import InvalidInputError, TooLargeError, UnavailableError
from dreamhub_worker.fetch_guard import AddressRefusedError, FetchGuard
from dreamhub_worker.sources.web_address import canonical

USER_AGENT = "DreamHub/0.1 (+https://github.com/dreamhub-dev/dreamhub)"

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
PERMANENT: Final = frozenset({301, 308})

Unpack: TypeAlias = Callable[[bytes], Iterator[bytes]]

_MAX_REDIRECTS = 5
_PIECE = 1 << 16
_TIMEOUT = aiohttp.ClientTimeout(total=120, connect=30, sock_connect=10, sock_read=20)
_GZIP_OR_ZLIB = 47
"""zlib's word for: find out by the header."""


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials, and to whom alone they are sent: over TLS, to the origins that the source names."""

    authorization: str | None = field(default=None, repr=False)
    origins: frozenset[URL] = frozenset()

    def headers_for(self, url: URL) -> dict[str, str]:
        if self.authorization is None or url.scheme != "https" or url.origin() not in self.origins:
            return {}
        return {"Authorization": self.authorization}


def build_login(authorization: str | None, urls: list[URL]) -> Login:
    """Raises InvalidInputError when credentials would travel readably."""
    if authorization is not None and any(url.scheme != "https" for url in urls):
        raise InvalidInputError(
            "credentials are only sent over https, and the source's URL is an http one; use https, or no Secret",
            code="InsecureCredentials",
        )
    return Login(authorization, frozenset(url.origin() for url in urls))


@dataclass(frozen=True, slots=True)
class Reply:
    url: URL
    """Where the answer came from, behind all redirects."""
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fetcher:
    session: aiohttp.ClientSession
    login: Login = Login()

    @asynccontextmanager
    async def send(
        self, method: str, url: URL, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One request and its answer, whatever its status. Failures inside the block, also while reading, are ours."""
        sent = {**(headers or {}), **self.login.headers_for(url)}
        with translated():
            async with self.session.request(method, url, headers=sent, data=body, allow_redirects=False) as response:
                yield response

    async def request(
        self,
        method: str,
        url: URL,
        limit: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """A small answer, whole, behind up to five redirects. Raises TooLargeError, and as `translated`."""
        for _ in range(_MAX_REDIRECTS + 1):
            async with self.send(method, url, headers, body) as response:
                if response.status not in REDIRECTS:
                    return Reply(url, response.status, response.headers, await read_body(response, limit))
                target = redirect_target(response)
            if url.scheme == "https" and target.scheme != "https":
                raise InvalidInputError(
                    "the server redirects from https to http, where anyone can read along; give the final URL",
                    code="TooManyRedirects",
                )
            url = target
        raise InvalidInputError(
            f"the server redirects more than {_MAX_REDIRECTS} times; give the final URL", code="TooManyRedirects"
        )


@asynccontextmanager
async def open_fetcher(guard: FetchGuard, tls: SSLContext, login: Login) -> AsyncIterator[Fetcher]:
    connector = aiohttp.TCPConnector(socket_factory=guard.make_socket, ssl=tls, limit=4, use_dns_cache=False)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=_TIMEOUT,
        auto_decompress=False,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip"},
        raise_for_status=False,
    ) as session:
        yield Fetcher(session, login)


def redirect_target(response: aiohttp.ClientResponse) -> URL:
    """Where a redirect leads. Raises InvalidInputError for one that leads nowhere."""
    target = canonical(response.headers.get("Location", ""), response.url)
    if target is None:
        raise InvalidInputError("the server redirects to an address that is no HTTP URL", code="BadRedirect")
    return target


async def read_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Raises TooLargeError above `limit` bytes, counted as unpacked."""
    if (response.content_length or 0) > limit:
        raise _too_large(limit)
    return b"".join([piece async for piece in _pieces(response, limit)])


async def read_beginning(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """At most `limit` bytes; what follows is not asked for."""
    begun = b""
    async with aclosing(_pieces(response, limit + 2 * _PIECE)) as pieces:
        async for piece in pieces:
            begun += piece
            if len(begun) >= limit:
                break
    return begun[:limit]


async def save_body(response: aiohttp.ClientResponse, path: Path, limit: int) -> None:
    """Into a file, for what may be large. The file is there also after a failure."""
    if (response.content_length or 0) > limit:
        raise _too_large(limit)
    with path.open("wb") as file:
        async for piece in _pieces(response, limit):
            file.write(piece)


async def _pieces(response: aiohttp.ClientResponse, limit: int) -> AsyncGenerator[bytes, None]:
    """The body, unpacked, never more than `limit` bytes of it and never more than a small piece of it at once."""
    unpack = _unpacker(response.headers.get("Content-Encoding", "identity").strip().lower())
    size = 0
    async for packed in response.content.iter_chunked(_PIECE):
        for piece in unpack(packed):
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            yield piece


class _Gzip:
    """Unpacks in small pieces, so that a bomb is noticed while it goes off. Members may follow one another."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)

    def __call__(self, packed: bytes) -> Iterator[bytes]:
        while packed:
            if self._stream.eof:
                self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
            if piece := self._stream.decompress(packed, _PIECE):
                yield piece
            packed = self._stream.unconsumed_tail or self._stream.unused_data


def _identity(packed: bytes) -> Iterator[bytes]:
    yield packed


def _unpacker(coding: str) -> Unpack:
    if coding in {"identity", ""}:
        return _identity
    if coding in {"gzip", "x-gzip", "deflate"}:
        return _Gzip()
    raise InvalidInputError(
        "the server packs its answer in a way that was not asked for; only gzip is understood", code="BadEncoding"
    )


@contextmanager
def translated() -> Iterator[None]:
    """What goes wrong in a request, as ours.

    Raises InvalidInputError `AddressRefused`, `UnknownHost`, `BadCertificate`, `BadUrl` or `BadEncoding`;
    UnavailableError for all that may pass.
    """
    try:
        yield
    except aiohttp.ClientConnectorCertificateError as error:
        raise bad_certificate() from error
    except aiohttp.ClientConnectorError as error:
        if isinstance(error.os_error, AddressRefusedError):
            raise refused() from error
        if is_unknown_host(error.os_error):
            raise unknown_host() from error
        raise away(error) from error
    except (aiohttp.InvalidURL, UnicodeError) as error:
        raise InvalidInputError("the address is no URL that can be asked for; correct it", code="BadUrl") from error
    except zlib.error as error:
        raise InvalidInputError(
            "the server's answer is damaged: it is not the gzip it says", code="BadEncoding"
        ) from error
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise away(error) from error


def refused() -> InvalidInputError:
    return InvalidInputError(
        "the source's address is not on the public internet, or its port is not the usual one; if it is meant, ask the "
        "platform's administrator to open its network to sources",
        code="AddressRefused",
    )


def is_unknown_host(error: BaseException) -> bool:
    """Whether the name was looked up and there is none; one that could not be looked up may well exist."""
    return isinstance(error, socket.gaierror) and error.errno == socket.EAI_NONAME


def unknown_host() -> InvalidInputError:
    return InvalidInputError(
        "the source's host name does not exist; correct it in the source's address", code="UnknownHost"
    )


def bad_certificate() -> InvalidInputError:
    return InvalidInputError(
        "the server's TLS certificate does not hold; renew it, or add the authority as ca.crt to the source's Secret",
        code="BadCertificate",
    )


def away(error: BaseException) -> UnavailableError:
    return UnavailableError(
        f"the source does not answer ({type(error).__name__}); the next try may succeed", code="SourceUnavailable"
    )


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"the source's answer is above the limit of {limit} bytes; it is left out")
