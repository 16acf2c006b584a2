export type Reason =
  | "too_long"
  | "malformed"
  | "other_kind"
  | "unknown_key"
  | "forged"
  | "other_issuer"
  | "other_audience"
  | "other_customer"
  | "not_yet_valid"
  | "expired"
  | "bad_keys";

/** Why a token, or a set of keys, is refused. */
export class Refused extends Error {
  readonly reason: Reason;
}

/** How a meter stood against its limit when the token was issued. Null: unlimited. */
export interface Limit {
  readonly limit: number | null;
  readonly used: number;
  /** Held for uses to come. Not there: nothing is. */
  readonly reserved?: number;
  readonly remaining: number | null;
}

/** What one customer may use, until it expires. Times are milliseconds since 1970. */
export class Entitlements {
  private constructor();
  readonly customer: string;
  /** Null: the customer never had a subscription. */
  readonly plan: string | null;
  readonly status: string | null;
  readonly issuedAt: number;
  readonly expiresAt: number;
  /** Whether `name`, a feature or a meter, may be used: of a meter, one more. */
  allows(name: string, now: number): boolean;
  /** Why it may not: "expired", or a reason of the API's. Null: it may. What is not known is off. */
  refusal(name: string, now: number): string | null;
  /** Null: it is no meter of the plan. */
  limit(meter: string): Limit | null;
}

/** The keys of one issuer, its name, and what was verified with them: that is not verified again. */
export class Verifier {
  private constructor();
  /** `jwks`: what /.well-known/jwks.json says. Rotated keys are known to a new verifier. */
  static create(issuer: string, jwks: unknown, options?: { remember?: number }): Promise<Verifier>;
  /** What `customer` may use, whom the caller knows from elsewhere. Throws Refused. */
  verify(token: string, customer: string, now: number): Promise<Entitlements>;
}

/** How far the clock here may be behind the issuer's. */
export const LEEWAY_MS: number;

/** No token is longer. */
export const MOST_BYTES: number;
