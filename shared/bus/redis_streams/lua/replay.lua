-- Gives a dead letter back to the queue that it came from, all at once.
-- KEYS[1]  stream  the dead-letter queue   KEYS[2]  stream  the queue
-- ARGV[1]  id of the dead letter   ARGV[2..]  fields and values of the message
-- Returns 1; 0 if the queue does not exist; -1 if somebody else was faster.
if redis.call('EXISTS', KEYS[2]) == 0 then
  return 0
end
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then
  return -1
end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))
return 1
