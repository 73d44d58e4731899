-- commit: applies one change of chain state, computed and validated by the writer, as a whole or not at all.
--
-- KEYS[1]  {warren:<chain>}:tip    hash; all keys below have its hash tag
-- ARGV[1]  the delta, cmsgpack:
--   epoch, tip, seq      fencing: the writer's epoch; the tip's hash ('' before the first block) and the seq on which the
--                        delta was computed
--   new_tip              {hash, height, work, format of all values}, when the tip moves
--   heights              {offset, hashes}: the best chain's hashes from byte `offset` on
--   blocks, txs, script_records, scripts, block_fees     {field, value, …} to set in the hash of that name
--   txs_del, script_records_del, scripts_del             {field, …} to delete from it
--   raw                  {key suffix, value, …}: blocks, undo data and layouts to store
--   script_sets          {{script hash (hex), coins+ {height, outpoint, …}, coins-, history+ {score, txid, …},
--                        history- {txid, …}}, …}: of scripts with many of them; all others are in their records
--   script_sets_gone     {script hash (hex), …}: scripts that have no sorted sets any more
--   pool_del             {txid, …}
--   pool_spends_del      {outpoint, …}
--   pool_scripts_del     {member, …}
--   pool_txs             {txid, raw, …}
--   pool_entries         {txid, entry, …}
--   pool_order           {sequence, txid, …}
--   pool_scripts         {0, member, …}
--   pool_spends          {outpoint, spend, …}
--   pool_stats           {name, change, …}
--   replacements         {{replacing txid, txids that it replaced (packed), {replaced txid, record, …}}, …}, oldest first
--   kept_replacements    number of replacements to keep
--   jobs, jobs_del       mining requests in progress
--   prioritised, prioritised_del    fee deltas of transactions
--   clock                seconds at which to stop the clock; 0 to let it run
--   mode                 the mode of mining and its payee
--   minute               start of the minute that the pool's totals are a sample of
--   events               {topic, body, traceparent or '', …}
-- Key families: tip, heights, blocks, txs, script_records, block_fees, block:*, undo:*, layout:*, scripts,
-- script:*:{coins,history}, pool:*, replaced, replaces, replacements, jobs, prioritised, clock, mode, events; reads
-- writer:epoch.
-- Returns the new seq. Errors, before the first write: STALEWRITER, CONFLICT.

local delta = cmsgpack.unpack(ARGV[1])
local tip_key = KEYS[1]
local prefix = string.sub(tip_key, 1, -4)
local call = redis.call

if tonumber(call('GET', prefix .. 'writer:epoch') or '0') ~= delta.epoch then
  return redis.error_reply('STALEWRITER another writer has taken over')
end
local current = call('HMGET', tip_key, 'hash', 'seq')
local seq = tonumber(current[2] or '0')
if (current[1] or '') ~= delta.tip or seq ~= delta.seq then
  return redis.error_reply('CONFLICT the chain has moved')
end

