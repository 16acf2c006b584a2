// Flitt's own library for Node, which signs what is sent and checks what comes.

import assert from 'node:assert/strict';
import https from 'node:https';
import { parse } from 'node:querystring';
import { after, before, test } from 'node:test';
// @ts-expect-error Its types are for a package of another name.
import FlittPay from '@flittpayments/flitt-node-js-sdk';
import { Simulator, press, refusal } from './simulator.js';

const KEY = 'key_simulator_flitt';
const THERE = 'https://merchant.example/back';
const GOOD = '4444555511116666';
const ASKS = '4444555566661111';
const BAD = '4444111155556666';

/** @type {Simulator} */
let simulator;
/** @type {Awaited<ReturnType<Simulator['listen']>>} */
let listener;
/** Protocol 1.0 in JSON and as a form, and protocol 2.0. */
/** @type {Record<string, any>} */
const dialects = {
  json: client({}),
  form: client({ contentType: 'form' }),
  '2.0': client({ protocol: '2.0' }),
};
const flitt = dialects.json;

before(async () => {
  simulator = await Simulator.start();
  listener = await simulator.listen('flitt');
  // The library has no other place for it.
  https.globalAgent = /** @type {any} */ (simulator.line('flitt'));
});
after(() => simulator.stop());

/** @param {object} how */
function client(how) {
  return new FlittPay({ merchantId: 1549901, secretKey: KEY, ...how });
}

/** @param {object} [more] */
function order(more) {
  return { order_id: flitt.getOrderId(), order_desc: 'A month', currency: 'GEL', amount: '1000', ...more };
}

/** @param {object} [more] @param {any} [by] */
async function paid(more, by = flitt) {
  const asked = order(more);
  const { checkout_url } = await by.Checkout({ ...asked });
  assert.equal((await press(checkout_url, 'pay', { card: GOOD })).status, 200);
  return asked;
}

/** What Flitt says of the order now, with a signature that holds. @param {string} order_id */
async function status(order_id) {
  const said = await flitt.Status({ order_id });
  assert.equal(flitt.isValidResponse(said), true);
  return said;
}

/** The failure that the promise was answered with. @param {Promise<unknown>} promise */
async function failure(promise) {
  const { response } = await refusal(promise);
  assert.deepEqual([response.response_status, response.signature], ['failure', undefined]);
  return Number(response.error_code);
}

/** A callback for the order, as it came. @param {string} order_id @param {string} order_status */
function callback(order_id, order_status) {
  return listener.heard((said) => said.order_id === order_id && said.order_status === order_status);
}

for (const [name, by] of Object.entries(dialects)) {
  test(`a customer pays on the page, and the answers' signatures hold: ${name}`, async () => {
    const asked = order();
    const opened = await by.Checkout({ ...asked, server_callback_url: THERE });
    assert.deepEqual([opened.response_status, opened.signature], ['success', undefined]);
    assert.equal((await by.Status({ order_id: asked.order_id })).order_status, 'created');
    assert.equal((await press(opened.checkout_url, 'pay', { card: GOOD })).status, 200);
    const said = await by.Status({ order_id: asked.order_id });
    assert.deepEqual(
      [said.order_status, said.amount, said.actual_amount, said.currency, said.tran_type],
      ['approved', '1000', '1000', 'GEL', 'purchase'],
    );
    assert.deepEqual([String(said.payment_id), said.masked_card], [opened.payment_id, '444455XXXXXX6666']);
    // The order inside of protocol 2.0 has no signature of its own: the library drops the one around it.
    if (name === '2.0') assert.equal(said.signature, undefined);
    else assert.equal(by.isValidResponse(said), true);
    const returned = await by.Reverse({ order_id: asked.order_id, amount: '1000', currency: 'GEL' });
    assert.equal(returned.reverse_status, 'approved');
  });
}

