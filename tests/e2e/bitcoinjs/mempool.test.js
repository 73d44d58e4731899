'use strict';
// mempool.js, mempool.space's own client, which is told the host and nothing else.

const assert = require('node:assert');
const test = require('node:test');
const { RegtestUtils } = require('regtest-client');
const mempoolJS = require('@mempool/mempool.js');

const regtest = new RegtestUtils();
const { bitcoin } = mempoolJS({ hostname: process.env.EXPLORER_HOST, protocol: 'http' });
const RECEIVED = 100_000;

const pay = () => regtest.faucet(regtest.randomAddress(), RECEIVED);

test('blocks by height and hash', async () => {
  const { blocks } = bitcoin;
  await regtest.mine(1);
  const hash = await blocks.getBlocksTipHash();
  const height = await blocks.getBlocksTipHeight();
  assert.strictEqual(await blocks.getBlockHeight({ height }), hash);
  const block = await blocks.getBlock({ hash });
  assert.deepStrictEqual([block.id, block.height], [hash, height]);
  assert.strictEqual(block.extras.reward, (await blocks.getBlockTxs({ hash, start_index: 0 }))[0].vout[0].value);
  assert.strictEqual((await blocks.getBlockStatus({ hash })).in_best_chain, true);
  assert.strictEqual((await blocks.getBlockHeader({ hash })).length, 160);
  const [coinbase] = await blocks.getBlockTxids({ hash });
  assert.strictEqual(await blocks.getBlockTxid({ hash, index: 0 }), coinbase);
  const page = await blocks.getBlocks({ start_height: height });
  assert.deepStrictEqual([page.length, page[0].id, page[0].extras], [15, hash, block.extras]);
});

test('a transaction from the pool into a block', async () => {
  const { transactions, mempool } = bitcoin;
  const { txId: txid, vout } = await pay();
  const tx = await transactions.getTx({ txid });
  assert.deepStrictEqual([tx.txid, tx.vout[vout].value, tx.status], [txid, RECEIVED, { confirmed: false }]);
  assert.ok((await mempool.getMempoolTxids()).includes(txid));
  assert.strictEqual((await mempool.getMempoolRecent())[0].txid, txid);
  assert.ok((await mempool.getMempool()).count >= 1);
  assert.deepStrictEqual(await transactions.getTxOutspend({ txid, vout }), { spent: false });
  const [hash] = await regtest.mine(1);
  assert.strictEqual((await transactions.getTxStatus({ txid })).block_hash, hash);
  assert.ok((await transactions.getTxMerkleProof({ txid })).pos >= 1);
  assert.strictEqual(await transactions.getTxHex({ txid }), (await regtest.fetch(txid)).txHex);
});

test('a transaction that is known already is posted without harm', async () => {
  const { txId: txid } = await pay();
  const txhex = await bitcoin.transactions.getTxHex({ txid });
  assert.strictEqual(await bitcoin.transactions.postTx({ txhex }), txid);
  await assert.rejects(bitcoin.transactions.postTx({ txhex: 'ab' }), error => error.response.status === 400);
});

test('an address, its transactions and its outputs', async () => {
  const { addresses } = bitcoin;
  const address = regtest.randomAddress();
  const { txId: txid } = await regtest.faucet(address, RECEIVED);
  assert.strictEqual((await addresses.getAddress({ address })).mempool_stats.funded_txo_sum, RECEIVED);
  assert.strictEqual((await addresses.getAddressTxsMempool({ address }))[0].txid, txid);
  await regtest.mine(1);
  assert.strictEqual((await addresses.getAddressTxsChain({ address }))[0].txid, txid);
  assert.strictEqual((await addresses.getAddressTxs({ address }))[0].txid, txid);
  assert.strictEqual((await addresses.getAddressTxsUtxo({ address }))[0].value, RECEIVED);
});

test('fees, and the outlook on difficulty', async () => {
  const { txId: txid } = await pay();
  const fees = await bitcoin.fees.getFeesRecommended();
  assert.ok(fees.fastestFee >= fees.hourFee && fees.hourFee >= fees.minimumFee && fees.minimumFee >= 1);
  assert.ok((await bitcoin.fees.getFeesMempoolBlocks())[0].nTx >= 1);
  assert.ok((await bitcoin.fees.getCPFP({ txid })).effectiveFeePerVsize >= 1);
  assert.ok((await bitcoin.difficulty.getDifficultyAdjustment()).remainingBlocks > 0);
});

/** Open the websocket, tell it what to follow, and return a function that waits for the next message with a key. */
async function listen(t, follow) {
  const { websocket } = bitcoin;
  const ws = websocket.wsInit();
  t.after(() => ws.terminate());
  const heard = [];
  let wake = () => {};
  ws.on('message', data => {
    heard.push(JSON.parse(data));
    wake();
  });
  await new Promise((resolve, reject) => ws.on('open', resolve).on('error', reject));
  const next = async key => {
    for (;;) {
      const message = heard.find(said => said[key] !== undefined);
      if (message) {
        const value = message[key];
        delete message[key];
        return value;
      }
      await new Promise(resolve => (wake = resolve));
    }
  };
  follow(websocket, ws);
  ws.send(JSON.stringify({ action: 'ping' }));
  await next('pong'); // what was said before it is heard
  return next;
}

const PATIENCE = { timeout: 30_000 };

test('the websocket tells of new blocks and of the state at first', PATIENCE, async t => {
  const next = await listen(t, (websocket, ws) => websocket.wsWantData(ws, ['blocks', 'stats', 'mempool-blocks']));
  const known = await next('blocks');
  assert.strictEqual(known.at(-1).id, await bitcoin.blocks.getBlocksTipHash());
  assert.ok((await next('mempoolInfo')).size >= 0);
  const [hash] = await regtest.mine(1);
  assert.strictEqual((await next('block')).id, hash);
});

test('the websocket follows an address and a transaction', PATIENCE, async t => {
  const address = regtest.randomAddress();
  const next = await listen(t, (websocket, ws) => websocket.wsTrackAddress(ws, address));
  const { txId: txid } = await regtest.faucet(address, RECEIVED);
  assert.strictEqual((await next('address-transactions'))[0].txid, txid);
  const confirmed = await listen(t, (websocket, ws) => websocket.wsTrackTransaction(ws, txid));
  await regtest.mine(1);
  assert.strictEqual((await next('block-transactions'))[0].txid, txid);
  assert.strictEqual(await confirmed('txConfirmed'), txid);
});
