// PayPal's own server library, which checks each answer against its own schema. What it has no part for, webhooks, is
// checked with Node's cryptography.

import assert from 'node:assert/strict';
import { X509Certificate, verify } from 'node:crypto';
import { after, before, test } from 'node:test';
import { crc32 } from 'node:zlib';
import {
  ApiError,
  CheckoutPaymentIntent,
  Client,
  CustomError,
  Environment,
  OAuthProviderError,
  OrdersController,
  PaymentInitiator,
  PaymentsController,
  PaypalPaymentTokenUsageType,
  PaypalWalletContextShippingPreference,
  StoreInVaultInstruction,
  StoredPaymentSourceUsageType,
  UsagePattern,
  VaultController,
  VaultTokenRequestType,
} from '@paypal/paypal-server-sdk';
import { Simulator, pay, press, refusal } from './simulator.js';

/** @import { Order, OrderRequest, LinkDescription } from '@paypal/paypal-server-sdk' */

const WEBHOOK = 'WH-SIMULATOR-PAYPAL';
const THERE = 'https://merchant.example/back';
const AWAY = 'https://merchant.example/cancelled';
const WHOLE = 'return=representation';

/** @type {Simulator} */
let simulator;
/** @type {Client} */
let client;
/** @type {OrdersController} */
let orders;
/** @type {PaymentsController} */
let payments;
/** @type {VaultController} */
let vault;
/** @type {Awaited<ReturnType<Simulator['listen']>>} */
let listener;
let serial = 0;

/** @param {string} secret */
function clientWith(secret) {
  return new Client({
    clientCredentialsAuthCredentials: { oAuthClientId: 'client_simulator_paypal', oAuthClientSecret: secret },
    environment: Environment.Sandbox,
    httpClientOptions: { httpsAgent: simulator.line('paypal'), retryConfig: { maxNumberOfRetries: 0 } },
  });
}

/** A client that has no access token yet. */
function connect() {
  client = clientWith('secret_simulator_paypal');
  [orders, payments, vault] = [
    new OrdersController(client),
    new PaymentsController(client),
    new VaultController(client),
  ];
}

before(async () => {
  simulator = await Simulator.start();
  listener = await simulator.listen('paypal');
  connect();
});
after(() => simulator.stop());

/** @param {string} [value] @returns {OrderRequest} */
function order(value = '13.99') {
  serial += 1;
  return {
    intent: CheckoutPaymentIntent.Capture,
    purchaseUnits: [
      { customId: `payment-${serial}`, invoiceId: `invoice-${serial}`, amount: { currencyCode: 'USD', value } },
    ],
  };
}

/** @param {Partial<OrderRequest['paymentSource']>} [more] */
function wallet(more) {
  const experienceContext = {
    returnUrl: THERE,
    cancelUrl: AWAY,
    shippingPreference: PaypalWalletContextShippingPreference.NoShipping,
  };
  return { paypal: { experienceContext, ...more?.paypal } };
}

/** @param {{links?: LinkDescription[]}} result @param {string} rel */
function link(result, rel) {
  return result.links?.find((link) => link.rel === rel)?.href;
}

const requestId = () => `request-${(serial += 1)}`;

/** @param {OrderRequest} body */
async function create(body) {
  const { result } = await orders.createOrder({ body, paypalRequestId: requestId(), prefer: WHOLE });
  assert(result.id);
  return { ...result, id: result.id };
}

/** @param {string} id */
async function capture(id) {
  return (await orders.captureOrder({ id, paypalRequestId: requestId(), prefer: WHOLE })).result;
}

/** @param {Order} result */
function captured(result) {
  const found = result.purchaseUnits?.[0]?.payments?.captures?.[0];
  assert(found?.id);
  return { ...found, id: found.id };
}

/** An order that its buyer approved and that was captured. @param {string} [value] */
async function paid(value) {
  const made = await create({ ...order(value), paymentSource: wallet() });
  await pay(link(made, 'payer-action'));
  return captured(await capture(made.id));
}

