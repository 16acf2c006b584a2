// What a customer of Perennial may use, read from a signed entitlement: the token of GET /entitlements/token. It is checked
// here without calling anybody, against the keys of GET /.well-known/jwks.json, as the crate of the same name does it.
//
// Nothing here has a clock: what time it is, in milliseconds since 1970, whoever uses it says. A token is good until it
// expires, to the millisecond; it may have been issued up to LEEWAY_MS after `now`, for clocks that are behind.

import webcrypto from "#webcrypto";

export const LEEWAY_MS = 60_000;

// No token is longer, and none is read that is.
export const MOST_BYTES = 64 * 1024;

const TYPE = "entitlements+jwt";
const AUDIENCE = "entitlements";
const ED25519 = { name: "Ed25519" };

// Why a token, or a set of keys, is refused: `reason` is one word for programs.
export class Refused extends Error {
  constructor(reason, message = `the token is refused: ${reason}`) {
    super(message);
    this.name = "Refused";
    this.reason = reason;
  }
}

// The keys of one issuer, its name, and what was verified with them: that is not verified again.
export class Verifier {
  #issuer;
  #keys;
  // By the last of the signature, which is little to hash. When the young are many they become the old, and the old are
  // forgotten.
  #most;
  #young = new Map();
  #old = new Map();

  constructor(issuer, keys, remember) {
    this.#issuer = issuer;
    this.#keys = keys;
    this.#most = Math.floor(remember / 2);
  }

  // `jwks`: what /.well-known/jwks.json says. Rotated keys are known to a new verifier.
  static async create(issuer, jwks, { remember = 1_000 } = {}) {
    if (!Number.isSafeInteger(remember) || remember < 0) throw new TypeError("remember: a number of tokens");
    return new Verifier(issuer, await keysOf(jwks), remember);
  }

  // What `customer` may use, whom the caller knows from elsewhere: the token does not say who is asking.
  async verify(token, customer, now) {
    if (typeof token !== "string") throw new Refused("malformed");
    const name = token.slice(-32);
    const known = this.#young.get(name) ?? this.#old.get(name);
    if (known !== undefined && known.token === token) {
      known.entitlements.check(customer, now);
      return known.entitlements;
    }
    const entitlements = await this.#read(token);
    entitlements.check(customer, now);
    if (this.#young.size >= this.#most) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(name, { token, entitlements });
    return entitlements;
  }

  // What a token of ours says, whosever it is and whenever.
  async #read(token) {
    if (token.length > MOST_BYTES) throw new Refused("too_long");
    const parts = token.split(".");
    if (parts.length !== 3) throw new Refused("malformed");
    const header = json(parts[0]);
    if (typeof header.alg !== "string") throw new Refused("malformed");
    if (header.alg !== "EdDSA" || header.typ !== TYPE || (header.crit ?? null) !== null) throw new Refused("other_kind");
    const key = this.#keys.get(header.kid);
    if (key === undefined) throw new Refused("unknown_key");
    const signed = new TextEncoder().encode(`${parts[0]}.${parts[1]}`);
    if (!(await webcrypto.subtle.verify(ED25519, key, decoded(parts[2]), signed))) throw new Refused("forged");
    const claims = json(parts[1]);
    if (typeof claims.iss !== "string" || typeof claims.aud !== "string") throw new Refused("malformed");
    if (claims.iss !== this.#issuer) throw new Refused("other_issuer");
    if (claims.aud !== AUDIENCE) throw new Refused("other_audience");
    return new Entitlements(claims);
  }
}

// What one customer may use, until it expires.
export class Entitlements {
  #features;
  #limits;

  constructor(claims) {
    this.customer = text(claims.sub);
    // Null: the customer never had a subscription.
    this.plan = claims.plan === null ? null : text(claims.plan);
    this.status = claims.status === null ? null : text(claims.status);
    this.issuedAt = time(claims.iat);
    this.expiresAt = time(claims.exp);
    // Maps: no name means anything but what the token says.
    this.#features = new Map(Object.entries(object(claims.features)).map(([name, it]) => [name, refusalOf(object(it))]));
    this.#limits = new Map(Object.entries(object(claims.limits)).map(([name, it]) => [name, limitOf(object(it))]));
    Object.freeze(this);
  }

