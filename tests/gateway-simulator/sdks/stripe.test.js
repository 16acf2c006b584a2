// Stripe's own library, pinned to the version of the API that it was made for.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import Stripe from 'stripe';
import { Simulator, pay, press, refusal } from './simulator.js';

const SECRET = 'whsec_simulator_stripe';
const THERE = 'https://merchant.example/back';
/** @type {Stripe.PaymentIntentCreateParams.AutomaticPaymentMethods} */
const NO_REDIRECTS = { enabled: true, allow_redirects: 'never' };

/** @type {Simulator} */
let simulator;
/** @type {Stripe} */
let stripe;
/** @type {Awaited<ReturnType<Simulator['listen']>>} */
let listener;

before(async () => {
  simulator = await Simulator.start();
  listener = await simulator.listen('stripe');
  stripe = clientWith();
});
after(() => simulator.stop());

/** @param {string} [key] @param {Partial<NonNullable<ConstructorParameters<typeof Stripe>[1]>>} [config] */
function clientWith(key = 'sk_test_simulator_stripe', config) {
  const httpAgent = simulator.line('stripe', 'http:');
  return new Stripe(key, { host: '127.0.0.1', protocol: 'http', httpAgent, maxNetworkRetries: 0, ...config });
}

/** @param {string} card */
async function customerWith(card = 'pm_card_visa') {
  const customer = await stripe.customers.create({ email: 'ada@example.com', payment_method: card });
  const [method] = (await stripe.customers.listPaymentMethods(customer.id)).data;
  return { customer: customer.id, payment_method: method.id };
}

/** @param {{customer: string, payment_method: string}} who @param {Stripe.RequestOptions} [options] */
function charge(who, options) {
  const params = { ...who, amount: 2500, currency: 'usd', off_session: true, confirm: true };
  return stripe.paymentIntents.create(params, options);
}

/** @param {Partial<Stripe.Checkout.SessionCreateParams>} [more] */
function checkout(more) {
  return stripe.checkout.sessions.create({
    mode: 'payment',
    success_url: `${THERE}?sid={CHECKOUT_SESSION_ID}`,
    line_items: [
      { quantity: 2, price_data: { currency: 'usd', unit_amount: 1250, product_data: { name: 'A month' } } },
    ],
    ...more,
  });
}

test('the library and the simulator speak the same version of the API', async () => {
  const { lastResponse } = await stripe.customers.create({ email: 'version@example.com' });
  assert.equal(lastResponse.apiVersion, '2026-10-28.endive');
  assert.match(lastResponse.requestId, /^req_/);
  const older = clientWith(undefined, { apiVersion: /** @type {any} */ ('2024-06-20') });
  assert((await refusal(older.customers.list())) instanceof Stripe.errors.StripeInvalidRequestError);
});

test('a wrong key is an authentication error', async () => {
  const error = await refusal(clientWith('sk_test_of_someone_else').customers.list());
  assert(error instanceof Stripe.errors.StripeAuthenticationError);
  assert.equal(error.statusCode, 401);
});

test('a customer is created, read, changed, found by address and deleted', async () => {
  const email = 'grace@example.com';
  const made = await stripe.customers.create({ email, name: 'Grace', metadata: { tenant: 'acme' } });
  const changed = await stripe.customers.update(made.id, { phone: '+995 555 000 000', metadata: { tenant: '' } });
  assert.deepEqual([changed.phone, changed.name, changed.metadata], ['+995 555 000 000', 'Grace', {}]);
  const found = await stripe.customers.list({ email });
  assert.deepEqual(
    found.data.map(({ id }) => id),
    [made.id],
  );
  assert.equal((await stripe.customers.del(made.id)).deleted, true);
  const gone = await stripe.customers.retrieve(made.id);
  assert.equal(gone.deleted, true);
});

test('what does not exist is an invalid request that names the parameter', async () => {
  const error = await refusal(stripe.paymentIntents.retrieve('pi_nobody'));
  assert(error instanceof Stripe.errors.StripeInvalidRequestError);
  assert.deepEqual([error.statusCode, error.code, error.param], [404, 'resource_missing', 'intent']);
  const renamed = /** @type {any} */ ({ amount: 100, currency: 'usd', payment_method_types: ['card'] });
  const sent = await refusal(stripe.paymentIntents.create(renamed));
  assert.equal(sent.code, 'payment_method_types_no_longer_supported');
});