/** A payment token, saved without a purchase. @param {string} [funding] */
async function saved(funding = 'balance') {
  const paypal = {
    usageType: PaypalPaymentTokenUsageType.Merchant,
    experienceContext: { returnUrl: THERE, cancelUrl: AWAY },
  };
  const setup = await vault.createSetupToken({ paypalRequestId: requestId(), body: { paymentSource: { paypal } } });
  await pay(link(setup.result, 'approve'), { funding });
  const body = { paymentSource: { token: { id: setup.result.id ?? '', type: VaultTokenRequestType.SetupToken } } };
  const { result } = await vault.createPaymentToken({ paypalRequestId: requestId(), body });
  assert(result.id && result.customer?.id);
  return { token: result.id, customer: result.customer.id, paymentSource: result.paymentSource };
}

/**
 * A saved method is charged without its buyer.
 * @param {string} vaultId
 * @param {{of?: OrderRequest, paypalRequestId?: string, paypalMockResponse?: string}} [how]
 */
function chargeSaved(vaultId, { of = order('20.00'), paypalRequestId = requestId(), paypalMockResponse } = {}) {
  const storedCredential = {
    paymentInitiator: PaymentInitiator.Merchant,
    usagePattern: UsagePattern.RecurringPrepaid,
    usage: StoredPaymentSourceUsageType.Subsequent,
  };
  const { paypal } = wallet();
  const body = { ...of, paymentSource: { paypal: { ...paypal, vaultId, storedCredential } } };
  return orders.createOrder({ body, paypalRequestId, paypalMockResponse, prefer: WHOLE });
}

/** A refusal by PayPal, with the issue that it names. @param {Promise<unknown>} promise */
async function issue(promise) {
  const error = await refusal(promise);
  assert(error instanceof CustomError, String(error));
  // The library reads the body only where it knows the status beforehand.
  const said = JSON.parse(String(error.body));
  assert.equal(JSON.stringify(error.result ?? said), JSON.stringify(said));
  assert.equal(said.debug_id, error.headers?.['paypal-debug-id']);
  return { status: error.statusCode, name: said.name, issue: said.details?.[0]?.issue, links: said.links };
}

test('the library fetches one access token for many calls, and a new one when it is over', async () => {
  const token = await client.clientCredentialsAuthManager.fetchToken();
  assert.deepEqual([token.tokenType, token.expiresIn], ['Bearer', 32400n]);
  const call = () => orders.createOrder({ body: order(), paypalRequestId: requestId() });
  const [first, second] = [await call(), await call()];
  assert.match(String(first.request.headers?.authorization), /^Bearer A21AA/);
  assert.equal(second.request.headers?.authorization, first.request.headers?.authorization);
  await simulator.admin('paypal/expire-tokens');
  const error = await refusal(create(order()));
  assert(error instanceof ApiError);
  assert.equal(error.statusCode, 401);
  connect();
  assert.equal((await create(order())).status, 'CREATED');
});

test('a wrong secret is an error of the token endpoint, in its own words', async () => {
  const stranger = clientWith('secret_of_someone_else');
  const error = await refusal(stranger.clientCredentialsAuthManager.fetchToken());
  assert(error instanceof ApiError);
  assert.deepEqual(
    [error.statusCode, /** @type {any} */ (error.result).error],
    [401, OAuthProviderError.InvalidClient],
  );
});

test('an order without a source is created, and one that names PayPal waits for its buyer', async () => {
  const plain = await orders.createOrder({ body: order(), paypalRequestId: requestId(), prefer: WHOLE });
  assert.deepEqual([plain.statusCode, plain.result.status], [201, 'CREATED']);
  assert(link(plain.result, 'approve'));
  const body = { ...order(), paymentSource: wallet() };
  const named = await orders.createOrder({ body, paypalRequestId: requestId(), prefer: WHOLE });
  assert.deepEqual([named.statusCode, named.result.status], [200, 'PAYER_ACTION_REQUIRED']);
  assert(link(named.result, 'payer-action'));
  const minimal = await orders.createOrder({ body: order(), paypalRequestId: requestId() });
  assert.deepEqual([minimal.result.status, minimal.result.purchaseUnits], ['CREATED', undefined]);
});

