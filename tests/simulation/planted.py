#!/usr/bin/env python3
"""Plants bugs in the domain, one after the other, and sees whether the simulation finds each.

A simulation that finds nothing may be one that cannot. So it is itself measured: every edit below is a mistake that
someone could make, and each must be found within the seeds that `cargo test -p simulation` runs.

    python3 tests/simulation/planted.py            every bug
    python3 tests/simulation/planted.py fence      those with `fence` in their name

The edits are made in a copy under target/planted, which holds the domain and the simulation and nothing else.
"""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPY = ROOT / "target" / "planted"
SOURCES = ["shared/billing", "tests/simulation"]

# What is wrong; and the edits: file in shared/billing/src, the text as it is, the text with the mistake.
BUGS = [
    ("a retry mints a new reference", [(
        "workflow/advance.rs",
        "                    if scene.payment.may_be_sent_again(now) {\n                        return self.charge(scene, now).await;",
        "                    if scene.payment.may_be_sent_again(now) {\n"
        "                        let mut scene = scene;\n"
        "                        let again = PaymentId { attempt: 100, ..scene.payment.id.clone() };\n"
        "                        scene.payment.reference = again.reference(&scene.payment.customer);\n"
        "                        return self.charge(scene, now).await;",
    )]),
    ("the fence of an open attempt is missing", [(
        "subscription.rs",
        "        if self.open.is_some() {\n            return None;\n        }\n",
        "",
    )]),
    ("settling overwrites what others wrote meanwhile", [(
        "workflow/settle.rs",
        "                    scene = self.scene(&customer, &id).await?.ok_or(StoreError::Conflict)?;\n",
        "                    let fresh = self.scene(&customer, &id).await?.ok_or(StoreError::Conflict)?;\n"
        "                    scene.payment.version = fresh.payment.version;\n"
        "                    scene.subscription.version = fresh.subscription.version;\n"
        "                    scene.wallet.version = fresh.wallet.version;\n"
        "                    scene.tokens.version = fresh.tokens.version;\n",
    ), (
        "workflow/settle.rs",
        "scene.settled(outcome.clone(), now)",
        "scene.clone().settled(outcome.clone(), now)",
    )]),
    ("a lost race counts as done", [(
        "workflow/settle.rs",
        "                Err(StoreError::Conflict | StoreError::Duplicate) => {\n",
        "                Err(StoreError::Conflict) => return Ok(settled),\n"
        "                Err(StoreError::Duplicate) => {\n",
    )]),
    ("a webhook is believed", [(
        "workflow/receive.rs",
        "        match self.gateways.find(&scene.payment).await {\n",
        "        let receipt = crate::outcome::Receipt { id: delivery.id.event.clone(), amount: scene.payment.amount };\n"
        "        let told = crate::outcome::Outcome::Succeeded { receipt, method: None };\n"
        "        let answer = match delivery.kind == \"charge.success\" {\n"
        "            true => Ok(Some(told)),\n"
        "            false => self.gateways.find(&scene.payment).await,\n"
        "        };\n"
        "        match answer {\n",
    )]),
    ("any amount counts as paid", [(
        "payment.rs",
        "        if receipt.amount == self.amount {\n",
        "        if receipt.amount.currency == self.amount.currency {\n",
    )]),
    ("a canceled subscription's charge is sent again", [(
        "workflow/advance.rs",
        "Collection::OffSession { .. } if scene.subscription.wants_payment(id) => {",
        "Collection::OffSession { .. } if scene.subscription.id == id.subscription => {",
    )]),
    ("canceling does not stop the renewal", [(
        "subscription.rs",
        "Status::PastDue { dunning: Dunning::Grace { .. }, .. } => Some(Due::Cancellation(CancelReason::Unpaid)),",
        "Status::PastDue { dunning: Dunning::Grace { .. }, .. } => Some(Due::Cancellation(CancelReason::Unpaid)),\n"
        "            Status::Canceled { reason: CancelReason::Requested, .. } => Some(Due::Payment),",
    ), (
        "subscription.rs",
        "            Status::Active { .. } => self.period().map(|period| period.end),\n",
        "            Status::Active { .. } | Status::Canceled { reason: CancelReason::Requested, term: Some(_), .. } => {\n"
        "                self.period().map(|period| period.end)\n            }\n",
    )]),
    ("a late success is refused instead of refunded", [(
        "subscription.rs",
        "            ) => vec![Event::RefundOwed { payment }],\n",
        "            ) if matches!(self.status, Active { .. }) => vec![Event::RefundOwed { payment }],\n"
        "            (_, Paid { .. }) => vec![],\n",
    )]),
    ("the period is told by the clock", [(
        "workflow/settle.rs",
        "        let events = fact.map_or(vec![], |fact| subscription.record(fact, now));\n",
        "        let mut subscription = subscription;\n"
        "        if let crate::subscription::Status::Active { term, .. } = &mut subscription.status {\n"
        "            let interval = subscription.order.price.interval;\n"
        "            while crate::calendar::Period::nth(term.anchor, interval, term.index + 1).end < now {\n"
        "                term.index += 1;\n"
        "            }\n"
        "        }\n"
        "        let events = fact.map_or(vec![], |fact| subscription.record(fact, now));\n",
    )]),
    ("a charge is sent again after its key is forgotten", [(
        "payment.rs",
        "            Self::Stripe => SignedDuration::from_hours(23), //",
        "            Self::Stripe => SignedDuration::MAX, //",
    )]),
    ("a jump of the clock abandons a charge", [(
        "payment.rs",
        " && tries >= LOOKS_BEFORE_GIVING_UP =>",
        " && tries < u32::MAX - LOOKS_BEFORE_GIVING_UP =>",
    )]),
    ("a page that cannot be closed is given up", [(
        "workflow/advance.rs",
        "let outcome = if scene.payment.is_closing(now) { outcome.at_the_end() } else { outcome };",
        "let outcome = if closing { outcome.at_the_end() } else { outcome };",
    )]),
    ("a delivery is acknowledged before it is kept", [(
        "workflow/receive.rs",
        "            Ok(None) | Err(_) => self.keep(delivery.waiting(now)).await,\n",
        "            Ok(None) | Err(_) => Ok(()),\n",
    )]),
    ("a refused commit counts as a delivery kept", [(
        "workflow/receive.rs",
        "                Err(StoreError::Duplicate) => return Ok(()), // another process kept it\n",
        "                Err(StoreError::Duplicate | StoreError::Conflict) => return Ok(()),\n",
    )]),
    ("silence counts as a decline", [(
        "workflow/advance.rs",
        "            Err(error) => self.ask_later(scene.payment.unanswered(now), now, error).await,\n        }\n    }\n\n    /// Asks what became",
        "            Err(_) => {\n"
        "                let remedy = crate::outcome::Remedy::RetryLater;\n"
        "                let decline = crate::outcome::Decline { code: \"timeout\".to_owned(), remedy };\n"
        "                self.settle(scene, Outcome::Declined(decline), None, now).await?;\n"
        "                Ok(())\n            }\n        }\n    }\n\n    /// Asks what became",
    )]),
    ("one retry too many", [(
        "dunning.rs",
        "const WAITS: [SignedDuration; 3] = [days(1), days(2), days(2)];",
        "const WAITS: [SignedDuration; 4] = [days(1), days(2), days(2), days(2)];",
    )]),
    ("verify and webhook each grant a period", [(
        "payment.rs",
        "            (Succeeded { .. } | RefundDue { .. } | Refunded { .. }, _) => None,\n            (\n"
        "                Pending { .. } | Failed",
        "            (RefundDue { .. } | Refunded { .. }, _) => None,\n"
        "            (Succeeded { .. }, Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired) => None,\n            (\n"
        "                Succeeded { .. } | Pending { .. } | Failed",
    ), (
        "subscription.rs",
        "            (Active { .. } | PastDue { .. }, Paid { payment, .. }) if self.owes(&payment) => {\n",
        "            (Active { .. } | PastDue { .. }, Paid { payment, .. }) if payment.subscription == self.id => {\n",
    )]),
    ("a refund is forgotten", [(
        "payment.rs",
        "                Self { status: PaymentStatus::RefundDue { receipt, check_at: now, tries: 0 }, ..self }\n            }\n"
        "            PaymentStatus::Pending { .. }\n            | PaymentStatus::Failed { .. }\n            | PaymentStatus::Expired { .. }\n"
        "            | PaymentStatus::Unresolved { .. }\n            | PaymentStatus::RefundDue { .. }",
        "                Self { status: PaymentStatus::RefundDue { receipt, check_at: Timestamp::MAX, tries: 0 }, ..self }\n            }\n"
        "            PaymentStatus::Pending { .. }\n            | PaymentStatus::Failed { .. }\n            | PaymentStatus::Expired { .. }\n"
        "            | PaymentStatus::Unresolved { .. }\n            | PaymentStatus::RefundDue { .. }",
    )]),
    ("the gateway is asked before the attempt is recorded", [(
        "workflow/advance.rs",
        "        self.store.commit(writes).await?;\n        scene.payment.version += 1;\n",
        "        let _ = self.gateways.charge(&scene.payment).await;\n"
        "        self.store.commit(writes).await?;\n        scene.payment.version += 1;\n",
    )]),
    ("a decline undoes a success", [(
        "payment.rs",
        "            (Succeeded { .. } | RefundDue { .. } | Refunded { .. }, _) => None,\n",
        "            (Succeeded { .. }, Outcome::Declined(decline)) => Some(self.declined(decline, now)),\n"
        "            (Succeeded { .. } | RefundDue { .. } | Refunded { .. }, _) => None,\n",
    )]),
    ("renewing forgets a scheduled cancellation", [(
        "subscription.rs",
        "                    self.status = Status::Active { term, cancel_at_period_end: leaving };",
        "                    self.status = Status::Active { term, cancel_at_period_end: leaving && term.index == 0 };",
    )]),
    ("an earlier subscription's payment opens the next one", [(
        "subscription.rs",
        "            (_, Paid { payment, .. }) if payment.subscription != self.id => vec![Event::RefundOwed { payment }],\n",
        "",
    )]),
    ("tokens come again with every answer", [(
        "workflow/settle.rs",
        "        if let (true, Some(included)) = (granted, subscription.order.plan.tokens_included) {\n",
        "        if let (true, Some(included)) = (granted || method.is_some(), subscription.order.plan.tokens_included) {\n",
    )]),
    ("a key is claimed after the payment is made", [(
        "workflow/checkout.rs",
        "            Write::Create(Record::Claim(claim)),\n",
        "",
    )]),
    ("what was never answered is asked about no more", [(
        "workflow/advance.rs",
        "                Collection::Checkout { .. } => scene.payment.unanswered(now),\n",
        "                Collection::Checkout { .. } => return Ok(()),\n",
    ), (
        "payment.rs",
        "            PaymentStatus::Pending { stage, .. } => self.waiting(stage, now),\n            PaymentStatus::Failed",
        "            PaymentStatus::Pending { stage, tries, .. } => {\n"
        "                Self { status: PaymentStatus::Pending { stage, check_at: Timestamp::MAX, tries: tries + 1 }, ..self }\n"
        "            }\n            PaymentStatus::Failed",
    )]),
]