test('lists page by themselves, newest first, forwards and backwards', async () => {
  const email = 'many@example.com';
  const made = [];
  for (let n = 0; n < 7; n += 1) made.push((await stripe.customers.create({ email })).id);
  const all = await stripe.customers.list({ email, limit: 3 }).autoPagingToArray({ limit: 100 });
  assert.deepEqual(
    all.map(({ id }) => id),
    made.toReversed(),
  );
  const back = [];
  for await (const { id } of stripe.customers.list({ email, limit: 2, ending_before: made[0] })) back.push(id);
  assert.deepEqual(back, made.slice(1));
});

test('a customer pays on the hosted page, and the card stays for later', async () => {
  const session = await checkout({
    customer_creation: 'always',
    customer_email: 'hosted@example.com',
    client_reference_id: 'order-1',
    metadata: { reference: 'order-1' },
    payment_intent_data: { setup_future_usage: 'off_session', metadata: { reference: 'order-1' } },
  });
  assert.deepEqual(
    [session.status, session.payment_status, session.amount_total, session.payment_intent, session.ui_mode],
    ['open', 'unpaid', 2500, null, 'hosted_page'],
  );
  const declined = await press(session.url, 'pay', { card: '4000000000009995' });
  assert.equal(declined.status, 402);
  const tried = await stripe.checkout.sessions.retrieve(session.id, { expand: ['payment_intent'] });
  assert(tried.payment_intent && typeof tried.payment_intent === 'object');
  assert.equal(tried.payment_intent.status, 'requires_payment_method');
  assert.equal(tried.payment_intent.last_payment_error?.decline_code, 'insufficient_funds');

  const returned = await pay(session.url, { card: '4242424242424242' });
  assert.equal(returned.href, `${THERE}?sid=${session.id}`);
  const paid = await stripe.checkout.sessions.retrieve(session.id, { expand: ['payment_intent.latest_charge'] });
  assert.deepEqual([paid.status, paid.payment_status, paid.url], ['complete', 'paid', null]);
  const intent = paid.payment_intent;
  assert(intent && typeof intent === 'object' && intent.latest_charge && typeof intent.latest_charge === 'object');
  assert.deepEqual([intent.status, intent.amount_received, intent.metadata.reference], ['succeeded', 2500, 'order-1']);
  assert.deepEqual([intent.latest_charge.paid, intent.latest_charge.outcome?.type], [true, 'authorized']);
  assert(typeof paid.customer === 'string' && typeof intent.payment_method === 'string');
  const again = await charge({ customer: paid.customer, payment_method: intent.payment_method });
  assert.equal(again.status, 'succeeded');
});

test('a card is saved on the hosted page without a payment', async () => {
  const { id: customer } = await stripe.customers.create({ email: 'saver@example.com' });
  const options = { mode: /** @type {const} */ ('setup'), currency: 'usd', customer, line_items: undefined };
  const session = await checkout(options);
  assert.deepEqual([session.payment_status, session.amount_total], ['no_payment_required', null]);
  await pay(session.url, { card: '4000002500003155' });
  const saved = await stripe.checkout.sessions.retrieve(session.id, { expand: ['setup_intent.payment_method'] });
  const setup = saved.setup_intent;
  assert(setup && typeof setup === 'object' && setup.payment_method && typeof setup.payment_method === 'object');
  assert.deepEqual([setup.status, setup.usage], ['succeeded', 'off_session']);
  const { card, customer: owner, id } = setup.payment_method;
  assert.deepEqual([owner, card?.brand, card?.last4, card?.funding], [customer, 'visa', '3155', 'credit']);
  // It asked its owner while it was saved, and does not ask again.
  assert.equal((await charge({ customer, payment_method: id })).status, 'succeeded');
});

test('a page that was expired cannot be paid, and not be expired twice', async () => {
  const session = await checkout();
  const expired = await stripe.checkout.sessions.expire(session.id);
  assert.deepEqual([expired.status, expired.url], ['expired', null]);
  assert.equal((await fetch(session.url ?? '')).status, 410);
  const error = await refusal(stripe.checkout.sessions.expire(session.id));
  assert(error instanceof Stripe.errors.StripeInvalidRequestError);
});

