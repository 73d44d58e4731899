-- release_lease: release a lease, so that a standby need not wait until it expires.
--
-- KEYS[1]  {warren:<chain>}:writer    string: the holder's token
-- ARGV[1]  the holder's token
-- Returns 1, or 0 if this holder had lost the lease.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
