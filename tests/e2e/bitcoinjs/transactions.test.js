'use strict';
// What bitcoinjs-lib's own integration tests do, through regtest-client, which knows the server by APIURL alone.

const assert = require('node:assert');
const test = require('node:test');
const bip65 = require('bip65');
const bip68 = require('bip68');
const bitcoin = require('bitcoinjs-lib');
const ecc = require('tiny-secp256k1');
const { ECPairFactory } = require('ecpair');
const { RegtestUtils } = require('regtest-client');

bitcoin.initEccLib(ecc);
const ECPair = ECPairFactory(ecc);
const regtest = new RegtestUtils();
const network = regtest.network;
const { OPS, compile, number } = bitcoin.script;

const RECEIVED = 100_000;
const SENT = 80_000;

const newKey = () => ECPair.makeRandom({ network });
const keys = count => Array.from({ length: count }, newKey);
const validator = (pubkey, hash, signature) => ECPair.fromPublicKey(pubkey).verify(hash, signature);
const xOnly = pubkey => pubkey.subarray(1, 33);

/** Send a transaction and check what the server then says of its output. */
async function broadcastAndVerify(tx) {
  await regtest.broadcast(tx.toHex());
  await regtest.verify({ txId: tx.getId(), address: regtest.RANDOM_ADDRESS, vout: 0, value: SENT });
}

/** Fund a payment by the faucet, spend it by a PSBT that all signers sign, and return the transaction. */
async function spend(payment, signers, describe) {
  const unspent = await regtest.faucet(payment.address, RECEIVED);
  const funding = await regtest.fetch(unspent.txId);
  const psbt = new bitcoin.Psbt({ network });
  psbt.addInput({ hash: unspent.txId, index: unspent.vout, ...describe(funding, payment) });
  psbt.addOutput({ address: regtest.RANDOM_ADDRESS, value: SENT });
  signers.forEach(signer => psbt.signInput(0, signer));
  return psbt;
}

const witnessUtxo = payment => ({ script: payment.output, value: RECEIVED });
const nonWitnessUtxo = funding => Buffer.from(funding.txHex, 'hex');

function extract(psbt) {
  assert.ok(psbt.validateSignaturesOfAllInputs(validator));
  return psbt.finalizeAllInputs().extractTransaction();
}

test('a faucet pays an address, and its output is found at once', async () => {
  const { address } = bitcoin.payments.p2wpkh({ pubkey: newKey().publicKey, network });
  assert.deepStrictEqual(await regtest.unspents(address), []);
  const unspent = await regtest.faucet(address, RECEIVED);
  assert.strictEqual(unspent.value, RECEIVED);
  await regtest.verify({ ...unspent, address });
  assert.strictEqual((await regtest.unspents(address)).length, 1);
  await regtest.mine(1);
  const [confirmed] = await regtest.unspents(address);
  assert.strictEqual(confirmed.height, await regtest.height());
});

test('mining moves the height by as many blocks as were asked for', async () => {
  const height = await regtest.height();
  const hashes = await regtest.mine(3);
  assert.strictEqual(new Set(hashes).size, 3);
  assert.strictEqual(await regtest.height(), height + 3);
});

test('a transaction is fetched with its fields', async () => {
  const { address, output } = bitcoin.payments.p2pkh({ pubkey: newKey().publicKey, network });
  const unspent = await regtest.faucet(address, RECEIVED);
  const fetched = await regtest.fetch(unspent.txId);
  const tx = bitcoin.Transaction.fromHex(fetched.txHex);
  assert.strictEqual(tx.getId(), unspent.txId);
  assert.deepStrictEqual(
    [fetched.txId, fetched.vsize, fetched.version, fetched.locktime],
    [tx.getId(), tx.virtualSize(), tx.version, tx.locktime],
  );
  assert.strictEqual(fetched.outs[unspent.vout].script, output.toString('hex'));
});

test('P2PKH is spent', async () => {
  const key = newKey();
  const payment = bitcoin.payments.p2pkh({ pubkey: key.publicKey, network });
  const psbt = await spend(payment, [key], funding => ({ nonWitnessUtxo: nonWitnessUtxo(funding) }));
  await broadcastAndVerify(extract(psbt));
});

test('P2WPKH is spent', async () => {
  const key = newKey();
  const payment = bitcoin.payments.p2wpkh({ pubkey: key.publicKey, network });
  const psbt = await spend(payment, [key], () => ({ witnessUtxo: witnessUtxo(payment) }));
  await broadcastAndVerify(extract(psbt));
});

test('P2SH of P2WPKH is spent', async () => {
  const key = newKey();
  const redeem = bitcoin.payments.p2wpkh({ pubkey: key.publicKey, network });
  const payment = bitcoin.payments.p2sh({ redeem, network });
  const psbt = await spend(payment, [key], () => ({
    witnessUtxo: witnessUtxo(payment),
    redeemScript: redeem.output,
  }));
  await broadcastAndVerify(extract(psbt));
});

test('P2SH multisig, 2 of 4, is spent', async () => {
  const signers = keys(4);
  const redeem = bitcoin.payments.p2ms({ m: 2, pubkeys: signers.map(key => key.publicKey), network });
  const payment = bitcoin.payments.p2sh({ redeem, network });
  const psbt = await spend(payment, [signers[0], signers[2]], funding => ({
    nonWitnessUtxo: nonWitnessUtxo(funding),
    redeemScript: redeem.output,
  }));
  await broadcastAndVerify(extract(psbt));
});