test('an intent is made first and confirmed afterwards', async () => {
  const options = { amount: 990, currency: 'gel', automatic_payment_methods: NO_REDIRECTS };
  const made = await stripe.paymentIntents.create(options);
  assert.deepEqual([made.status, made.latest_charge], ['requires_payment_method', null]);
  const without = await refusal(stripe.paymentIntents.confirm(made.id));
  assert.equal(without.code, 'parameter_missing');
  const paid = await stripe.paymentIntents.confirm(made.id, { payment_method: 'pm_card_visa', return_url: THERE });
  assert.deepEqual([paid.status, paid.amount_received], ['succeeded', 990]);
  const twice = await refusal(stripe.paymentIntents.confirm(made.id));
  assert.equal(twice.code, 'payment_intent_unexpected_state');
  const other = await stripe.paymentIntents.create(options);
  const canceled = await stripe.paymentIntents.cancel(other.id, { cancellation_reason: 'abandoned' });
  assert.deepEqual([canceled.status, canceled.cancellation_reason], ['canceled', 'abandoned']);
});

const DECLINES = [
  { reason: 'insufficient_funds', code: 'card_declined', advice: 'try_again_later' },
  { reason: 'lost_card', code: 'card_declined', advice: 'do_not_try_again' },
  { reason: 'expired_card', code: 'expired_card', advice: 'confirm_card_data' },
  { reason: 'processing_error', code: 'processing_error', advice: 'try_again_later' },
];

for (const { reason, code, advice } of DECLINES) {
  test(`a saved card that is declined for ${reason} is a card error with its advice`, async () => {
    const who = await customerWith();
    await simulator.fault('stripe', { kind: 'decline', code: reason });
    const error = await refusal(charge(who));
    assert(error instanceof Stripe.errors.StripeCardError);
    assert.deepEqual([error.statusCode, error.code, error.decline_code], [402, code, reason]);
    assert.equal(error.advice_code, advice);
    assert.deepEqual(
      [error.payment_intent?.status, error.payment_method?.id],
      ['requires_payment_method', who.payment_method],
    );
    assert.equal(error.payment_intent?.last_payment_error?.decline_code, reason);
    const failed = await stripe.charges.retrieve(error.charge ?? '');
    assert.deepEqual([failed.status, failed.failure_code], ['failed', code]);
  });
}

test('a card that wants its owner is a card error off session, and asks for an action on session', async () => {
  const who = await customerWith('pm_card_authenticationRequired');
  const error = await refusal(charge(who));
  assert(error instanceof Stripe.errors.StripeCardError);
  assert.deepEqual([error.code, error.decline_code], ['authentication_required', 'authentication_required']);
  const asked = await stripe.paymentIntents.create({
    ...who,
    amount: 2500,
    currency: 'usd',
    confirm: true,
    return_url: THERE,
  });
  assert.deepEqual([asked.status, asked.next_action?.type], ['requires_action', 'redirect_to_url']);
});

test('a request that is repeated under its key is answered as before and done once', async () => {
  const who = await customerWith();
  const first = await charge(who, { idempotencyKey: 'attempt-1' });
  const second = await charge(who, { idempotencyKey: 'attempt-1' });
  assert.deepEqual([second.id, second.lastResponse.idempotencyKey], [first.id, 'attempt-1']);
  assert.equal(second.lastResponse.headers['idempotent-replayed'], 'true');
  assert.equal(second.lastResponse.headers['original-request'], first.lastResponse.requestId);
  assert.equal((await stripe.paymentIntents.list({ customer: who.customer })).data.length, 1);
  const other = { ...who, amount: 2600, currency: 'usd', off_session: true, confirm: true };
  const error = await refusal(stripe.paymentIntents.create(other, { idempotencyKey: 'attempt-1' }));
  assert(error instanceof Stripe.errors.StripeIdempotencyError);
});

test('a decline and a failure of the server are kept under their key too', async () => {
  const who = await customerWith();
  for (const { fault, kind } of [
    { fault: { kind: 'decline', code: 'insufficient_funds' }, kind: Stripe.errors.StripeCardError },
    { fault: { kind: 'error_500' }, kind: Stripe.errors.StripeAPIError },
  ]) {
    await simulator.fault('stripe', fault);
    // Only the first of them met the fault.
    for (const _ of ['first', 'again']) {
      assert((await refusal(charge(who, { idempotencyKey: fault.kind }))) instanceof kind);
    }
  }
  assert.equal((await charge(who)).status, 'succeeded');
});

