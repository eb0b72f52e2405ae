-- Puts the truth in place of a reservation, once. ARGV: prefix, reservation, whether it was answered (1 or 0), how long to remember
-- (ms), counts as JSON: key, changes {place, used, used less reserved}.
local prefix, id, counted, keep, counts = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), cjson.decode(ARGV[5])
local held = redis.call('DEL', prefix .. ':held:' .. id) == 1
local first = redis.call('SET', prefix .. ':done:' .. id, 1, 'PX', keep, 'NX')
if not held and (counted == '1' or not first) then return 0 end
for _, count in ipairs(counts) do
  if count.running then
    redis.call('ZREM', count.key, id)
  else
    for _, change in ipairs(count.changes) do
      local amount = held and change[3] or change[2]
      if amount ~= 0 then redis.call('HINCRBY', count.key, change[1], string.format('%.0f', amount)) end
    end
    redis.call('PEXPIRE', count.key, count.ttl)
  end
end
return 1
