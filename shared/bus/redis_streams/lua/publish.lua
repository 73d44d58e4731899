-- Appends messages to every queue bound to their topic, in order and all at once.
-- KEYS  sets   the bindings of one topic each, naming the queues (streams) that want its messages
-- ARGV  the schema version, reply_to and deadline of all messages, then six strings for each: the number of its topic
--       in KEYS, type, id, correlation id, traceparent, body
-- Returns the places (from 1) of the messages that reached no queue. A binding whose queue has gone is removed.
local queues = {}
for i, key in ipairs(KEYS) do
  queues[i] = redis.call('SMEMBERS', key)
end
local unrouted = {}
for at = 4, #ARGV, 6 do
  local topic = tonumber(ARGV[at])
  local routed = false
  for _, queue in ipairs(queues[topic]) do
    if redis.call('XADD', queue, 'NOMKSTREAM', '*', 't', ARGV[at + 1], 'i', ARGV[at + 2], 'r', ARGV[2],
                  'd', ARGV[3], 'c', ARGV[at + 3], 'p', ARGV[at + 4], 'v', ARGV[1], 'b', ARGV[at + 5]) then
      routed = true
    else
      redis.call('SREM', KEYS[topic], queue)
    end
  end
  if not routed then
    unrouted[#unrouted + 1] = (at + 2) / 6
  end
end
return unrouted
