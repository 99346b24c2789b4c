"""How an absent Redis reads as ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from dreamhub.errors import UnavailableError

_AWAY = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError, exceptions.ReadOnlyError)


@contextmanager
def translate_failures() -> Iterator[None]:
    """Turn an absent, loading or failing-over Redis, and one that refuses the login, into UnavailableError."""
    try:
        yield
    except exceptions.AuthenticationError as error:
        raise UnavailableError(
            "Redis refuses the login; put its present password into the Secret", code="RedisUnavailable"
        ) from error
    except _AWAY as error:
        raise UnavailableError(
            f"Redis does not answer ({type(error).__name__}); the next try may succeed", code="RedisUnavailable"
        ) from error