test('P2WSH multisig, 3 of 4, is spent', async () => {
  const signers = keys(4);
  const redeem = bitcoin.payments.p2ms({ m: 3, pubkeys: signers.map(key => key.publicKey), network });
  const payment = bitcoin.payments.p2wsh({ redeem, network });
  const psbt = await spend(payment, [signers[0], signers[2], signers[3]], () => ({
    witnessUtxo: witnessUtxo(payment),
    witnessScript: redeem.output,
  }));
  await broadcastAndVerify(extract(psbt));
});

test('a multisig with too few signatures is refused, and says why', async () => {
  const signers = keys(2);
  const redeem = bitcoin.payments.p2ms({ m: 2, pubkeys: signers.map(key => key.publicKey), network });
  const payment = bitcoin.payments.p2wsh({ redeem, network });
  const psbt = await spend(payment, signers, () => ({
    witnessUtxo: witnessUtxo(payment),
    witnessScript: redeem.output,
  }));
  const tx = extract(psbt);
  tx.ins[0].witness.splice(1, 1, tx.ins[0].witness[2]);
  await assert.rejects(regtest.broadcast(tx.toHex()), /script-verify-flag-failed/);
});

test('Taproot is spent by its key', async () => {
  const key = newKey();
  const internalPubkey = xOnly(key.publicKey);
  const payment = bitcoin.payments.p2tr({ internalPubkey, network });
  const signer = key.tweak(bitcoin.crypto.taggedHash('TapTweak', internalPubkey));
  const psbt = await spend(payment, [signer], () => ({
    witnessUtxo: witnessUtxo(payment),
    tapInternalKey: internalPubkey,
  }));
  await broadcastAndVerify(psbt.finalizeAllInputs().extractTransaction());
});

test('a script without an address is funded and spent', async () => {
  const key = newKey();
  const payment = bitcoin.payments.p2pk({ pubkey: key.publicKey, network });
  const unspent = await regtest.faucetComplex(payment.output, RECEIVED);
  const funding = await regtest.fetch(unspent.txId);
  const psbt = new bitcoin.Psbt({ network });
  psbt.addInput({ hash: unspent.txId, index: unspent.vout, nonWitnessUtxo: nonWitnessUtxo(funding) });
  psbt.addOutput({ address: regtest.RANDOM_ADDRESS, value: SENT });
  await broadcastAndVerify(extract(psbt.signInput(0, key)));
});

/** A transaction that spends a P2SH whose script is a time lock and a key's signature. */
async function timeLocked(lock, { sequence, locktime = 0 }) {
  const key = newKey();
  const redeemScript = compile([...lock, OPS.OP_DROP, key.publicKey, OPS.OP_CHECKSIG]);
  const { address } = bitcoin.payments.p2sh({ redeem: { output: redeemScript, network }, network });
  const unspent = await regtest.faucet(address, RECEIVED);
  const tx = new bitcoin.Transaction();
  tx.version = 2;
  tx.locktime = locktime;
  tx.addInput(Buffer.from(unspent.txId, 'hex').reverse(), unspent.vout, sequence);
  tx.addOutput(bitcoin.address.toOutputScript(regtest.RANDOM_ADDRESS, network), SENT);
  const hash = tx.hashForSignature(0, redeemScript, bitcoin.Transaction.SIGHASH_ALL);
  const signature = bitcoin.script.signature.encode(key.sign(hash), bitcoin.Transaction.SIGHASH_ALL);
  const input = compile([signature]);
  tx.setInputScript(0, bitcoin.payments.p2sh({ network, redeem: { network, input, output: redeemScript } }).input);
  return tx;
}

test('CHECKSEQUENCEVERIFY holds a payment back for as many blocks as it says', async () => {
  const sequence = bip68.encode({ blocks: 5 });
  const tx = await timeLocked([number.encode(sequence), OPS.OP_CHECKSEQUENCEVERIFY], { sequence });
  await regtest.mine(4);
  await assert.rejects(regtest.broadcast(tx.toHex()), /non-BIP68-final/);
  await regtest.mine(1);
  await broadcastAndVerify(tx);
});

test('CHECKLOCKTIMEVERIFY holds a payment back until a height', async () => {
  const locktime = bip65.encode({ blocks: (await regtest.height()) + 5 });
  const lock = [number.encode(locktime), OPS.OP_CHECKLOCKTIMEVERIFY];
  const tx = await timeLocked(lock, { sequence: 0xfffffffe, locktime });
  await assert.rejects(regtest.broadcast(tx.toHex()), /non-final/);
  await regtest.mine(5);
  await broadcastAndVerify(tx);
});

test('CHECKLOCKTIMEVERIFY with another lock time is refused by the script', async () => {
  const height = await regtest.height();
  const lock = [number.encode(bip65.encode({ blocks: height + 1 })), OPS.OP_CHECKLOCKTIMEVERIFY];
  const tx = await timeLocked(lock, { sequence: 0xfffffffe, locktime: height });
  await assert.rejects(regtest.broadcast(tx.toHex()), /script-verify-flag-failed/);
});

test('a faucet refuses an address of another network in words', async () => {
  const { address } = bitcoin.payments.p2wpkh({ pubkey: newKey().publicKey });
  const height = await regtest.height();
  await assert.rejects(regtest.faucet(address, RECEIVED), /invalid network/);
  assert.strictEqual(await regtest.height(), height);
});

test('forty payments in a row need no block in between', async () => {
  const { address } = bitcoin.payments.p2wpkh({ pubkey: newKey().publicKey, network });
  for (let count = 0; count < 40; count++) {
    await regtest.dhttp({
      method: 'POST',
      url: `${process.env.APIURL}/r/faucet?address=${address}&value=${RECEIVED}&key=satoshi`,
    });
  }
  assert.strictEqual((await regtest.unspents(address)).length, 40);
});
