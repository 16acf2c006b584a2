// Two libraries: one that is generated from Paystack's specification, for its types; and Paystack's own, whose types
// say little, for what it puts on the line.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import https from 'node:https';
import { after, before, test } from 'node:test';
import {
  assertOk,
  createPaystack,
  toPaystackApiError,
  verifyPaystackWebhookSignature,
} from '@alexasomba/paystack-node';
import { Paystack } from '@paystack/paystack-sdk';
import { Simulator, pay, press } from './simulator.js';

const SECRET = 'sk_test_simulator_paystack';
const THERE = 'https://merchant.example/back';
const REUSABLE = '4084084084084081';
const NO_FUNDS = '4084080000670037';

/** @type {Simulator} */
let simulator;
/** @type {ReturnType<typeof createPaystack>} */
let paystack;
/** @type {Awaited<ReturnType<Simulator['listen']>>} */
let listener;
let serial = 0;

before(async () => {
  simulator = await Simulator.start();
  listener = await simulator.listen('paystack');
  paystack = clientWith(SECRET);
  https.globalAgent = /** @type {any} */ (simulator.line('paystack'));
});
after(() => simulator.stop());

/** @param {string} secretKey */
function clientWith(secretKey) {
  return createPaystack({ secretKey, baseUrl: `${simulator.url}/paystack`, retry: { retries: 0 } });
}

const reference = () => `order-${(serial += 1)}`;

/**
 * What the call answered with.
 * @template A
 * @param {Promise<{data?: {status?: boolean, data?: A}, error?: unknown, response: Response}>} call
 * @returns {Promise<NonNullable<A>>}
 */
async function ok(call) {
  const answer = assertOk(await call);
  assert(answer?.status === true && answer.data);
  return answer.data;
}

/** What the call was refused with. @param {Promise<any>} call */
async function refused(call) {
  const error = toPaystackApiError(await call);
  assert(error, 'it was not refused');
  const { status, message, type, code } = /** @type {any} */ (error.error);
  assert.deepEqual([status, typeof message, typeof type, typeof code], [false, 'string', 'string', 'string']);
  return { status: error.status, message };
}

/** @param {string} email @param {string} [of] */
function initialize(email, of = reference()) {
  const metadata = { invoice: 'inv-1' };
  const body = {
    email,
    amount: 700_000,
    currency: /** @type {const} */ ('NGN'),
    reference: of,
    callback_url: THERE,
    metadata,
  };
  return ok(paystack.transaction_initialize({ body: /** @type {any} */ (body) }));
}

/** @param {string} of */
function verify(of) {
  return ok(paystack.transaction_verify({ params: { path: { reference: of } } }));
}

/** A payment on the page, and the card that it left. @param {string} email */
async function paid(email) {
  const opened = await initialize(email);
  await pay(opened.authorization_url, { card: REUSABLE });
  const done = await verify(opened.reference);
  assert.equal(done.status, 'success');
  const code = done.authorization?.authorization_code;
  assert(code);
  return { reference: opened.reference, id: done.id, code };
}

/** @param {string} email @param {string} authorization_code @param {string} [of] */
function chargeSaved(email, authorization_code, of = reference()) {
  const body = { email, amount: 500_000, authorization_code, reference: of, metadata: '{"invoice":"inv-2"}' };
  return paystack.transaction_chargeAuthorization({ body: /** @type {any} */ (body) });
}

test('a wrong key is refused before anything is looked at', async () => {
  const call = clientWith('sk_test_of_someone_else').transaction_list();
  assert.equal((await refused(call)).status, 401);
});

