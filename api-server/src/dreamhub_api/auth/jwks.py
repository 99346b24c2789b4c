"""An issuer's public keys: fetched without blocking, kept, refreshed when a token names a key that is not there yet."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import aiohttp
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet, KeySetSerialization

from dreamhub.errors import UnauthenticatedError, UnavailableError

MAX_AGE_SECONDS = 600.0
"""After it the set is fetched again, so that a key that the issuer withdrew stops working."""

UNKNOWN_KID_SECONDS = 10.0
"""How often a key id that is not there leads to a fetch, whatever ids come: made-up ones must not become requests.

A new key of the issuer is known after so long at the latest.
"""

BROKEN_SECONDS = 2.0
"""How often an issuer that does not answer is asked, while not a single key is known."""

FETCH_TIMEOUT_SECONDS = 5.0
MAX_DOCUMENT_BYTES = 1_000_000

Fetch = Callable[[], Awaitable[dict[str, Any]]]

_log = structlog.get_logger(__name__)


class JwksCache:
    """`fetch` reads the issuer's JWK set. Concurrent callers share one fetch."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = asyncio.Lock()
        self._keys: dict[str, Key] = {}
        self._fetched_at = float("-inf")
        self._missed_at = float("-inf")
        self._failed_at = float("-inf")

    async def find(self, kid: str | None) -> Key:
        """The key of this id; without an id, the only key. Raises UnauthenticatedError when the issuer has none."""
        if self._clock() - self._fetched_at > MAX_AGE_SECONDS:
            await self._refresh(self._fetched_at)
        key = self._lookup(kid)
        if key is None:
            await self._look_again()
            key = self._lookup(kid)
        if key is None:
            raise UnauthenticatedError("the token is signed with a key that its issuer does not have", code="TokenKey")
        return key

    async def _look_again(self) -> None:
        """Fetch for an id that is not there, unless that was done just now; a fetch that is under way is waited for."""
        if self._clock() - self._missed_at > UNKNOWN_KID_SECONDS:
            self._missed_at = self._clock()
            await self._refresh(self._fetched_at)
        else:
            async with self._lock:
                pass

    def _lookup(self, kid: str | None) -> Key | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    async def _refresh(self, seen: float) -> None:
        """Fetch, unless somebody did since `seen`. With keys in hand a failing issuer is only logged."""
        async with self._lock:
            if self._fetched_at > seen:
                return
            if not self._keys and self._clock() - self._failed_at <= BROKEN_SECONDS:
                raise _unreadable()
            try:
                keys = KeySet.import_key_set(cast("KeySetSerialization", await self._fetch()))
            except (aiohttp.ClientError, TimeoutError, JoseError, KeyError, TypeError, ValueError) as error:
                self._failed_at = self._clock()
                if not self._keys:
                    raise _unreadable() from error
                _log.warning("jwks refresh failed", error=type(error).__name__)
                self._fetched_at = self._clock() - MAX_AGE_SECONDS + UNKNOWN_KID_SECONDS
                return
            self._keys = {key.kid: key for key in keys.keys if key.kid}
            self._fetched_at = self._clock()


def _unreadable() -> UnavailableError:
    return UnavailableError("the identity provider's keys cannot be read; try again", code="IssuerUnavailable")


def http_fetch(session: aiohttp.ClientSession, issuer: str, jwks_url: str | None) -> Fetch:
    """Reads the set at `jwks_url`, or where the issuer's discovery document says it is."""

    async def fetch() -> dict[str, Any]:
        url = jwks_url
        if url is None:
            discovery = await _get(session, issuer.rstrip("/") + "/.well-known/openid-configuration")
            url = str(discovery["jwks_uri"])
        return await _get(session, url)

    return fetch


async def _get(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_SECONDS)
    async with session.get(url, timeout=timeout, allow_redirects=False) as response:
        response.raise_for_status()
        if (response.content_length or 0) > MAX_DOCUMENT_BYTES:
            raise ValueError(f"the document at {url} is larger than {MAX_DOCUMENT_BYTES} bytes")
        document = await response.json(content_type=None)
        if not isinstance(document, dict):
            raise TypeError(f"the document at {url} is not a JSON object")
        return document