test('the library tries again by itself after a lost answer, and the money moves once', async () => {
  const who = await customerWith();
  const patient = clientWith(undefined, { maxNetworkRetries: 2 });
  await simulator.fault('stripe', { kind: 'timeout_after', ms: 50 });
  const intent = await patient.paymentIntents.create({
    ...who,
    amount: 2500,
    currency: 'usd',
    off_session: true,
    confirm: true,
  });
  assert.equal(intent.status, 'succeeded');
  assert.equal((await stripe.paymentIntents.list({ customer: who.customer })).data.length, 1);
});

test('saved methods are listed, made the default, and detached for good', async () => {
  const { customer, payment_method } = await customerWith();
  const second = await stripe.paymentMethods.attach('pm_card_mastercard', { customer });
  const listed = await stripe.paymentMethods.list({ customer, type: 'card' });
  assert.deepEqual(
    listed.data.map(({ id }) => id),
    [second.id, payment_method],
  );
  await stripe.customers.update(customer, { invoice_settings: { default_payment_method: second.id } });
  const owner = await stripe.customers.retrieve(customer);
  assert(!owner.deleted && owner.invoice_settings.default_payment_method === second.id);
  assert.equal((await stripe.paymentMethods.detach(second.id)).customer, null);
  assert.equal((await stripe.customers.listPaymentMethods(customer)).data.length, 1);
  const error = await refusal(charge({ customer, payment_method: second.id }));
  assert(error instanceof Stripe.errors.StripeInvalidRequestError);
});

test('a payment is refunded in parts until nothing is left', async () => {
  const { id: payment_intent } = await charge(await customerWith());
  const part = await stripe.refunds.create({ payment_intent, amount: 1000, reason: 'requested_by_customer' });
  assert.deepEqual([part.status, part.amount, part.reason], ['succeeded', 1000, 'requested_by_customer']);
  const much = await refusal(stripe.refunds.create({ payment_intent, amount: 1501 }));
  assert(much instanceof Stripe.errors.StripeInvalidRequestError);
  const rest = await stripe.refunds.create({ payment_intent });
  assert.equal(rest.amount, 1500);
  const listed = await stripe.refunds.list({ payment_intent, limit: 1 }).autoPagingToArray({ limit: 10 });
  assert.deepEqual(
    listed.map(({ id }) => id),
    [rest.id, part.id],
  );
  const intent = await stripe.paymentIntents.retrieve(payment_intent, { expand: ['latest_charge'] });
  assert(intent.latest_charge && typeof intent.latest_charge === 'object');
  assert.deepEqual([intent.latest_charge.refunded, intent.latest_charge.amount_refunded], [true, 2500]);
  const more = await refusal(stripe.refunds.create({ payment_intent }));
  assert.equal(more.code, 'charge_already_refunded');
});

test('a payment that its customer disputes is listed, read, and cannot be refunded', async () => {
  const { id: payment_intent } = await charge(await customerWith('pm_card_createDispute'));
  const [dispute] = (await stripe.disputes.list({ payment_intent })).data;
  const { status, reason, amount } = await stripe.disputes.retrieve(dispute.id);
  assert.deepEqual([status, reason, amount], ['needs_response', 'fraudulent', 2500]);
  const error = await refusal(stripe.refunds.create({ payment_intent }));
  assert.equal(error.code, 'charge_disputed');
});

test('a plan is a product with a price that a lookup key leads to', async () => {
  const product = await stripe.products.create({ id: 'estate', name: 'Estate', metadata: { plan: 'estate' } });
  const terms = { product: product.id, currency: 'usd', recurring: { interval: /** @type {const} */ ('month') } };
  const old = await stripe.prices.create({ ...terms, unit_amount: 2500, lookup_key: 'estate-monthly' });
  const taken = await refusal(stripe.prices.create({ ...terms, unit_amount: 2900, lookup_key: 'estate-monthly' }));
  assert.equal(taken.param, 'lookup_key');
  const move = { lookup_key: 'estate-monthly', transfer_lookup_key: true };
  const raised = await stripe.prices.create({ ...terms, unit_amount: 2900, ...move });
  await stripe.prices.update(old.id, { active: false });
  const found = await stripe.prices.list({ lookup_keys: ['estate-monthly'], expand: ['data.product'] });
  assert.deepEqual(
    found.data.map(({ id }) => id),
    [raised.id],
  );
  const [{ unit_amount, recurring, product: of }] = found.data;
  assert.deepEqual([unit_amount, recurring?.interval, recurring?.interval_count], [2900, 'month', 1]);
  assert(typeof of === 'object' && !of.deleted && of.name === 'Estate');
  const twice = await refusal(stripe.products.create({ id: 'estate', name: 'Estate' }));
  assert.equal(twice.code, 'resource_already_exists');
  assert((await refusal(stripe.products.del('estate'))) instanceof Stripe.errors.StripeInvalidRequestError);
  assert.equal((await stripe.products.update('estate', { active: false })).active, false);
});

