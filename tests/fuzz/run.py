"""Fuzzes what strangers may send us: each target for a minute, or as the environment says.

FUZZ_SECONDS=60, FUZZ_RUNS (instead of a time), FUZZ_TARGETS=stripe-parser,paypal-verifier (all). What was found is in
`found`, and fails it; `corpus` keeps what led anywhere new.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent
GATEWAYS = ("stripe", "paystack", "flitt", "paypal")
TARGETS = [f"{gateway}-{part}" for gateway in GATEWAYS for part in ("parser", "verifier")]
# About a payment of ours, which no vendor's sample is.
REFERENCE = "rabcdefghijklmnopqrstuvwxy"
OURS = {
    "stripe": {
        "id": "evt_1",
        "type": "payment_intent.succeeded",
        "livemode": False,
        "data": {"object": {"id": "pi_1", "object": "payment_intent", "metadata": {"reference": REFERENCE}}},
    },
    "paystack": {"event": "charge.success", "data": {"id": 1, "status": "success", "reference": REFERENCE}},
    "flitt": {"order_id": REFERENCE, "merchant_id": 1549901, "order_status": "approved", "tran_type": "purchase"},
    "paypal": {
        "id": "WH-1",
        "event_type": "PAYMENT.CAPTURE.COMPLETED",
        "resource": {"id": "3C679366HH908993F", "custom_id": REFERENCE},
        "links": [{"rel": "self", "href": "https://api.sandbox.paypal.com/v1/notifications/webhooks-events/WH-1"}],
    },
}
# A delivery of more bytes has no branch that a shorter one has not.
LONGEST = 4096


def main() -> int:
    wanted = os.environ.get("FUZZ_TARGETS")
    targets = wanted.split(",") if wanted else TARGETS
    for target in targets:
        if target not in TARGETS:
            sys.exit(f"{target} is none of {', '.join(TARGETS)}")
    environment = os.environ | {"RUSTC_WRAPPER": str(HERE / "instrument"), "CARGO_TARGET_DIR": str(HERE / "target")}
    if subprocess.run(["cargo", "build", "--release"], cwd=HERE, env=environment).returncode:
        return 1
    failed = 0
    for target in targets:
        plant(target)
        executions, seconds, ended = fuzz(target)
        failed += not ended
        verdict = "nothing found" if ended else "FAILED"
        print(f"{target:18} {executions:>12,} executions in {seconds:>6,} s: {verdict}", flush=True)
    print(f"{len(targets) - failed} passed, {failed} failed")
    return 1 if failed else 0


def fuzz(target: str) -> tuple[int, int, bool]:
    runs, seconds = os.environ.get("FUZZ_RUNS"), os.environ.get("FUZZ_SECONDS", "60")
    until = [f"-runs={runs}"] if runs else [f"-max_total_time={seconds}"]
    found = HERE / "found"
    found.mkdir(exist_ok=True)
    command = [HERE / "target/release/fuzz", *until, f"-max_len={LONGEST}", "-timeout=10", "-rss_limit_mb=2048"]
    command += ["-print_final_stats=1", f"-artifact_prefix={found}/{target}-", HERE / "corpus" / target]
    environment = os.environ | {"FUZZ": target}
    ran = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, errors="replace")
    done = re.search(r"^Done (\d+) runs in (\d+) second", ran.stderr, re.MULTILINE)
    if ran.returncode or not done:
        print(ran.stderr[-4000:], file=sys.stderr)
        return 0, 0, False
    return int(done[1]), int(done[2]), True


def plant(target: str) -> None:
    """What the vendors really send is where it starts from."""
    gateway, part = target.split("-")
    corpus = HERE / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    # How, with which byte, where, and by how many seconds a signed delivery is changed.
    changes = [bytes([how, 65, 20, 0, 44, 1, 0, 0]) for how in range(32)] if part == "verifier" else [b""]
    for body in bodies(gateway):
        for change in changes:
            seed = body + change
            (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)


def bodies(gateway: str) -> list[bytes]:
    vectors = json.loads((TESTS / "contracts/vectors.json").read_text())["entries"]
    samples = json.loads((TESTS / "gateway-simulator/testdata/webhooks.json").read_text())
    deliveries = [entry for entry in vectors + samples if entry["gateway"] == gateway and entry.get("body_b64")]
    return [json.dumps(OURS[gateway]).encode(), *(base64.b64decode(entry["body_b64"]) for entry in deliveries)]


if __name__ == "__main__":
    sys.exit(main())
