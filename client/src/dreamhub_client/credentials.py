"""Where a bearer token comes from.

A token is asked for at each request, because the ones that Kubernetes projects into a pod and the ones that kubectl
mints expire within the hour while a client may live for days.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from typing_extensions import override

from dreamhub_client.errors import CredentialError


class TokenSource(Protocol):
    async def fetch_token(self, *, renew: bool = False) -> str:
        """A token that is valid now. `renew` says that the server has just refused the last one.

        Raises:
            CredentialError: there is none to be had.
        """


class StaticToken(TokenSource):
    def __init__(self, token: str) -> None:
        self._token = token

    @override
    async def fetch_token(self, *, renew: bool = False) -> str:
        return self._token


class FileToken(TokenSource):
    """A token in a file that somebody else keeps fresh, such as a projected service-account token."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @override
    async def fetch_token(self, *, renew: bool = False) -> str:
        try:
            token = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialError(f"the token file {self._path} cannot be read: {error}") from error
        if not token:
            raise CredentialError(f"the token file {self._path} is empty")
        return token


class RenewedToken(TokenSource):
    """A token from a function that mints one; kept for `lifetime` seconds and minted anew when it was refused."""

    def __init__(
        self,
        mint: Callable[[], Awaitable[str]],
        lifetime: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mint = mint
        self._lifetime = lifetime
        self._clock = clock
        self._token = ""
        self._until = float("-inf")
        self._lock = asyncio.Lock()

    @override
    async def fetch_token(self, *, renew: bool = False) -> str:
        refused = self._token if renew else None
        async with self._lock:
            if self._token == refused or self._clock() >= self._until:
                self._token = await self._mint()
                self._until = self._clock() + self._lifetime
            return self._token
