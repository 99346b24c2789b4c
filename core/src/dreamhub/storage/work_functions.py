"""What Redis does in one step for the streams that hand out work: functions, as `dreamhub.storage.functions` has them.

A run's work is a stream with one group, and a hash from each item to its entry, by which filling up what is lost adds
nothing twice. Entries are deleted when they are settled, so that the stream's length is what is left. It is never
trimmed: what bounds it is admission. XREADGROUP delivers what nobody had; XAUTOCLAIM what somebody had for longer than
the lease without a heartbeat.
"""

import hashlib

KEPT_SECONDS = 24 * 3600
"""After the last use; what is left then is filled up again."""

OWN_ENTRIES = 1000
"""Of what an earlier life of a worker had in hand, taken over in one go."""

_CODE = f"""
local GROUP = 'workers'

local function open(stream)
  local made = redis.pcall('XGROUP', 'CREATE', stream, GROUP, '0', 'MKSTREAM')
  if type(made) == 'table' and made.err and not string.find(made.err, 'BUSYGROUP') then error(made.err) end
end

local function refresh(keys)
  redis.call('EXPIRE', keys[1], {KEPT_SECONDS})
  redis.call('EXPIRE', keys[2], {KEPT_SECONDS})
end

local function fill(keys, args)
  open(keys[1])
  local added = 0
  for _, item in ipairs(args) do
    local entry = redis.call('HGET', keys[2], item)
    if not entry or #redis.call('XRANGE', keys[1], entry, entry) == 0 then
      redis.call('HSET', keys[2], item, redis.call('XADD', keys[1], '*', 'item', item))
      added = added + 1
    end
  end
  refresh(keys)
  return added
end

local function collect(found, entries)
  for _, entry in ipairs(entries or {{}}) do
    if entry[2] then found[#found + 1] = {{entry[1], entry[2][2]}} end
  end
end

local function read(stream, consumer, count, from)
  local reply = redis.call('XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', count, 'STREAMS', stream, from)
  return reply and reply[1][2]
end

local function take(keys, args)
  local consumer, count, lease = args[1], tonumber(args[2]), args[3]
  open(keys[1])
  local found = {{}}
  if args[4] == 'own' then collect(found, read(keys[1], consumer, {OWN_ENTRIES}, '0')) end
  if #found == 0 then collect(found, read(keys[1], consumer, count, '>')) end
  if #found == 0 then
    local claimed = redis.call('XAUTOCLAIM', keys[1], GROUP, consumer, lease, '0-0', 'COUNT', count)
    collect(found, claimed[2])
  end
  refresh(keys)
  return {{redis.call('XLEN', keys[1]), found}}
end

local function beat(keys, args)
  local held = 0
  for i = 2, #args do
    local pending = redis.pcall('XPENDING', keys[1], GROUP, args[i], args[i], 1, args[1])
    if not pending.err and #pending == 1 then
      redis.call('XCLAIM', keys[1], GROUP, args[1], 0, args[i], 'JUSTID')
      held = held + 1
    end
  end
  return held
end

local function settle(keys, args)
  local entries, items = {{}}, {{}}
  for i = 1, #args, 2 do
    entries[#entries + 1], items[#items + 1] = args[i], args[i + 1]
  end
  redis.pcall('XACK', keys[1], GROUP, unpack(entries))
  redis.call('XDEL', keys[1], unpack(entries))
  redis.call('HDEL', keys[2], unpack(items))
  return redis.call('XLEN', keys[1])
end
"""

_DIGEST = hashlib.sha256(_CODE.encode()).hexdigest()[:12]
FILL = f"dreamhub_work_fill_{_DIGEST}"
"""FCALL with the stream's key and its hash's; items. Gives how many were not there."""

TAKE = f"dreamhub_work_take_{_DIGEST}"
"""FCALL with the same keys; consumer, count, lease in milliseconds, and `own` to begin with what this consumer had.
Gives the number of items in the stream, and pairs of entry and item."""

BEAT = f"dreamhub_work_beat_{_DIGEST}"
"""FCALL with the same keys; consumer and entries. Gives how many of them it still has."""

SETTLE = f"dreamhub_work_settle_{_DIGEST}"
"""FCALL with the same keys; entry, item, entry, item, ... Gives the number of items left."""

LIBRARY = f"""#!lua name=dreamhub_work_{_DIGEST}
{_CODE}
redis.register_function('{FILL}', fill)
redis.register_function('{TAKE}', take)
redis.register_function('{BEAT}', beat)
redis.register_function('{SETTLE}', settle)
"""
