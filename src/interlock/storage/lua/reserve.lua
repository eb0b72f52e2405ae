-- Reserves at every count or at none. ARGV: prefix, reservation, how long it may be under way (ms), asks as JSON.
-- Answers {-1}, or {place of the first ask that does not fit (from 0), what is used there by amount}.
local prefix, id, hold, asks = ARGV[1], ARGV[2], tonumber(ARGV[3]), cjson.decode(ARGV[4])
-- Its settlement came first: this is a message that was long on its way, and nobody waits for it.
if redis.call('EXISTS', prefix .. ':done:' .. id) == 1 then return {-1} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for number, ask in ipairs(asks) do
  local used = {0, 0, 0, 0, 0, 0}
  if ask.running then
    redis.call('ZREMRANGEBYSCORE', ask.key, '-inf', now)
    used[6] = redis.call('ZCARD', ask.key)
  else
    local keys = ask.before or {}
    keys[#keys + 1] = ask.key
    for _, key in ipairs(keys) do
      local found = redis.call('HMGET', key, 0, 1, 2, 3, 4, 5)
      for place = 1, 6 do used[place] = used[place] + (tonumber(found[place]) or 0) end
    end
  end
  for _, cap in ipairs(ask.caps) do
    if cap[3] > 0 and used[cap[1] + 1] + cap[3] > cap[2] then
      return {number - 1, used[1], used[2], used[3], used[4], used[5], used[6]}
    end
  end
end
for _, ask in ipairs(asks) do
  if ask.running then
    redis.call('ZADD', ask.key, now + hold, id)
    redis.call('PEXPIRE', ask.key, hold)
  else
    for _, cap in ipairs(ask.caps) do
      redis.call('HINCRBY', ask.key, cap[1], string.format('%.0f', cap[3]))
    end
    redis.call('PEXPIRE', ask.key, ask.ttl)
  end
end
redis.call('SET', prefix .. ':held:' .. id, 1, 'PX', hold)
return {-1}
