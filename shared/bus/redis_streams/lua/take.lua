-- Hands messages to a consumer, all from the first queue that has any. A message that was handed out before comes
-- first, and alone: one that kills its handler takes no others with it.
-- KEYS  streams  the queues, in falling priority
-- ARGV[1]  the consumer group   ARGV[2]  the consumer   ARGV[3]  how many at most
-- Returns nothing, or {place in KEYS, how often handed out before, {{id, {field, value, ...}}, ...}}.
for i, key in ipairs(KEYS) do
  local back = redis.call('XPENDING', key, ARGV[1], '-', '+', 1, '-')
  if #back > 0 then
    return {i, back[1][4], redis.call('XCLAIM', key, ARGV[1], ARGV[2], 0, back[1][1])}
  end
  local new = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', ARGV[3], 'STREAMS', key, '>')
  if new then
    return {i, 0, new[1][2]}
  end
end
return false
