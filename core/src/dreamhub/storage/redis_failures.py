"""How an absent Redis reads as ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from dreamhub.errors import UnavailableError

_AWAY = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError, exceptions.ReadOnlyError)


@contextmanager
def translate_failures() -> Iterator[None]:
    """Turn an absent, loading or failing-over Redis into UnavailableError; a refused login is not one of these."""
    try:
        yield
    except exceptions.AuthenticationError:
        raise  # a ConnectionError to redis-py, but no wait mends it
    except _AWAY as error:
        raise UnavailableError(
            f"Redis does not answer ({type(error).__name__}); the next try may succeed", code="RedisUnavailable"
        ) from error
