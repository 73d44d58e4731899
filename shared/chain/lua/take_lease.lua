-- take_lease: take the lease if nobody holds it.
--
-- KEYS[1]  {warren:<chain>}:writer         string: the holder's token
-- KEYS[2]  {warren:<chain>}:writer:epoch   string: fencing token
-- ARGV[1]  the taker's token    ARGV[2]  time limit in milliseconds
-- Returns the new epoch, or false when another holds the lease.
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return false
end
return redis.call('INCR', KEYS[2])