def main():
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    bugs = [bug for bug in BUGS if wanted in bug[0]]
    started = time.monotonic()
    fresh_copy()
    check_table()
    binary = build()
    if run(binary) is not None:
        sys.exit("the simulation fails without any planted bug: mend that first")
    print(f"{'planted bug':<58} {'caught by':<10} {'after seeds':>11}")
    missed = [name for name, edits in bugs if not is_found(name, edits)]
    print(f"{len(bugs) - len(missed)} passed, {len(missed)} failed ({time.monotonic() - started:.0f} s)")
    sys.exit(1 if missed else 0)


def fresh_copy():
    """The two packages as they are now, in a workspace of their own. Unchanged files keep their times."""
    for source in SOURCES:
        for file in (ROOT / source).rglob("*"):
            if file.is_file():
                put(COPY / file.relative_to(ROOT), file.read_text())
        for copy in (COPY / source).rglob("*"):
            if copy.is_file() and not (ROOT / copy.relative_to(COPY)).exists():
                copy.unlink()
    for catalogue in (ROOT / "catalogue").glob("*.json"):
        put(COPY / "catalogue" / catalogue.name, catalogue.read_text())
    manifest = (ROOT / "Cargo.toml").read_text()
    members = "members = [" + ", ".join(f'"{source}"' for source in SOURCES) + "]"
    manifest = re.sub(r"(?m)^members = .*$", members, manifest)
    manifest = re.sub(r"(?ms)^\[profile\.dev\.package\.libsqlite3-sys\].*?(?=^\[|\Z)", "", manifest)
    put(COPY / "Cargo.toml", manifest)
    shutil.copy(ROOT / "Cargo.lock", COPY / "Cargo.lock")


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def check_table():
    for name, edits in BUGS:
        for file, old, _ in edits:
            found = len(pattern(old).findall((COPY / "shared/billing/src" / file).read_text()))
            if found != 1:
                sys.exit(f"{name}: its text is found {found} times in {file}: bring the table up to date")


