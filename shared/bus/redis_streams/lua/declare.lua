-- Makes sure that a queue exists, is bound to its topics and is kept alive. Run at the start of a consumer and with
-- every beat after it, so that a server that lost its data gets its queues back.
-- KEYS[1]    stream  the queue
-- KEYS[2]    string  the consumer's sign of life
-- KEYS[3..]  set     one per topic: keys of the queues that want its messages
-- ARGV[1]  the consumer group   ARGV[2]  life of the sign, ms   ARGV[3]  life of the queue, ms (0: durable)
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')
end
redis.call('SET', KEYS[2], '1', 'PX', ARGV[2])
if ARGV[3] ~= '0' then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
for i = 3, #KEYS do
  redis.call('SADD', KEYS[i], KEYS[1])
end
return 1