test('an answer whose amount was changed, or that another key signed, does not hold', async () => {
  const { order_id } = await paid();
  const said = await status(order_id);
  assert.equal(flitt.isValidResponse({ ...said, amount: '1' }), false);
  assert.equal(flitt.isValidResponse({ ...said, merchant_data: 'more' }), false);
  assert.equal(client({ secretKey: 'key_of_someone_else' }).isValidResponse(said), false);
});

test('a wrong key, a wrong merchant and an unknown order fail with their codes', async () => {
  assert.equal(await failure(client({ secretKey: 'key_of_someone_else' }).Checkout(order())), 1014);
  assert.equal(await failure(client({ merchantId: 1396424 }).Checkout(order())), 1016);
  assert.equal(await failure(flitt.Status({ order_id: 'nobody' })), 1018);
  assert.equal(await failure(flitt.Checkout(order({ currency: 'JPY' }))), 1012);
  assert.equal(await failure(flitt.Checkout(order({ order_desc: '' }))), 1011);
  const asked = order();
  await flitt.Checkout({ ...asked });
  assert.equal(await failure(flitt.Checkout({ ...asked })), 1013);
});

test('a page for an embedded form is opened by a token', async () => {
  const { token, checkout_url } = await flitt.CheckoutToken(order());
  assert.deepEqual([typeof token, checkout_url], ['string', undefined]);
});

test('a declined try leaves the order open, and is called back with its code', async () => {
  const asked = order();
  const { checkout_url } = await flitt.Checkout({ ...asked });
  assert.equal((await press(checkout_url, 'pay', { card: BAD })).status, 402);
  const { order_status, response_code } = await status(asked.order_id);
  assert.deepEqual([order_status, response_code], ['processing', 1000]);
  const told = JSON.parse((await callback(asked.order_id, 'processing')).body.toString());
  assert.deepEqual([flitt.isValidResponse(told), told.response_code], [true, 1000]);
  assert.equal((await press(checkout_url, 'pay', { card: GOOD })).status, 200);
  assert.equal((await status(asked.order_id)).order_status, 'approved');
});

test('an order that is not delayed ends with its first decline', async () => {
  const asked = order({ delayed: 'N', response_url: THERE });
  const { checkout_url } = await flitt.Checkout({ ...asked });
  await press(checkout_url, 'pay', { card: BAD });
  assert.equal((await status(asked.order_id)).order_status, 'declined');
});

test('a bank asks its customer first, and the way back carries fields whose signature holds', async () => {
  const asked = order({ response_url: THERE });
  const { checkout_url } = await flitt.Checkout({ ...asked });
  const bank = await press(checkout_url, 'pay', { card: ASKS });
  assert.match(await bank.text(), /Your bank asks/);
  assert.equal((await status(asked.order_id)).order_status, 'processing');
  const page = await (await press(checkout_url, 'confirm')).text();
  assert(page.includes(`action="${THERE}"`));
  const hidden = page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g);
  const text = (/** @type {string} */ html) =>
    html
      .replaceAll('&quot;', '"')
      .replaceAll('&#39;', "'")
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&amp;', '&');
  const carried = Object.fromEntries([...hidden].map(([, name, value]) => [name, text(value)]));
  assert.deepEqual([carried.order_id, carried.order_status, carried.eci], [asked.order_id, 'approved', '5']);
  assert.equal(flitt.isValidResponse(carried), true);
});

test('a card is saved with a purchase and charged again without its owner', async () => {
  const { order_id } = await paid({ required_rectoken: 'Y' });
  const { rectoken, rectoken_lifetime } = await status(order_id);
  assert.match(rectoken_lifetime, /^\d\d\.\d\d\.\d{4} \d\d:\d\d:\d\d$/);
  for (const by of [dialects.json, dialects.form]) {
    const charged = await by.Recurring(order({ rectoken }));
    assert.deepEqual([charged.order_status, charged.masked_card], ['approved', '444455XXXXXX6666']);
    assert.equal(by.isValidResponse(charged), true);
  }
  assert.equal((await dialects['2.0'].Recurring(order({ rectoken }))).order_status, 'approved');
  await simulator.fault('flitt', { kind: 'decline', code: '1037' });
  const declined = await flitt.Recurring(order({ rectoken }));
  assert.deepEqual(
    [declined.response_status, declined.order_status, declined.response_code],
    ['success', 'declined', 1037],
  );
  assert.equal(flitt.isValidResponse(declined), true);
});

