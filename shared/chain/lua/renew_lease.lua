-- renew_lease: extend a lease.
--
-- KEYS[1]  {warren:<chain>}:writer    string: the holder's token
-- ARGV[1]  the holder's token    ARGV[2]  time limit in milliseconds
-- Returns 1, or 0 if this holder has lost the lease.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