test('a buyer approves an order on its page, and it is captured once', async () => {
  const made = await create({ ...order(), paymentSource: wallet() });
  const early = await issue(orders.captureOrder({ id: made.id, paypalRequestId: requestId() }));
  assert.deepEqual([early.status, early.issue], [422, 'ORDER_NOT_APPROVED']);

  const cancelled = await press(link(made, 'payer-action'), 'cancel');
  assert.equal(cancelled.headers.get('location'), `${AWAY}?token=${made.id}`);
  const back = await pay(link(made, 'payer-action'), { buyer: 'bruno@personal.example' });
  assert.deepEqual([back.origin + back.pathname, back.searchParams.get('token')], [THERE, made.id]);
  const approved = (await orders.getOrder({ id: made.id })).result;
  assert.deepEqual([approved.status, approved.payer?.emailAddress], ['APPROVED', 'bruno@personal.example']);
  assert.equal(back.searchParams.get('PayerID'), approved.payer?.payerId);

  const request = requestId();
  const first = await orders.captureOrder({ id: made.id, paypalRequestId: request, prefer: WHOLE });
  const second = await orders.captureOrder({ id: made.id, paypalRequestId: request, prefer: WHOLE });
  assert.deepEqual([first.statusCode, first.result.status, second.statusCode], [201, 'COMPLETED', 200]);
  const money = captured(first.result);
  assert.deepEqual(
    [captured(second.result).id, money.status, money.amount],
    [money.id, 'COMPLETED', { currencyCode: 'USD', value: '13.99' }],
  );
  const { grossAmount, paypalFee, netAmount } = money.sellerReceivableBreakdown ?? {};
  assert.equal(Number(grossAmount?.value), Number(paypalFee?.value) + Number(netAmount?.value));
  const more = await issue(orders.captureOrder({ id: made.id, paypalRequestId: requestId() }));
  assert.equal(more.issue, 'ORDER_ALREADY_CAPTURED');
  const { result } = await payments.getCapturedPayment({ captureId: money.id });
  assert.deepEqual(
    [result.customId, result.invoiceId, result.supplementaryData?.relatedIds?.orderId],
    [money.customId, money.invoiceId, made.id],
  );
});

test('a funding that is declined at the capture sends the buyer back to choose another', async () => {
  const made = await create({ ...order(), paymentSource: wallet() });
  const page = link(made, 'payer-action');
  await pay(page, { funding: 'declined' });
  const declined = await issue(orders.captureOrder({ id: made.id, paypalRequestId: requestId() }));
  assert.deepEqual([declined.status, declined.issue], [422, 'INSTRUMENT_DECLINED']);
  const redirect = link(declined, 'redirect');
  assert.equal(redirect, page);
  await pay(redirect, { funding: 'balance' });
  assert.equal(captured(await capture(made.id)).status, 'COMPLETED');
});

test('what is wrong with a request is named with its field', async () => {
  const precise = await issue(create(order('13.999')));
  assert.deepEqual([precise.status, precise.name, precise.issue], [422, 'UNPROCESSABLE_ENTITY', 'DECIMAL_PRECISION']);
  const unknown = await issue(orders.getOrder({ id: '0AB12345CD678901E' }));
  assert.deepEqual([unknown.status, unknown.name], [404, 'RESOURCE_NOT_FOUND']);
  const { token } = await saved();
  const body = { ...order(), paymentSource: { paypal: { vaultId: token } } };
  const anonymous = await issue(orders.createOrder({ body }));
  assert.deepEqual([anonymous.status, anonymous.issue], [400, 'PAYPAL_REQUEST_ID_REQUIRED']);
});

test('a method is saved without a purchase, listed for its customer, and forgotten', async () => {
  const { token, customer, paymentSource } = await saved();
  assert.equal(paymentSource?.paypal?.emailAddress, 'ada@personal.example');
  const { result } = await vault.listCustomerPaymentTokens({ customerId: customer, totalRequired: true });
  assert.deepEqual([result.totalItems, result.paymentTokens?.map(({ id }) => id)], [1, [token]]);
  assert.equal((await vault.getPaymentToken(token)).result.customer?.id, customer);
  assert.equal((await vault.deletePaymentToken(token)).statusCode, 204);
  assert.equal((await issue(vault.getPaymentToken(token))).status, 404);
  assert.equal((await issue(chargeSaved(token))).issue, 'TOKEN_ID_NOT_FOUND');
});

