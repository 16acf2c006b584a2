// How many signed entitlements a second the npm package verifies, again and at first: make bench-entitlements

import { generateKeyPairSync, sign } from "node:crypto";
import { Verifier } from "../../shared/signed-entitlements/npm/index.js";

const CUSTOMERS = 1_000;
const FOR_MS = 2_000;

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const keys = { keys: [{ ...publicKey.export({ format: "jwk" }), kid: "bench", alg: "EdDSA", use: "sig" }] };
const verifier = (remember) => Verifier.create("perennial-bench", keys, { remember });

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const now = Date.now();
const iat = Math.floor(now / 1_000);
const requests = Array.from({ length: CUSTOMERS }, (_, n) => {
  const [on, off] = [{ on: true }, { on: false, reason: "not_in_plan" }];
  const claims = {
    iss: "perennial-bench", sub: `customer-${n}`, aud: "entitlements", iat, exp: iat + 300, plan: "minutes-pro", status: "active",
    features: { agents: on, analytics: on, api_access: off, minutes: on },
    limits: { agents: { limit: 5, used: 0, remaining: 5 }, minutes: { limit: 3000, used: 0, remaining: 3000 } },
  };
  const signed = `${part({ alg: "EdDSA", typ: "entitlements+jwt", kid: "bench" })}.${part(claims)}`;
  return { customer: claims.sub, token: `${signed}.${sign(null, Buffer.from(signed), privateKey).toString("base64url")}` };
});

// Texts that were never looked at before, as they come with requests: a string is hashed once and remembers that.
const arrived = () => requests.map(({ customer, token }) => ({ customer, token: Buffer.from(token).toString("latin1") }));

async function tell(what, by) {
  let [checks, spent] = [0, 0];
  while (spent < FOR_MS) {
    const round = arrived();
    const verifying = await by();
    const begun = process.cpuUsage();
    for (const { customer, token } of round) {
      const it = await verifying.verify(token, customer, now);
      if (!it.allows("analytics", now)) throw new Error("analytics is on");
    }
    const { user, system } = process.cpuUsage(begun); // whoever else is busy
    spent += (user + system) / 1_000;
    checks += round.length;
  }
  console.log(`${what.padStart(34)} | ${String(Math.floor((checks * 1_000) / spent)).padStart(11)}`);
}

console.log(`Node ${process.version}, tokens of ${CUSTOMERS} customers, ${requests[0].token.length} bytes each. Checks a second of a core:\n`);
const remembering = await verifier(2 * CUSTOMERS);
await tell("again, from the token's text", () => remembering);
await tell("verified for the first time", () => verifier(2 * CUSTOMERS));