test('a customer pays on the page, after a decline, and the transaction is verified', async () => {
  const opened = await initialize('ada@example.com');
  assert.match(opened.authorization_url, new RegExp(`/${opened.access_code}$`));
  assert.equal((await verify(opened.reference)).status, 'abandoned');
  assert.equal((await press(opened.authorization_url, 'pay', { card: NO_FUNDS })).status, 402);
  const failed = await verify(opened.reference);
  assert.deepEqual([failed.status, failed.gateway_response], ['failed', 'Insufficient Funds']);

  const back = await pay(opened.authorization_url, { card: REUSABLE });
  assert.equal(back.href, `${THERE}?trxref=${opened.reference}&reference=${opened.reference}`);
  const done = await verify(opened.reference);
  assert.deepEqual(
    [done.status, done.amount, done.requested_amount, done.currency, done.channel],
    ['success', 700_000, 700_000, 'NGN', 'card'],
  );
  assert.deepEqual([done.metadata, done.gateway_response], [{ invoice: 'inv-1' }, 'Approved']);
  assert(
    Number.isSafeInteger(done.id) && done.id > 2 ** 32 && Date.parse(done.paidAt ?? '') > 0 && Number(done.fees) > 0,
  );
  const { reusable, last4, exp_year, card_type, signature } = done.authorization ?? {};
  assert.deepEqual([reusable, last4, exp_year, card_type, typeof signature], [true, '4081', '2040', 'visa ', 'string']);
  assert.equal(done.customer?.email, 'ada@example.com');
  const fetched = await ok(paystack.transaction_fetch({ params: { path: { id: done.id } } }));
  assert.equal(fetched.reference, opened.reference);
});

test('what is unknown, and a reference that is taken, are refused with 400 and words', async () => {
  const of = reference();
  const unknown = await refused(paystack.transaction_verify({ params: { path: { reference: of } } }));
  assert.deepEqual(unknown, { status: 400, message: 'Transaction reference not found.' });
  await initialize('twice@example.com', of);
  const body = /** @type {any} */ ({ email: 'twice@example.com', amount: 100_000, reference: of });
  const taken = await refused(paystack.transaction_initialize({ body }));
  assert.deepEqual(taken, { status: 400, message: 'Duplicate Transaction Reference' });
});

test('a saved card is charged again, and a decline of it is not an error of the call', async () => {
  const { code } = await paid('saved@example.com');
  const charged = await ok(chargeSaved('saved@example.com', code));
  assert.deepEqual(
    [charged.status, charged.amount, charged.authorization.authorization_code],
    ['success', 500_000, code],
  );
  await simulator.fault('paystack', { kind: 'decline', code: 'insufficient_funds' });
  const declined = await ok(chargeSaved('saved@example.com', code));
  assert.deepEqual([declined.status, declined.gateway_response], ['failed', 'Insufficient Funds']);
  assert.equal((await verify(declined.reference)).status, 'failed');
});

test('a saved card works for its own customer only, and not once it was deactivated', async () => {
  const { code } = await paid('owner@example.com');
  await paid('thief@example.com');
  const stolen = await refused(chargeSaved('thief@example.com', code));
  assert.match(stolen.message, /^Email does not match Authorization code/);
  const made_up = await refused(chargeSaved('owner@example.com', 'AUTH_nobody'));
  assert.deepEqual(made_up, { status: 400, message: 'Authorization code is invalid' });
  assertOk(await paystack.customer_deactivateAuthorization({ body: { authorization_code: code } }));
  assert.equal((await refused(chargeSaved('owner@example.com', code))).status, 400);
});

test('a charge that is paused has no status, and goes on once its customer approved', async () => {
  const { code } = await paid('two-factor@example.com');
  await simulator.fault('paystack', { kind: 'paused' });
  const of = reference();
  const paused = /** @type {any} */ (await ok(chargeSaved('two-factor@example.com', code, of)));
  assert.deepEqual([paused.paused, paused.status, paused.reference], [true, undefined, of]);
  assert.equal((await verify(of)).status, 'ongoing');
  assert.equal((await press(paused.authorization_url, 'pay')).status, 200);
  assert.equal((await verify(of)).status, 'success');
});

test('transactions are listed by customer and status, page by page', async () => {
  const email = 'lists@example.com';
  const made = [(await paid(email)).reference, (await paid(email)).reference];
  await initialize(email);
  const customer = /** @type {any} */ (await ok(paystack.customer_fetch({ params: { path: { code: email } } })));
  const query = /** @type {any} */ ({ customer: customer.id, status: 'success', perPage: 1, page: 2 });
  const answer = assertOk(await paystack.transaction_list({ params: { query } }));
  assert.deepEqual(
    answer?.data?.map((row) => row.reference),
    made.slice(0, 1),
  );
  const { total, page, pageCount } = /** @type {any} */ (answer?.meta);
  assert.deepEqual([total, page, pageCount], [2, 2, 2]);
});