test('a setup token becomes a payment token once its buyer has approved it, and only once', async () => {
  const paypal = {
    usageType: PaypalPaymentTokenUsageType.Merchant,
    experienceContext: { returnUrl: THERE, cancelUrl: AWAY },
  };
  const setup = await vault.createSetupToken({ paypalRequestId: requestId(), body: { paymentSource: { paypal } } });
  const { id = '', status } = setup.result;
  assert.deepEqual([setup.statusCode, status], [201, 'PAYER_ACTION_REQUIRED']);
  const body = { paymentSource: { token: { id, type: VaultTokenRequestType.SetupToken } } };
  const exchange = () => vault.createPaymentToken({ paypalRequestId: requestId(), body });
  assert.equal((await issue(exchange())).status, 422);
  await pay(link(setup.result, 'approve'));
  assert.equal((await vault.getSetupToken(id)).result.status, 'APPROVED');
  assert.equal((await exchange()).statusCode, 201);
  assert.equal((await issue(exchange())).status, 422);
});

test('a method is saved during a purchase and charged later without its buyer', async () => {
  const attributes = {
    vault: { storeInVault: StoreInVaultInstruction.OnSuccess, usageType: PaypalPaymentTokenUsageType.Merchant },
  };
  const made = await create({ ...order(), paymentSource: wallet({ paypal: { attributes } }) });
  await pay(link(made, 'payer-action'));
  const kept = (await capture(made.id)).paymentSource?.paypal?.attributes?.vault;
  assert.equal(kept?.status, 'VAULTED');
  assert(kept.id && kept.customer?.id);
  const { result, statusCode } = await chargeSaved(kept.id);
  assert.deepEqual([statusCode, result.status, captured(result).status], [201, 'COMPLETED', 'COMPLETED']);
});

test('a charge of a saved method is repeated under its request id and done once', async () => {
  const { token } = await saved();
  const same = { of: order('20.00'), paypalRequestId: requestId() };
  await simulator.fault('paypal', { kind: 'error_500_after' });
  const lost = await issue(chargeSaved(token, same));
  assert.deepEqual([lost.status, lost.name], [500, 'INTERNAL_SERVER_ERROR']);
  const found = await chargeSaved(token, same);
  assert.deepEqual([found.statusCode, found.result.status], [200, 'COMPLETED']);
  const { charges } = await simulator.look(`books?gateway=paypal&reference=${captured(found.result).customId}`);
  assert.equal(charges.length, 1);
});

for (const name of ['INSTRUMENT_DECLINED', 'PAYER_ACCOUNT_RESTRICTED', 'TRANSACTION_REFUSED']) {
  test(`a saved method that is refused with ${name} is an error with that issue, however it is ordered`, async () => {
    const { token } = await saved();
    await simulator.fault('paypal', { kind: 'decline', code: name });
    const ordered = await issue(chargeSaved(token));
    assert.deepEqual([ordered.status, ordered.name, ordered.issue], [422, 'UNPROCESSABLE_ENTITY', name]);
    const paypalMockResponse = JSON.stringify({ mock_application_codes: name });
    const mocked = await issue(chargeSaved(token, { paypalMockResponse }));
    assert.equal(mocked.issue, name);
    assert.equal((await chargeSaved(token)).result.status, 'COMPLETED');
  });
}

test('a saved method whose buyer is wanted leaves an order that waits for them', async () => {
  const { token } = await saved();
  await simulator.fault('paypal', { kind: 'require_action' });
  const { result } = await chargeSaved(token);
  assert.equal(result.status, 'PAYER_ACTION_REQUIRED');
  await pay(link(result, 'payer-action'));
  assert.equal(captured(await capture(result.id ?? '')).status, 'COMPLETED');
});

