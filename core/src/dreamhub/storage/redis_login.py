"""One login to Redis whose user and password may change while the client lives."""

from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool, parse_url
from redis.credentials import CredentialProvider
from typing_extensions import override

from dreamhub.errors import InvalidInputError
from dreamhub.secret_files import SecretSource


class _UrlCredentials(CredentialProvider):
    """User and password of the URL as it is when a connection is made."""

    def __init__(self, source: SecretSource) -> None:
        self._source = source
        self._url = source()

    @override
    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        with suppress(InvalidInputError):  # a file that is gone for a moment: the last content stays in use
            self._url = self._source()
        options = parse_url(self._url)
        user, password = options.get("username"), options.get("password", "")
        return (user, password) if user else (password,)

    @override
    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()


class _Pool(ConnectionPool):
    """Its connections can be told to log in anew."""

    async def renew(self) -> None:
        async with self._get_pool_lock():
            connections: list[Any] = [*self._get_free_connections(), *self._get_in_use_connections()]
        for connection in connections:
            connection.mark_for_reconnect()


def open_redis(source: SecretSource) -> Redis:
    """A client whose connections log in with what `source` says when they are made.

    Where the server is, and whether by TLS, is read once: another server is another cache and takes a restart.
    """
    url = source()
    options: dict[str, Any] = {}
    if urlsplit(url).password is not None:
        options["credential_provider"] = _UrlCredentials(source)
    return Redis.from_pool(_Pool.from_url(_without_login(url), **options))


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


async def renew_connections(redis: Redis) -> None:
    """Let each connection of a client of `open_redis` log in anew after its next use.

    Nothing is interrupted; one that listens to channels logs in anew when the server has ended it.
    """
    if isinstance(redis.connection_pool, _Pool):
        await redis.connection_pool.renew()
