-- kept_keys: read keys of a chain at one moment; a backup reads all those that cannot be made again from the blocks.
--
-- KEYS[1]  {warren:<chain>}:tip    hash; all keys below have its hash tag
-- ARGV     the ends of the keys' names; one that ends in * stands for all keys that begin so, others may not exist
-- Reads the listed keys, of any type; to find those of a pattern it walks through the names of the whole keyspace.
-- Returns {end of the name, type, time at which it expires in milliseconds or -1, content}, …; the content of a string
-- is {value}, of a set or list its members, of a hash {field, value, …}, of a sorted set {member, score, …}, of a
-- stream {{id, {field, value, …}}, …}.

local prefix = string.sub(KEYS[1], 1, -4)
local call = redis.call
local found, seen = {}, {}

local readers = {
  string = function(key) return {call('GET', key)} end,
  list = function(key) return call('LRANGE', key, 0, -1) end,
  set = function(key) return call('SMEMBERS', key) end,
  hash = function(key) return call('HGETALL', key) end,
  zset = function(key) return call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
  stream = function(key) return call('XRANGE', key, '-', '+') end,
}

local function read(key)
  if seen[key] then return end -- a walk may come by a name twice
  seen[key] = true
  local kind = call('TYPE', key).ok
  if kind == 'none' then return end
  found[#found + 1] = {string.sub(key, #prefix + 1), kind, call('PEXPIRETIME', key), readers[kind](key)}
end

for _, name in ipairs(ARGV) do
  if string.sub(name, -1) == '*' then
    local pattern = string.gsub(prefix .. string.sub(name, 1, -2), '[%[%]?*\\]', '\\%0') .. '*'
    local cursor = '0'
    repeat
      local page = call('SCAN', cursor, 'MATCH', pattern, 'COUNT', 10000)
      cursor = page[1]
      for _, key in ipairs(page[2]) do read(key) end
    until cursor == '0'
  else
    read(prefix .. name)
  end
end
return found