test('a subscription that Stripe drives is read with its period, and its invoices with their lines', async () => {
  const product = await stripe.products.create({ name: 'Office' });
  const price = await stripe.prices.create({
    product: product.id,
    currency: 'usd',
    unit_amount: 4000,
    recurring: { interval: 'month' },
  });
  const started = '2026-01-31T00:00:00Z';
  const {
    subscription: { id },
  } = await simulator.admin('stripe/subscription', {
    action: 'create',
    price: price.id,
    email: 'office@example.com',
    started,
  });
  const subscription = await stripe.subscriptions.retrieve(id, { expand: ['latest_invoice'] });
  const [item] = subscription.items.data;
  assert.deepEqual([subscription.status, item.price.id, item.quantity], ['active', price.id, 1]);
  assert.equal(new Date(item.current_period_end * 1000).toISOString(), '2026-02-28T00:00:00.000Z');
  assert(subscription.latest_invoice && typeof subscription.latest_invoice === 'object');
  assert.equal(subscription.latest_invoice.billing_reason, 'subscription_create');

  await simulator.admin('stripe/subscription', { action: 'renew', subscription: id, declined: 'insufficient_funds' });
  const [open, first] = (await stripe.invoices.list({ subscription: id })).data;
  assert.deepEqual([first.status, open.status, open.amount_remaining, open.attempt_count], ['paid', 'open', 4000, 1]);
  assert.equal((await stripe.subscriptions.retrieve(id)).status, 'past_due');
  const invoice = await stripe.invoices.retrieve(open.id ?? '');
  assert.equal(invoice.parent?.subscription_details?.subscription, id);
  assert.equal(invoice.lines.data[0].pricing?.price_details?.price, price.id);
  const listed = await stripe.subscriptions.list({ price: price.id, status: 'past_due' });
  assert.deepEqual(
    listed.data.map((row) => row.id),
    [id],
  );
});

test('a webhook that the simulator sent is constructed by the library, and what was tampered with is not', async () => {
  const { id } = await charge(await customerWith());
  const { body, headers } = await listener.heard(
    (event) => event.type === 'payment_intent.succeeded' && event.data.object.id === id,
  );
  const signature = headers['stripe-signature'] ?? '';
  const event = stripe.webhooks.constructEvent(body, signature, SECRET);
  assert(event.type === 'payment_intent.succeeded');
  assert.deepEqual([event.data.object.amount_received, event.api_version], [2500, '2026-10-28.endive']);
  const kept = await stripe.events.retrieve(event.id);
  assert.deepEqual([kept.type, kept.data], [event.type, JSON.parse(body.toString()).data]);

  const forged = body.toString().replace('2500', '9900');
  assert.notEqual(forged, body.toString());
  const refused = Stripe.errors.StripeSignatureVerificationError;
  assert.throws(() => stripe.webhooks.constructEvent(forged, signature, SECRET), refused);
  assert.throws(() => stripe.webhooks.constructEvent(body, signature, 'whsec_of_someone_else'), refused);
  assert.throws(() => stripe.webhooks.constructEvent(JSON.stringify(event), signature, SECRET), refused);
});

test('a webhook is taken for five minutes, and is too old afterwards', async () => {
  const { id } = await stripe.customers.create({ email: 'old@example.com' });
  await stripe.customers.del(id);
  const { body, headers } = await listener.heard(
    (event) => event.type === 'customer.deleted' && event.data.object.id === id,
  );
  const signature = String(headers['stripe-signature']);
  const sent = Number(/^t=(\d+),/.exec(signature)?.[1]) * 1000;
  const at = (/** @type {number} */ seconds) =>
    stripe.webhooks.constructEvent(body, signature, SECRET, 300, undefined, sent + seconds * 1000);
  assert.equal(at(300).type, 'customer.deleted');
  assert.throws(() => at(301), /outside the tolerance/);
});
