-- renew_lease: hold on to a lease.
--
-- KEYS[1]  {warren:<chain>}:writer    string: who holds the lease
-- ARGV[1]  the holder's token    ARGV[2]  time limit in milliseconds
-- Returns 1, or 0 when the lease is not this holder's any more.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