test('a customer is one however often they are created, and is fetched by code with their cards', async () => {
  const email = 'grace@example.com';
  const made = await ok(paystack.customer_create({ body: { email, first_name: 'Grace', last_name: 'Hopper' } }));
  const again = await ok(paystack.customer_create({ body: { email } }));
  assert.deepEqual([again.customer_code, again.id], [made.customer_code, made.id]);
  await paid(email);
  const code = made.customer_code;
  const changed = await ok(paystack.customer_update({ params: { path: { code } }, body: { phone: '+2348000000000' } }));
  assert.deepEqual([changed.phone, changed.first_name], ['+2348000000000', 'Grace']);
  const fetched = await ok(paystack.customer_fetch({ params: { path: { code } } }));
  const cards = /** @type {any[]} */ (fetched.authorizations);
  assert.deepEqual(
    cards.map(({ last4, reusable }) => [last4, reusable]),
    [['4081', true]],
  );
});

test('a payment is refunded in part and in full, and refunds are listed by transaction', async () => {
  const { reference: of, id } = await paid('refund@example.com');
  const part = await ok(paystack.refund_create({ body: { transaction: of, amount: 200_000 } }));
  assert.deepEqual([part.status, part.amount, part.currency], ['pending', 200_000, 'NGN']);
  const { body } = await listener.heard(
    (event) => event.event === 'refund.processed' && event.data.transaction_reference === of,
  );
  assert.equal(JSON.parse(body.toString()).data.amount, '200000');
  assert.equal((await verify(of)).status, 'success');
  const much = await refused(paystack.refund_create({ body: { transaction: of, amount: 500_001 } }));
  assert.equal(much.status, 400);
  const rest = await ok(paystack.refund_create({ body: { transaction: of } }));
  assert.equal(rest.amount, 500_000);
  const query = /** @type {any} */ ({ transaction: id });
  const listed = await ok(paystack.refund_list({ params: { query } }));
  assert.deepEqual(
    listed.map((row) => row.amount),
    [500_000, 200_000],
  );
  const number = /** @type {any} */ (rest).id;
  assert.equal((await ok(paystack.refund_fetch({ params: { path: { id: number } } }))).amount, 500_000);
  await listener.heard(
    ({ event, data }) => event === 'refund.processed' && data.transaction_reference === of && data.amount === '500000',
  );
  assert.equal((await verify(of)).status, 'reversed');
});

test('a customer gets an account of their own, and money that they send to it is a charge', async () => {
  const person = { email: 'nuban@example.com', first_name: 'Nkechi', last_name: 'Obi', phone: '+2348011111111' };
  const customer = await ok(paystack.customer_create({ body: person }));
  const body = { customer: customer.customer_code, preferred_bank: 'test-bank' };
  const account = await ok(paystack.dedicatedAccount_create({ body }));
  assert.deepEqual([account.active, account.currency, account.bank.slug], [true, 'NGN', 'test-bank']);
  const { account_number } = account;
  await simulator.admin('paystack/transfer', { account_number, amount: 700_000, sender: 'Nkechi', unnoticed: false });
  const heard = await listener.heard(({ data }) => data.authorization?.receiver_bank_account_number === account_number);
  const { event, data } = JSON.parse(heard.body.toString());
  assert.deepEqual(
    [event, data.channel, data.amount, data.authorization.reusable],
    ['charge.success', 'dedicated_nuban', 700_000, false],
  );
  assert.equal((await verify(data.reference)).customer?.email, person.email);
  const query = /** @type {any} */ ({ customer: customer.customer_code, active: true });
  const listed = await ok(paystack.dedicatedAccount_list({ params: { query } }));
  assert.deepEqual(
    listed.map((row) => row.account_number),
    [account_number],
  );
  const path = { id: String(account.id) };
  assert.equal((await ok(paystack.dedicatedAccount_deactivate({ params: { path } }))).active, false);
});

