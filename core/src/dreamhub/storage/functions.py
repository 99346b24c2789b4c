"""What Redis does in one step for progress streams: a library of functions, loaded by the operator alone.

Everybody else may call it and nothing more. With scripts (EVAL), any login could send an endless one and stall Redis
for all. The names carry a digest of the code, so that releases that meet during an upgrade each call their own.
"""

import hashlib

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from dreamhub.storage import budget_functions, work_functions
from dreamhub.storage.redis_failures import translate_failures

KEPT_ENTRIES = 512
"""At least; Redis trims whole blocks of about a hundred."""

KEPT_SECONDS = 24 * 3600
"""After the last entry; then the database alone knows."""

_CODE = f"""
local function publish(keys, args)
  local epoch = redis.call('HGET', keys[2], 'epoch')
  if not epoch then
    redis.call('DEL', keys[1])
    epoch = args[2]
    redis.call('HSET', keys[2], 'epoch', epoch)
  end
  local offset = redis.call('HINCRBY', keys[2], 'offset', 1)
  redis.call('XADD', keys[1], 'MAXLEN', '~', {KEPT_ENTRIES}, offset .. '-0', 'progress', args[1])
  redis.call('EXPIRE', keys[1], {KEPT_SECONDS})
  redis.call('EXPIRE', keys[2], {KEPT_SECONDS})
  redis.call('PUBLISH', keys[1], offset)
  return {{epoch, offset}}
end

local function read(keys, args)
  local epoch = redis.call('HGET', keys[2], 'epoch')
  if not epoch then return false end
  local last = redis.call('XREVRANGE', keys[1], '+', '-', 'COUNT', 1)
  if #last == 0 then return false end
  if args[1] ~= epoch then return {{epoch, 0, last}} end
  local after = tonumber(args[2])
  local first = redis.call('XRANGE', keys[1], '-', '+', 'COUNT', 1)
  local oldest = tonumber(string.match(first[1][1], '^%d+'))
  local newest = tonumber(string.match(last[1][1], '^%d+'))
  if after + 1 < oldest or after > newest then return {{epoch, 0, last}} end
  return {{epoch, 1, redis.call('XRANGE', keys[1], (after + 1) .. '-0', '+')}}
end
"""

_DIGEST = hashlib.sha256(_CODE.encode()).hexdigest()[:12]
PUBLISH = f"dreamhub_publish_{_DIGEST}"
"""FCALL with the stream's key and its head's; the progress and an epoch to begin with. Gives epoch and offset."""

READ = f"dreamhub_read_{_DIGEST}"
"""FCALL_RO with the same keys; epoch and offset of the reader. Gives epoch, whether nothing is missing, and entries."""

LIBRARY = f"""#!lua name=dreamhub_{_DIGEST}
{_CODE}
redis.register_function('{PUBLISH}', publish)
redis.register_function{{function_name='{READ}', callback=read, flags={{'no-writes'}}}}
"""


async def load_functions(redis: Redis) -> None:
    """Make the functions callable; repeated by the operator, for a Redis that restarts empty forgets them."""
    for library in (LIBRARY, work_functions.LIBRARY, budget_functions.LIBRARY):
        await _load(redis, library)


async def _load(redis: Redis, library: str) -> None:
    with translate_failures():
        try:
            await redis.function_load(library)
        except ResponseError as error:
            if "already exists" not in str(error):
                raise
