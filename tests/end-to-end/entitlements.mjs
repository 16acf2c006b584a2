// For test_entitlement_tokens.py: each line of the input is {token, customer, now}, each of the output what the npm package
// says of it. The first line has the issuer and the keys.

import { createInterface } from "node:readline";
import { Refused, Verifier } from "../../shared/signed-entitlements/npm/index.js";

let verifier;
for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  try {
    if (verifier === undefined) {
      verifier = await Verifier.create(asked.issuer, asked.keys);
      continue;
    }
    const it = await verifier.verify(asked.token, asked.customer, asked.now * 1_000);
    const refusals = asked.names.map((name) => [name, it.refusal(name, asked.now * 1_000)]);
    const limits = asked.names.map((name) => [name, it.limit(name)]);
    console.log(JSON.stringify({
      plan: it.plan, status: it.status, issued_at: it.issuedAt / 1_000, expires_at: it.expiresAt / 1_000,
      refusals: Object.fromEntries(refusals), limits: Object.fromEntries(limits),
    }));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    console.log(JSON.stringify({ refused: error.reason }));
  }
}