test('an account that is assigned in one step comes by webhook', async () => {
  const person = { email: 'assigned@example.com', first_name: 'Chidi', last_name: 'Eze', phone: '+2348022222222' };
  const body = { ...person, preferred_bank: 'test-bank', country: 'NG' };
  const answer = assertOk(await paystack.dedicatedAccount_assign({ body: /** @type {any} */ (body) }));
  assert.equal(answer?.message, 'Assign dedicated account in progress');
  const heard = await listener.heard(({ event }) => event === 'dedicatedaccount.assign.success');
  const { data } = JSON.parse(heard.body.toString());
  assert.deepEqual([data.customer.email, data.dedicated_account.bank.slug], [person.email, 'test-bank']);
});

test('a payment that its customer disputes is listed, fetched, and found by its transaction', async () => {
  const { reference: of, id } = await paid('dispute@example.com');
  await simulator.admin('dispute', { gateway: 'paystack', reference: of, outcome: 'open' });
  const [listed] = await ok(paystack.dispute_list({ params: { query: /** @type {any} */ ({ transaction: id }) } }));
  assert.deepEqual(
    [listed.status, listed.category, listed.refund_amount],
    ['awaiting-merchant-feedback', 'chargeback', 700_000],
  );
  assert.equal(listed.transaction?.reference, of);
  const path = { id: listed.id };
  assert.equal((await ok(paystack.dispute_fetch({ params: { path } }))).currency, 'NGN');
  const found = await ok(paystack.dispute_transaction({ params: { path: { id } } }));
  assert.equal(found.id, listed.id);
  await simulator.admin('dispute', { gateway: 'paystack', reference: of, outcome: 'lost' });
  const lost = await ok(paystack.dispute_fetch({ params: { path } }));
  assert.deepEqual([lost.status, lost.resolution], ['resolved', 'merchant-accepted']);
  assert.equal((await verify(of)).status, 'reversed');
});

test('a webhook is signed with the key over its raw bytes, and what was tampered with is not', async () => {
  const { reference: of } = await paid('webhook@example.com');
  const { body, headers } = await listener.heard(
    ({ event, data }) => event === 'charge.success' && data.reference === of,
  );
  const signature = String(headers['x-paystack-signature']);
  assert.equal(signature, createHmac('sha512', SECRET).update(body).digest('hex'));
  const genuine = (/** @type {Buffer} */ rawBody, secret = SECRET) =>
    verifyPaystackWebhookSignature({ rawBody, signature, secret });
  assert.equal(genuine(body), true);
  assert.equal(genuine(Buffer.from(body.toString().replace('700000', '900000'))), false);
  assert.equal(genuine(body, 'sk_test_of_someone_else'), false);
  // What Paystack's sample for Node hashes: the bytes have to survive it.
  assert.equal(genuine(Buffer.from(JSON.stringify(JSON.parse(body.toString())))), true);
});

test("Paystack's own library initializes, verifies, charges again, refunds and lists", async () => {
  const own = new Paystack(SECRET);
  const email = 'own-library@example.com';
  const opened = await own.transaction.initialize({
    email,
    amount: 700_000,
    reference: reference(),
    callback_url: THERE,
  });
  assert.deepEqual([opened.status, opened.message], [true, 'Authorization URL created']);
  await pay(opened.data.authorization_url, { card: REUSABLE });
  const { data } = await own.transaction.verify({ reference: opened.data.reference });
  assert.deepEqual([data.status, data.amount], ['success', 700_000]);
  const { authorization_code } = data.authorization;
  const again = await own.transaction.chargeAuthorization({
    email,
    amount: 300_000,
    authorization_code,
    reference: reference(),
  });
  assert.equal(again.data.status, 'success');
  const refund = await own.refund.create({ transaction: again.data.reference });
  assert.equal(refund.data.amount, 300_000);
  const listed = await own.transaction.list({ perPage: 2 });
  assert.deepEqual(
    listed.data.map((/** @type {{id: number}} */ row) => row.id),
    [again.data.id, data.id],
  );
  const customer = await own.customer.fetch({ code: email });
  assert.equal(customer.data.email, email);
  const unknown = await own.transaction.verify({ reference: 'nobody' });
  assert.deepEqual([unknown.status, unknown.message], [false, 'Transaction reference not found.']);
});
