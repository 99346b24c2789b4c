"""Progress over Redis. Loaded when there is something to announce: its client takes a third of a second to import."""

import structlog
from redis.exceptions import RedisError

from dreamhub.domain.progress import Progress
from dreamhub.errors import DreamHubError
from dreamhub.secret_files import SecretSource
from dreamhub.storage.progress import publish
from dreamhub.storage.redis_login import open_redis

log = structlog.get_logger()


class Announcer:
    """`uid` is the IngestJob's."""

    def __init__(self, redis_url: SecretSource, tenant: str, uid: str) -> None:
        self._redis = open_redis(redis_url)
        self._tenant = tenant
        self._uid = uid

    async def announce(self, progress: Progress) -> None:
        """Wake the watchers. A courtesy: PostgreSQL has the truth, so a Redis that is away is only logged."""
        try:
            await publish(self._redis, self._tenant, self._uid, progress)
        except (DreamHubError, RedisError) as error:  # the latter: a login that the operator has yet to restore
            log.warning("progress_not_announced", uid=self._uid, kind=type(error).__name__)

    async def close(self) -> None:
        await self._redis.aclose()