test('a capture is refunded in part and then in full', async () => {
  const { id: captureId } = await paid('30.00');
  const amount = { currencyCode: 'USD', value: '12.50' };
  const body = { amount, noteToPayer: 'Sorry' };
  const paypalRequestId = requestId();
  const part = await payments.refundCapturedPayment({ captureId, paypalRequestId, body, prefer: WHOLE });
  assert.deepEqual([part.statusCode, part.result.status, part.result.amount], [201, 'COMPLETED', amount]);
  const again = await payments.refundCapturedPayment({ captureId, paypalRequestId, body, prefer: WHOLE });
  assert.deepEqual([again.statusCode, again.result.id], [200, part.result.id]);
  assert.equal((await payments.getCapturedPayment({ captureId })).result.status, 'PARTIALLY_REFUNDED');
  const much = { amount: { currencyCode: 'USD', value: '17.51' } };
  const over = await issue(payments.refundCapturedPayment({ captureId, paypalRequestId: requestId(), body: much }));
  assert.equal(over.issue, 'REFUND_AMOUNT_EXCEEDED');
  const rest = await payments.refundCapturedPayment({ captureId, paypalRequestId: requestId(), prefer: WHOLE });
  assert.equal(rest.result.sellerPayableBreakdown?.totalRefundedAmount?.value, '30.00');
  assert.equal((await payments.getRefund({ refundId: rest.result.id ?? '' })).result.amount?.value, '17.50');
  assert.equal((await payments.getCapturedPayment({ captureId })).result.status, 'REFUNDED');
  const more = await issue(payments.refundCapturedPayment({ captureId, paypalRequestId: requestId() }));
  assert.equal(more.issue, 'CAPTURE_FULLY_REFUNDED');
});

test('a webhook is signed by the certificate that it names, over the bytes that were sent', async () => {
  const { id } = await paid();
  const { body, headers } = await listener.heard(
    (event) => event.event_type === 'PAYMENT.CAPTURE.COMPLETED' && event.resource.id === id,
  );
  const header = (/** @type {string} */ name) => String(headers[`paypal-${name}`]);
  assert.equal(header('auth-algo'), 'SHA256withRSA');
  const named = new URL(header('cert-url'));
  assert.equal(named.origin, 'https://api.sandbox.paypal.com');
  const chain = await (await fetch(`${simulator.url}/paypal${named.pathname}`)).text();
  const certificates = chain.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const [leaf, authority] = certificates.map((pem) => new X509Certificate(pem));
  const root = new X509Certificate((await simulator.look('paypal/certificates')).root);
  assert(leaf.verify(authority.publicKey) && authority.verify(root.publicKey) && leaf.checkIssued(authority));
  assert.match(leaf.subject, /CN=messageverificationcerts\.sandbox\.paypal\.com/);
  assert(new Date(leaf.validFrom) < new Date() && new Date() < new Date(leaf.validTo));

  const signature = Buffer.from(header('transmission-sig'), 'base64');
  const genuine = (/** @type {Buffer} */ bytes, webhook = WEBHOOK) => {
    const message = [header('transmission-id'), header('transmission-time'), webhook, crc32(bytes)].join('|');
    return verify('RSA-SHA256', Buffer.from(message), leaf.publicKey, signature);
  };
  assert.equal(genuine(body), true);
  assert.equal(genuine(Buffer.from(body.toString().replace('13.99', '99.99'))), false);
  assert.equal(genuine(body, 'WH-OF-SOMEONE-ELSE'), false);
});

// It takes three days, and comes last for that.
test('an eCheck is pending at first, told as such, and completed some days later', async () => {
  const made = await create({ ...order(), paymentSource: wallet() });
  await pay(link(made, 'payer-action'), { funding: 'echeck' });
  const result = await capture(made.id);
  const { id, status, statusDetails } = captured(result);
  assert.deepEqual([result.status, status, statusDetails?.reason], ['COMPLETED', 'PENDING', 'ECHECK']);
  const early = await issue(payments.refundCapturedPayment({ captureId: id, paypalRequestId: requestId() }));
  assert.equal(early.issue, 'PENDING_CAPTURE');
  const told = (/** @type {string} */ kind) =>
    listener.heard((event) => event.event_type === kind && event.resource.id === id);
  await told('PAYMENT.CAPTURE.PENDING');
  await simulator.admin('clock', { advance_seconds: 3 * 86_400 });
  await told('PAYMENT.CAPTURE.COMPLETED');
  connect();
  assert.equal((await payments.getCapturedPayment({ captureId: id })).result.status, 'COMPLETED');
});
