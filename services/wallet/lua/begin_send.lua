-- Records a payment before it is submitted: see `WalletStore.begin_send`. Writes nothing unless it returns 'new'.
-- KEYS[1]  hash    the wallet's keys in use       KEYS[2]  hash    its sends
-- KEYS[3]  zset    its sends in no block          KEYS[4]  hash    the wallet of every send
-- KEYS[5]  set     sends that can still change    KEYS[6]  string  the request id's transaction (absent without one)
-- ARGV[1]  wallet id   ARGV[2]  txid   ARGV[3]  the send, JSON   ARGV[4]  its time   ARGV[5]  its change in satoshis
-- ARGV[6]  change keys in use with it
-- ARGV[7]  raw transaction   ARGV[8]  seconds for which the request id is remembered (both only with KEYS[6])
-- Returns a value of `Begun`.
if KEYS[6] and redis.call('EXISTS', KEYS[6]) == 1 then
  return 'same request'
end
local earlier = redis.call('HGET', KEYS[2], ARGV[2])
if earlier then
  return cjson.decode(earlier).status == 'dropped' and 'dropped transaction' or 'same transaction'
end
local in_use = tonumber(redis.call('HGET', KEYS[1], 'change'))
local wanted = tonumber(ARGV[6])
if wanted > in_use then
  redis.call('HSET', KEYS[1], 'change', ARGV[6], 'change_by', ARGV[2])
elseif wanted == in_use and ARGV[5] ~= '0' then  -- another instance took this change key a moment before
  redis.call('HDEL', KEYS[1], 'change_by')
end
if KEYS[6] then
  redis.call('SET', KEYS[6], ARGV[7], 'EX', ARGV[8])
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('ZADD', KEYS[3], ARGV[4], ARGV[2])
redis.call('HSET', KEYS[4], ARGV[2], ARGV[1])
redis.call('SADD', KEYS[5], ARGV[2])
return 'new'
