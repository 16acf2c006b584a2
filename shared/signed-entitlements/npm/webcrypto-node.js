// Node 18 has it here alone.
export { webcrypto as default } from "node:crypto";