def pattern(text):
    """`text`, however its lines are broken."""
    return re.compile(r"\s+".join(re.escape(word) for word in text.split()))


def build():
    command = ["cargo", "test", "--quiet", "-p", "simulation", "--no-run", "--message-format=json"]
    done = subprocess.run(command, cwd=COPY, capture_output=True, text=True)
    if done.returncode != 0:
        rendered = re.findall(r'"rendered":"(error.*?)","', done.stdout)
        sys.exit("it does not build:\n" + "\n".join(rendered).replace("\\n", "\n") + done.stderr)
    return re.findall(r'"executable":"([^"]+)"', done.stdout)[-1]


def run(binary):
    """None if every seed holds, else the invariant that was broken and how many seeds that took."""
    done = subprocess.run([binary], cwd=COPY, capture_output=True, text=True, timeout=600)
    if done.returncode == 0:
        return None
    broken = re.search(r"seed \d+ breaks (\S+) at step", done.stdout)
    seeds = re.search(r"simulation: (\d+) seeds", done.stdout)
    return (broken[1], seeds[1]) if broken and seeds else ("a panic", "-")


def is_found(name, edits):
    sources = {}
    for file, old, new in edits:
        path = COPY / "shared/billing/src" / file
        sources.setdefault(path, path.read_text())
        path.write_text(pattern(old).sub(lambda _: new.strip(), path.read_text()))
    try:
        found = run(build())
    finally:
        for path, text in sources.items():
            path.write_text(text)
    invariant, seeds = found if found else ("NOTHING", "-")
    print(f"{name:<58} {invariant:<10} {seeds:>11}", flush=True)
    return found is not None


if __name__ == "__main__":
    main()