-- Lua's stack holds some 8,000 values, so long lists are passed in slices (of an even length, for pairs).
local SLICE = 4000
local SAMPLES = 7 * 24 * 60 -- of the pool: a week
local function each_slice(command, key, list)
  for first = 1, #list, SLICE do
    call(command, key, unpack(list, first, math.min(first + SLICE - 1, #list)))
  end
end

if delta.heights then
  local offset, hashes = delta.heights[1], delta.heights[2]
  local key = prefix .. 'heights'
  if call('STRLEN', key) > offset + #hashes then
    if offset == 0 then
      call('SET', key, hashes)
    else
      call('SET', key, call('GETRANGE', key, 0, offset - 1) .. hashes)
    end
  else
    call('SETRANGE', key, offset, hashes)
  end
end

for _, name in ipairs({'blocks', 'txs', 'script_records', 'scripts', 'block_fees', 'jobs', 'prioritised'}) do
  if delta[name .. '_del'] then each_slice('HDEL', prefix .. name, delta[name .. '_del']) end
  if delta[name] then each_slice('HSET', prefix .. name, delta[name]) end
end

local raw = delta.raw or {}
for i = 1, #raw, 2 do
  call('SET', prefix .. raw[i], raw[i + 1])
end

for _, script_hash in ipairs(delta.script_sets_gone or {}) do
  call('DEL', prefix .. 'script:' .. script_hash .. ':coins', prefix .. 'script:' .. script_hash .. ':history')
end
for _, script in ipairs(delta.script_sets or {}) do
  local key = prefix .. 'script:' .. script[1]
  each_slice('ZREM', key .. ':coins', script[3])
  each_slice('ZADD', key .. ':coins', script[2])
  each_slice('ZREM', key .. ':history', script[5])
  each_slice('ZADD', key .. ':history', script[4])
end

if delta.clock == 0 then
  call('DEL', prefix .. 'clock')
elseif delta.clock then
  call('SET', prefix .. 'clock', string.format('%.0f', delta.clock))
end

if delta.mode then call('SET', prefix .. 'mode', delta.mode) end

-- Removals from the pool come first: a reorganisation may return a transaction at another position.
local pool_del = delta.pool_del or {}
each_slice('HDEL', prefix .. 'pool:txs', pool_del)
each_slice('HDEL', prefix .. 'pool:entries', pool_del)
each_slice('ZREM', prefix .. 'pool:order', pool_del)
each_slice('HDEL', prefix .. 'pool:spends', delta.pool_spends_del or {})
each_slice('ZREM', prefix .. 'pool:scripts', delta.pool_scripts_del or {})
each_slice('HSET', prefix .. 'pool:txs', delta.pool_txs or {})
each_slice('HSET', prefix .. 'pool:entries', delta.pool_entries or {})
each_slice('ZADD', prefix .. 'pool:order', delta.pool_order or {})
each_slice('ZADD', prefix .. 'pool:scripts', delta.pool_scripts or {})
each_slice('HSET', prefix .. 'pool:spends', delta.pool_spends or {})
local pool_stats = delta.pool_stats or {}
for i = 1, #pool_stats, 2 do
  call('HINCRBY', prefix .. 'pool:stats', pool_stats[i], pool_stats[i + 1])
end

if delta.minute then
  -- One sample a minute, of its last commit. If the clock was set back, later samples are removed.
  local key, now = prefix .. 'pool:history', string.format('%.0f', delta.minute)
  local totals = call('HMGET', prefix .. 'pool:stats', 'count', 'vsize', 'fees')
  for i = 1, 3 do totals[i] = tonumber(totals[i] or '0') end
  call('ZREMRANGEBYSCORE', key, now, '+inf')
  call('ZADD', key, now, struct.pack('<i8i8i8i8', delta.minute, totals[1], totals[2], totals[3]))
  call('ZREMRANGEBYRANK', key, 0, -1 - SAMPLES)
end

-- An old replacement is removed with the transactions that it replaced, except any that were replaced again since.
local function forget_replacement(txid)
  local replaces = call('HGET', prefix .. 'replaces', txid)
  if not replaces then return end
  for first = 5, #replaces, 32 do
    local replaced = string.sub(replaces, first, first + 31)
    local record = call('HGET', prefix .. 'replaced', replaced)
    if record and string.sub(record, 1, 32) == txid then call('HDEL', prefix .. 'replaced', replaced) end
  end
  call('HDEL', prefix .. 'replaces', txid)
end

for position, replacement in ipairs(delta.replacements or {}) do
  local txid = replacement[1]
  forget_replacement(txid)
  call('HSET', prefix .. 'replaces', txid, replacement[2])
  each_slice('HSET', prefix .. 'replaced', replacement[3])
  -- Every replacement has its own events, so the scores of the next commit are higher.
  call('ZADD', prefix .. 'replacements', string.format('%.0f', seq + position), txid)
end
if delta.replacements then
  local surplus = call('ZCARD', prefix .. 'replacements') - delta.kept_replacements
  if surplus > 0 then
    for _, txid in ipairs(call('ZRANGE', prefix .. 'replacements', 0, surplus - 1)) do forget_replacement(txid) end
    call('ZREMRANGEBYRANK', prefix .. 'replacements', 0, surplus - 1)
  end
end

local events = delta.events or {}
for i = 1, #events, 3 do
  seq = seq + 1
  call('XADD', prefix .. 'events', string.format('%.0f-0', seq), 'topic', events[i], 'body', events[i + 1],
    'traceparent', events[i + 2])
end
if delta.new_tip then
  call('HSET', tip_key, 'hash', delta.new_tip[1], 'height', delta.new_tip[2], 'work', delta.new_tip[3],
    'format', delta.new_tip[4])
  call('HINCRBY', tip_key, 'moves', 1)
end
call('HSET', tip_key, 'seq', string.format('%.0f', seq))
return seq
