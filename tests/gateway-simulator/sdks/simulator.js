// Starts the simulator, stands in for what surrounds it, and leads the gateways' client libraries to it: to the
// merchant's side of a gateway belong a listener for webhooks and a customer who fills in the payment page.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import http from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const BINARY = fileURLToPath(new URL('../../../target/debug/gateway-simulator', import.meta.url));
const PATIENCE = 10_000;

// Whoever ends the tests early ends the simulator too.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));
// Nothing here is to be asked through a proxy.
for (const name of Object.keys(process.env).filter((name) => /_proxy$/i.test(name))) delete process.env[name];

/** @typedef {'stripe' | 'paystack' | 'flitt' | 'paypal'} Gateway */

/** Dials the simulator, whatever host it is asked for, and names the gateway that the host stands for. */
class Line extends http.Agent {
  /**
   * @param {string} simulator
   * @param {Gateway} gateway
   * @param {'http:' | 'https:'} protocol The one that the library believes in; on the line it is always HTTP.
   */
  constructor(simulator, gateway, protocol) {
    super({ keepAlive: false });
    this.protocol = protocol;
    this.gateway = gateway;
    this.address = new URL(simulator);
  }

  /**
   * What Node calls for each request before anything of it is sent.
   * @param {http.ClientRequest} request
   * @param {object} options
   */
  addRequest(request, options) {
    request.path = `/${this.gateway}${request.path}`;
    const { hostname, port } = this.address;
    const dialled = { ...options, host: hostname, hostname, port, servername: undefined };
    // @ts-expect-error Node's own types do not know it.
    super.addRequest(request, dialled);
  }
}

/** A webhook as it arrived. */
/** @typedef {{headers: http.IncomingHttpHeaders, body: Buffer}} Delivery */

/** The merchant's address for webhooks. */
class Listener {
  /** @type {Delivery[]} */
  #arrived = [];
  #server = http.createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    this.#arrived.push({ headers: request.headers, body: Buffer.concat(parts) });
    response.end();
    this.#server.emit('webhook');
  });

  /** @returns {Promise<string>} its address */
  async open() {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    assert(address && typeof address === 'object');
    return `http://127.0.0.1:${address.port}/webhooks`;
  }

  /**
   * The first webhook that fits, once it is there.
   * @param {(event: any) => boolean} fits Is given the body as JSON.
   */
  heard(fits) {
    return this.#once(() => this.#arrived.find(({ body }) => fits(JSON.parse(body.toString()))));
  }

  /** The webhook that so many came before, once it is there. @param {number} place */
  nth(place) {
    return this.#once(() => this.#arrived[place]);
  }

  /** How many there are. */
  get count() {
    return this.#arrived.length;
  }

  /** @param {() => Delivery | undefined} find @returns {Promise<Delivery>} */
  async #once(find) {
    const signal = AbortSignal.timeout(PATIENCE);
    for (;;) {
      const found = find();
      if (found) return found;
      await once(this.#server, 'webhook', { signal });
    }
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

export class Simulator {
  /** @param {import('node:child_process').ChildProcess} child @param {string} url */
  constructor(child, url) {
    this.child = child;
    this.url = url;
    /** @type {Listener[]} */
    this.listeners = [];
  }

  /** One with empty books on a free port. */
  static async start() {
    assert(existsSync(BINARY), `${BINARY} is missing: make test-simulator builds it`);
    const child = spawn(BINARY, ['--port', '0'], { env: {}, stdio: ['ignore', 'pipe', 'inherit'] });
    process.once('exit', () => child.kill());
    const [said] = await once(createInterface(child.stdout), 'line', { signal: AbortSignal.timeout(PATIENCE) });
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(said)?.[0];
    assert(url, `the simulator said: ${said}`);
    return new Simulator(child, url);
  }

  async stop() {
    for (const listener of this.listeners) listener.close();
    this.child.kill();
    await once(this.child, 'exit');
  }

  /** @param {Gateway} gateway @param {'http:' | 'https:'} [protocol] */
  line(gateway, protocol = 'https:') {
    return new Line(this.url, gateway, protocol);
  }

  /**
   * `POST /admin/<command>`
   * @param {string} command
   * @param {object} body
   * @returns {Promise<any>}
   */
  async admin(command, body = {}) {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${this.url}/admin/${command}`, { method: 'POST', headers, body: JSON.stringify(body) });
    const said = await answer.text();
    assert.equal(answer.status, 200, said);
    return JSON.parse(said);
  }

  /** @param {string} path @returns {Promise<any>} */
  async look(path) {
    return (await fetch(`${this.url}/admin/${path}`)).json();
  }

  /**
   * The next charge from a saved method goes wrong.
   * @param {Gateway} gateway
   * @param {object} fault
   * @param {string} [on]
   */
  async fault(gateway, fault, on = 'off_session') {
    await this.admin('faults', { gateway, on, fault });
  }

  /** The gateway's webhooks go to a new listener. @param {Gateway} gateway */
  async listen(gateway) {
    const listener = new Listener();
    this.listeners.push(listener);
    await this.admin('configure', { [gateway]: { webhook_url: await listener.open() } });
    return listener;
  }
}

/**
 * A customer opens a payment page, chooses, and presses a button: what they choose has to be there.
 * @param {string | null | undefined} address
 * @param {string} button The value of the button.
 * @param {Record<string, string>} chosen Names and values of the page's choices; the others stay as they are.
 */
export async function press(address, button, chosen = {}) {
  assert(address, 'there is no page');
  const shown = await fetch(address);
  const page = await shown.text();
  assert.equal(shown.status, 200, page);
  assert.match(page, /<form method="post">/);
  const form = new URLSearchParams();
  for (const [, name, value, checked] of page.matchAll(
    /<input type="radio" name="(\w+)" value="([^"]*)"( checked)?>/g,
  )) {
    if (name in chosen ? chosen[name] === value : checked) form.set(name, value);
  }
  for (const [name, value] of Object.entries(chosen)) assert.equal(form.get(name), value, `${name} has no ${value}`);
  assert(page.includes(`<button name="action" value="${button}"`) || page.includes(`name="action" value="${button}">`));
  form.set('action', button);
  return fetch(address, { method: 'POST', body: form, redirect: 'manual' });
}

/**
 * As {@link press}, and they are sent back to the merchant.
 * @param {string | null | undefined} address
 * @param {Record<string, string>} chosen
 */
export async function pay(address, chosen = {}) {
  const answer = await press(address, 'pay', chosen);
  assert.equal(answer.status, 303, await answer.text());
  return new URL(answer.headers.get('location') ?? '');
}

/**
 * What the promise was refused with.
 * @param {Promise<unknown>} promise
 * @returns {Promise<any>}
 */
export async function refusal(promise) {
  const settled = await promise.then(
    () => undefined,
    (error) => error,
  );
  assert(settled, 'it was not refused');
  return settled;
}
