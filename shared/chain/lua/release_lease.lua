-- release_lease: give a lease back, so that a standby need not wait until it runs out.
--
-- KEYS[1]  {warren:<chain>}:writer    string: who holds the lease
-- ARGV[1]  the holder's token
-- Returns 1, or 0 when the lease was not this holder's any more.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