  // Whether `name`, a feature or a meter, may be used: of a meter, one more.
  allows(name, now) {
    return this.refusal(name, now) === null;
  }

  // Why it may not: "expired", or a reason of the API's. Null: it may. What is not known is off.
  refusal(name, now) {
    if (instant(now) >= this.expiresAt || now + LEEWAY_MS < this.issuedAt) return "expired";
    const refusal = this.#features.get(name);
    if (refusal !== undefined) return refusal;
    return this.plan === null ? "no_subscription" : "not_in_plan";
  }

  // How a meter stood when the token was issued, { limit, used, reserved?, remaining } with null for unlimited. Null: it
  // is no meter.
  limit(meter) {
    return this.#limits.get(meter) ?? null;
  }

  // Whether they are those of `customer`, and hold.
  check(customer, now) {
    if (this.customer !== customer) throw new Refused("other_customer");
    if (instant(now) >= this.expiresAt) throw new Refused("expired");
    if (now + LEEWAY_MS < this.issuedAt) throw new Refused("not_yet_valid");
  }
}

async function keysOf(jwks) {
  const refuse = (message) => {
    throw new Refused("bad_keys", message);
  };
  if (!Array.isArray(jwks?.keys)) refuse("the keys are not a JWK set");
  const says = (value, expected) => value === undefined || value === expected;
  const ours = jwks.keys.filter(
    (key) => key?.kty === "OKP" && key.crv === "Ed25519" && says(key.alg, "EdDSA") && says(key.use, "sig"),
  );
  const keys = new Map();
  for (const key of ours) {
    if (key.d !== undefined) refuse("a private key is among the keys: it must be rotated");
    const named = typeof key.kid === "string" && key.kid !== "" && !keys.has(key.kid);
    const x = named && typeof key.x === "string" ? bytes(key.x) : null;
    if (x?.length !== 32) refuse("an Ed25519 key is not 32 bytes, or has no name of its own");
    keys.set(key.kid, await webcrypto.subtle.importKey("raw", x, ED25519, false, ["verify"]));
  }
  if (keys.size === 0) refuse("there is no Ed25519 key for signatures");
  return keys;
}

function refusalOf({ on, reason = null }) {
  if (on === true && reason === null) return null;
  if (on === false && typeof reason === "string") return reason;
  throw new Refused("malformed");
}

function limitOf({ limit, used, reserved, remaining }) {
  const orNull = (value) => (value === null ? null : whole(value));
  const held = reserved === undefined ? {} : { reserved: whole(reserved) };
  return Object.freeze({ limit: orNull(limit), used: whole(used), ...held, remaining: orNull(remaining) });
}

function text(value) {
  if (typeof value !== "string") throw new Refused("malformed");
  return value;
}

function whole(value) {
  if (!Number.isInteger(value) || value < 0) throw new Refused("malformed");
  return value;
}

function time(seconds) {
  if (!Number.isSafeInteger(whole(seconds) * 1_000)) throw new Refused("malformed");
  return seconds * 1_000;
}

function object(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Refused("malformed");
  return value;
}

// A time that is none would never be over.
function instant(now) {
  if (!Number.isFinite(now)) throw new TypeError("now is milliseconds since 1970, such as Date.now()");
  return now;
}

function json(part) {
  const found = decoded(part);
  let value;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(found));
  } catch {
    throw new Refused("malformed");
  }
  return object(value);
}

function decoded(part) {
  const found = bytes(part);
  if (found === null) throw new Refused("malformed");
  return found;
}

// Base64url without padding, in its one spelling: what decodes to the same is not the same.
function bytes(encoded) {
  if (!/^[A-Za-z0-9_-]*$/.test(encoded) || encoded.length % 4 === 1) return null;
  const standard = encoded.replaceAll("-", "+").replaceAll("_", "/");
  const binary = atob(standard);
  if (btoa(binary).replace(/=+$/, "") !== standard) return null;
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
