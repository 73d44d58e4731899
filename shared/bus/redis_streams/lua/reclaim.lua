-- Gives back the messages of consumers that show no sign of life any more: they go to the consumer '-', from which
-- `take.lua` hands them out again. Their count of deliveries stays.
-- KEYS[1]  stream  the queue
-- KEYS read besides: the sign of life (string) of each consumer of the queue
-- ARGV[1]  the consumer group   ARGV[2]  key prefix of the signs of life   ARGV[3]  look at this consumer only ('': all)
-- Returns how many messages were given back.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local moved = 0
for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local name = info[2]
  local asked = ARGV[3] == '' or ARGV[3] == name
  if asked and name ~= '-' and redis.call('EXISTS', ARGV[2] .. name) == 0 then
    local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 500, name)
    while #pending > 0 do
      for _, entry in ipairs(pending) do
        redis.call('XCLAIM', KEYS[1], ARGV[1], '-', 0, entry[1], 'JUSTID')
      end
      moved = moved + #pending
      pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 500, name)
    end
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name)
  end
end
return moved
