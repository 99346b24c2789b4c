"""One login to PostgreSQL whose URL may change while connections are being made.

A password has one value in PostgreSQL, and the file that holds it arrives in each pod at another moment. So a new URL
is tried first and the one that worked before stays at hand: whoever changes the file first and the password in
PostgreSQL after it, once all have the file, sees no request fail.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import structlog

from dreamhub.errors import ForbiddenError, InvalidInputError, UnavailableError
from dreamhub.secret_files import SecretSource
from dreamhub.sql.connections import Connection

log = structlog.get_logger()

_REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, ForbiddenError)
"""A wrong password (28P01) is the former's kind; the latter is what `inspect` raises."""


@dataclass
class FreshLogin:
    """Opens connections. `inspect` judges a server and login before they are used for the first time."""

    source: SecretSource
    inspect: Callable[[Connection], Awaitable[None]] | None = None
    _proven: str | None = None
    """The URL of the last connection that was made."""

    async def connect(self, *_: object, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        """As `asyncpg.connect`, whose own DSN, if any, is left out of account.

        Raises UnavailableError when the server refuses the login: the file may be about to change.
        """
        url = self._read()
        try:
            return await self._open(url, options)
        except _REFUSED as error:
            if self._proven is None or self._proven == url:
                raise _explain(url, error) from error
            log.warning("PostgreSQL refuses the new login; the one before is used on", login=_user(url))
        return await self._reopen(self._proven, options)

    def _read(self) -> str:
        try:
            return self.source()
        except InvalidInputError:
            if self._proven is None:
                raise
            return self._proven

    async def _open(self, url: str, options: dict[str, Any]) -> "asyncpg.Connection[asyncpg.Record]":
        conn: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(url, **options)
        if url != self._proven and self.inspect is not None:
            try:
                await self.inspect(conn)
            except BaseException:
                await conn.close()
                raise
        self._proven = url
        return conn

    async def _reopen(self, url: str, options: dict[str, Any]) -> "asyncpg.Connection[asyncpg.Record]":
        try:
            conn: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(url, **options)
        except _REFUSED as error:
            raise _explain(url, error) from error
        return conn


def _explain(url: str, error: Exception) -> ForbiddenError | UnavailableError:
    if isinstance(error, ForbiddenError):
        return error
    return UnavailableError(
        f"PostgreSQL refuses the login {_user(url)} ({type(error).__name__}); put its present password into the Secret",
        code="DatabaseUnavailable",
    )


def _user(url: str) -> str:
    try:
        return urlsplit(url).username or "without a name"
    except ValueError:
        return "of a URL that cannot be read"