test('a card is saved by a verification, which is no sale', async () => {
  const asked = order({ amount: '100', required_rectoken: 'Y' });
  const { checkout_url } = await flitt.Verification({ ...asked });
  await press(checkout_url, 'pay', { card: GOOD });
  const said = await status(asked.order_id);
  assert.deepEqual(
    [said.tran_type, said.order_status, said.verification_status],
    ['verification', 'approved', 'verified'],
  );
  assert.equal((await flitt.Recurring(order({ rectoken: said.rectoken }))).order_status, 'approved');
});

test('a token that is unknown, and a merchant without recurring payments, fail with their codes', async () => {
  assert.equal(await failure(flitt.Recurring(order({ rectoken: 'nobody' }))), 1035);
  await simulator.admin('configure', { flitt: { recurring: false } });
  assert.equal(await failure(flitt.Recurring(order({ rectoken: 'nobody' }))), 1060);
  await simulator.admin('configure', { flitt: { recurring: true } });
});

test('a payment goes back in part and in full, once for each name, and never more than came', async () => {
  const { order_id } = await paid();
  const part = { order_id, amount: '400', currency: 'GEL', reverse_id: 'refund-1' };
  const first = await flitt.Reverse({ ...part });
  assert.deepEqual([first.reverse_status, first.reversal_amount], ['approved', '400']);
  assert.equal((await flitt.Reverse({ ...part })).transaction_id, first.transaction_id);
  const so_far = await status(order_id);
  assert.deepEqual([so_far.order_status, so_far.reversal_amount], ['approved', '400']);
  assert.equal(await failure(flitt.Reverse({ ...part, amount: '601', reverse_id: 'refund-2' })), 1023);
  await flitt.Reverse({ ...part, amount: '600', reverse_id: 'refund-3' });
  const done = await status(order_id);
  assert.deepEqual([done.order_status, done.reversal_amount], ['reversed', '1000']);
  const rows = await flitt.TransactionList({ order_id });
  assert.deepEqual(
    rows.map((/** @type {any} */ row) => [row.tran_type, row.amount]),
    [
      ['purchase', 10],
      ['reverse', 4],
      ['reverse', 6],
    ],
  );
});

/** @type {Record<string, (body: string) => any>} */
const CALLBACKS = {
  flat: (body) => JSON.parse(body),
  wrapped: (body) => JSON.parse(body).response,
  form: (body) => ({ ...parse(body) }),
  encoded: (body) => JSON.parse(body).response,
};

for (const [form, read] of Object.entries(CALLBACKS)) {
  test(`a callback is signed so that the library takes it, and not once it was changed: ${form}`, async () => {
    await simulator.admin('configure', { flitt: { callbacks: form } });
    const before = listener.count;
    const { order_id } = await paid({ merchant_data: 'ქართული "text"' });
    const { body, headers } = await listener.nth(before);
    const said = read(body.toString());
    assert.equal(flitt.isValidResponse(said), true);
    assert.match(
      String(headers['content-type']),
      form === 'form' ? /^application\/x-www-form-urlencoded/ : /^application\/json/,
    );
    const inner = form === 'encoded' ? JSON.parse(Buffer.from(said.data, 'base64').toString()).order : said;
    assert.deepEqual(
      [inner.order_id, inner.order_status, inner.merchant_data],
      [order_id, 'approved', 'ქართული "text"'],
    );
    const changed = form === 'encoded' ? { ...said, data: said.data.replace('e', 'f') } : { ...said, amount: '1' };
    assert.equal(flitt.isValidResponse(changed), false);
    await simulator.admin('configure', { flitt: { callbacks: 'flat' } });
  });
}
