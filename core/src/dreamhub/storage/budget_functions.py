"""What Redis does in one step for the budget of calls to providers: one bucket for each tenant and model.

The same as `dreamhub.domain.call_budget.Bucket`, for all processes of a tenant together. The caller says at which rate
its bucket fills: it is the tenant's share, which the operator writes under a key that the tenant may only read. Whoever
passes another rate has stolen a worker's login, and has the provider's key as well.

Beside its contents the hash counts calls by outcome, tokens and durations: workers have no endpoint that could be
scraped, so the operator tells these for them.
"""

import hashlib

from dreamhub.domain.call_budget import BURST, HORIZON_SECONDS, LEAD_SECONDS

KEPT_SECONDS = 3600
"""Without a call; the counters then begin anew."""
SHORT_MILLISECONDS = 200
"""Whoever has to wait longer is short of budget, and says so to the operator, who divides it."""
MOST_DIGITS = 20
"""Of a counter. What is longer was written by a stolen login, and is told to nobody."""

_CODE = f"""
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function fill(rate, value, passed)
  local most = math.max(1, rate * {BURST})
  if not value then return most, most end
  return math.min(most, value + rate * passed / 60000), most
end

local function delay_of(rate, value, most, amount)
  return math.max(0, (math.min(amount, most) - value) * 60000 / rate)
end

local function take(keys, args)
  local now = clock()
  local tokens, urgent = tonumber(args[1]), args[2] == '1'
  local state = redis.call('HMGET', keys[1], 'at', 'requests', 'tokens', 'held')
  local passed = math.max(0, now - (tonumber(state[1]) or now))
  local held = math.max(0, (tonumber(state[4]) or 0) - now)
  local delay, changes = 0, {{'at', now, 'asked', now}}
  for index, amount in ipairs({{1, tokens}}) do
    local rate = tonumber(args[2 + index])
    if rate then
      local value, most = fill(rate, tonumber(state[1 + index]), passed)
      delay = math.max(delay, delay_of(rate, value, most, amount))
      state[1 + index] = value
    else
      state[1 + index] = false
    end
  end
  if urgent then delay = math.max(0, delay - {LEAD_SECONDS * 1000:.0f}) end
  delay = math.max(delay, held)
  local granted = delay <= {HORIZON_SECONDS * 1000:.0f}
  local spent = granted and {{1, tokens}} or {{0, 0}}
  for index, field in ipairs({{'requests', 'tokens'}}) do
    if state[1 + index] then
      table.insert(changes, field)
      table.insert(changes, state[1 + index] - spent[index])
    end
  end
  if delay > {SHORT_MILLISECONDS} then
    table.insert(changes, 'short')
    table.insert(changes, now)
  end
  redis.call('HSET', keys[1], unpack(changes))
  redis.call('EXPIRE', keys[1], {KEPT_SECONDS})
  return {{granted and 1 or 0, math.ceil(math.min(delay, {HORIZON_SECONDS * 1000:.0f}))}}
end

local function ask(keys, args)
  local now = clock()
  redis.call('HSET', keys[1], 'asked', now, 'short', now)
  redis.call('EXPIRE', keys[1], {KEPT_SECONDS})
  return now
end

local function settle(keys, args)
  local surplus, hold = tonumber(args[1]), tonumber(args[2])
  local tokens = redis.call('HGET', keys[1], 'tokens')
  if tokens and surplus ~= 0 then redis.call('HSET', keys[1], 'tokens', tokens + surplus) end
  if hold > 0 then redis.call('HSET', keys[1], 'held', clock() + hold) end
  for index = 3, #args, 2 do
    redis.call('HINCRBY', keys[1], args[index], args[index + 1])
  end
  redis.call('EXPIRE', keys[1], {KEPT_SECONDS})
  return 1
end

local function tell(keys, args)
  local found = {{}}
  for index, field in ipairs(args) do
    local length = redis.call('HSTRLEN', keys[1], field)
    found[index] = length > 0 and length <= {MOST_DIGITS} and redis.call('HGET', keys[1], field)
  end
  return found
end
"""

_DIGEST = hashlib.sha256(_CODE.encode()).hexdigest()[:12]
TAKE = f"dreamhub_take_{_DIGEST}"
"""FCALL with the bucket's key; tokens, 1 when urgent, requests and tokens a minute (each may be empty). Gives whether
that is reserved, and milliseconds to wait."""

ASK = f"dreamhub_ask_{_DIGEST}"
"""FCALL with the bucket's key: a tenant without a share wants one."""

SETTLE = f"dreamhub_settle_{_DIGEST}"
"""FCALL with the bucket's key; tokens to give back, milliseconds to hold everybody, then counters and what they grow
by."""

TELL = f"dreamhub_tell_{_DIGEST}"
"""FCALL_RO with the bucket's key; names of fields. Gives their values, nil for those that are absent or no counter."""

LIBRARY = f"""#!lua name=dreamhub_budget_{_DIGEST}
{_CODE}
redis.register_function('{TAKE}', take)
redis.register_function('{ASK}', ask)
redis.register_function('{SETTLE}', settle)
redis.register_function{{function_name='{TELL}', callback=tell, flags={{'no-writes'}}}}
"""
