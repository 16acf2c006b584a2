#!/usr/bin/env python3
"""Plants bugs in the domain, one after the other, and sees whether the simulation finds each, and whether what explores
every interleaving of one renewal, and what walks a test clock, find those that are about that.

A simulation that finds nothing may be one that cannot. So it is itself measured: every edit below is a mistake that
someone could make, and each must be found within the seeds that `cargo test -p simulation` runs.

    python3 tests/simulation/planted.py              every bug
    python3 tests/simulation/planted.py fence        those with `fence` in their name
    python3 tests/simulation/planted.py --every 3    the first, the fourth, and so on

The edits are made in copies under target/planted, which hold the domain and the simulation and nothing else.
"""

import concurrent.futures
import os
import queue
import re
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "target" / "planted"
# Most of the time one of them is compiled, which takes one core.
AT_ONCE = 2
SOURCES = ["shared/billing", "tests/simulation"]

# What is wrong; and the edits: file in shared/billing/src, the text as it is, the text with the mistake.
BUGS = [
    # Money is taken once.
    ("a retry mints a new reference", [(
        "workflow/collect.rs",
        "if scene.wants_charge() && scene.payment.may_be_sent_again(now) => {\n                    return self.send_again(scene, now).await;",
        "if scene.wants_charge() && scene.payment.may_be_sent_again(now) => {\n"
        "                    let mut scene = scene;\n"
        "                    let again = PaymentId { attempt: 100, ..scene.payment.id.clone() };\n"
        "                    scene.payment.reference = again.reference(&scene.payment.customer);\n"
        "                    return self.charge(scene, now).await;",
    )]),
    ("the fence of an open attempt is missing", [(
        "subscription/due.rs",
        "        if self.open.is_some() && self.changing.is_none() && !nothing_tried {",
        "        if self.open.is_none() && self.attempts > 99 && !nothing_tried {",
    )]),
    ("the fence is missing once a method was declined", [(
        "subscription/due.rs",
        "        if self.open.is_some() && self.changing.is_none() && !nothing_tried {",
        "        if self.open.is_some() && self.failures.is_empty() && self.changing.is_none() && !nothing_tried {",
    )]),
    ("another method is tried before the outcome is known", [(
        "workflow/collect.rs",
        "            Err(error) => self.ask_later(scene.payment.unanswered(now), now, error).await,\n        }\n    }\n\n    /// Takes the gateway's answer in.",
        "            Err(_) => {\n"
        "                let fact = crate::subscription::Fact::Abandoned { payment: scene.payment.id.clone() };\n"
        "                let (_, writes) = self.told(scene, vec![fact], None, now);\n"
        "                Ok(self.store.commit(writes).await?)\n            }\n        }\n    }\n\n    /// Takes the gateway's answer in.",
    )]),
    ("silence counts as a decline", [(
        "workflow/collect.rs",
        "            Err(error) => self.ask_later(scene.payment.unanswered(now), now, error).await,\n        }\n    }\n\n    /// Takes the gateway's answer in.",
        "            Err(_) => {\n"
        "                let decline = crate::outcome::Decline::new(\"timeout\", Remedy::RetryLater);\n"
        "                self.settle(scene, Outcome::Declined(decline), None, now).await?;\n"
        "                Ok(())\n            }\n        }\n    }\n\n    /// Takes the gateway's answer in.",
    )]),
    ("that nobody can tell counts as never heard of", [(
        "workflow/collect.rs",
        "Collection::OffSession { .. } if unknown == Sighting::CannotTell => scene.payment.undecided(now),",
        "Collection::OffSession { .. } if unknown == Sighting::CannotTell && scene.wants_charge() => scene.payment.undecided(now),",
    )]),
    ("a charge is sent again after Stripe forgot its key", [(
        "payment/gateway.rs",
        "            Self::Stripe => SignedDuration::from_hours(23), //",
        "            Self::Stripe => SignedDuration::MAX, //",
    )]),
    ("a charge is sent again after PayPal forgot its key", [(
        "payment/gateway.rs",
        "            Self::PayPal => SignedDuration::from_hours(5), //",
        "            Self::PayPal => SignedDuration::MAX, //",
    )]),
    ("a repeated charge is repeated every minute", [(
        "workflow/collect.rs",
        "            Ok(outcome) => self.answered(scene, outcome, now).await,",
        "            Ok(outcome) => Ok(self.settle(scene, outcome, None, now).await.map(|_| ())?),",
    )]),
    ("the gateway is asked before the attempt is recorded", [(
        "workflow/collect.rs",
        "        self.store.commit(writes).await?;\n        scene.payment.version += 1;\n",
        "        let _ = self.gateways.charge(&scene.payment).await;\n"
        "        self.store.commit(writes).await?;\n        scene.payment.version += 1;\n",
    )]),
    ("a jump of the clock abandons a charge", [(
        "payment/asking.rs",
        " && tries >= LOOKS_BEFORE_GIVING_UP =>",
        " && tries < u32::MAX - LOOKS_BEFORE_GIVING_UP =>",
    )]),
    ("any amount counts as paid", [(
        "payment/settling.rs",
        "        let asked_for = receipt.amount == self.amount;\n",
        "        let asked_for = receipt.amount.currency == self.amount.currency;\n",
    )]),
    # What was heard of counts, once.
    ("settling overwrites what others wrote meanwhile", [(
        "workflow/settle.rs",
        "                    scene = self.scene(&customer, &id).await?.ok_or(StoreError::Conflict)?;\n",
        "                    let fresh = self.scene(&customer, &id).await?.ok_or(StoreError::Conflict)?;\n"
        "                    scene.payment.version = fresh.payment.version;\n"
        "                    if let (Some(scene), Some(fresh)) = (&mut scene.subscription, &fresh.subscription) {\n"
        "                        scene.version = fresh.version;\n"
        "                    }\n"
        "                    scene.wallet.version = fresh.wallet.version;\n"
        "                    scene.tokens.version = fresh.tokens.version;\n",
    ), (
        "workflow/settle.rs",
        "self.settled(scene, outcome.clone(), now)",
        "self.settled(scene.clone(), outcome.clone(), now)",
    )]),
    ("a lost race counts as done", [(
        "workflow/settle.rs",
        "                Err(StoreError::Conflict | StoreError::Duplicate) => {\n",
        "                Err(StoreError::Conflict) => return Ok(settled),\n"
        "                Err(StoreError::Duplicate) => {\n",
    )]),
    ("a webhook is believed", [(
        "workflow/receive.rs",
        "        match self.gateways.find(&scene.payment, delivery.object.as_deref()).await {\n",
        "        let receipt = crate::outcome::Receipt { id: delivery.id.event.clone(), amount: scene.payment.amount };\n"
        "        let aftermath = crate::outcome::Aftermath::default();\n"
        "        let told = crate::outcome::Outcome::Succeeded { receipt, aftermath, method: None };\n"
        "        let answer = match delivery.kind == \"charge.success\" {\n"
        "            true => Ok(Sighting::Known(told)),\n"
        "            false => self.gateways.find(&scene.payment, delivery.object.as_deref()).await,\n"
        "        };\n"
        "        match answer {\n",
    )]),
    ("a delivery is acknowledged before it is kept", [(
        "workflow/receive.rs",
        "            Ok(Sighting::NeverHeard | Sighting::CannotTell) | Err(_) => self.keep(delivery.waiting(now)).await,\n",
        "            Ok(Sighting::NeverHeard | Sighting::CannotTell) | Err(_) => Ok(()),\n",
    )]),
    ("a refused commit counts as a delivery kept", [(
        "workflow/receive.rs",
        "                Err(StoreError::Duplicate) => return Ok(()), // another process kept it\n",
        "                Err(StoreError::Duplicate | StoreError::Conflict) => return Ok(()),\n",
    )]),
    ("verify and webhook each grant a period", [(
        "payment/settling.rs",
        "            (Paid(paid), Outcome::Succeeded { aftermath, method, .. }) => {\n",
        "            (Paid(paid), Outcome::Succeeded { aftermath, method, .. }) if paid.method_known => {\n",
    ), (
        "payment/settling.rs",
        "                Pending { .. } | Failed { .. } | Expired { .. } | Unresolved { .. },\n                Outcome::Succeeded",
        "                Paid(_) | Pending { .. } | Failed { .. } | Expired { .. } | Unresolved { .. },\n                Outcome::Succeeded",
    ), (
        "subscription/facts.rs",
        "            (Active { .. } | PastDue { .. }, Paid { payment, amount, .. }) if self.owes(&payment) => {\n",
        "            (Active { .. } | PastDue { .. }, Paid { payment, amount, .. }) if payment.subscription == self.id => {\n",
    )]),
    ("a decline undoes a success", [(
        "payment/settling.rs",
        "            (Paid(_), Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired) => None,\n",
        "            (Paid(_), Outcome::Declined(decline)) => Some(self.declined(decline, now)),\n"
        "            (Paid(_), Outcome::Pending(_) | Outcome::Expired) => None,\n",
    )]),
    ("the period is told by the clock", [(
        "workflow/settle.rs",
        "            events = self.recorded(next, facts, &wallet, now);\n",
        "            if let crate::subscription::Status::Active { term, .. } = &mut next.status {\n"
        "                let interval = next.order.price.interval;\n"
        "                let utc = jiff::tz::TimeZone::UTC;\n"
        "                while crate::calendar::Period::nth(term.anchor, interval, term.index + 1, &utc).end < now {\n"
        "                    term.index += 1;\n"
        "                }\n"
        "            }\n"
        "            subscription = Some(next.clone());\n"
        "            events = self.recorded(next, facts, &wallet, now);\n",
    )]),
    ("an earlier subscription's payment opens the next one", [(
        "subscription/facts.rs",
        "(_, Paid { payment, .. }) if payment.subscription != self.id || self.is_driven() => {",
        "(_, Paid { payment, .. }) if self.is_driven() => {",
    )]),
    ("tokens come again with every answer", [(
        "workflow/settle.rs",
        "            if granted && let Some(more) = tokens.granted(&after.order.plan) {\n",
        "            let granted = granted || payment.is_settled();\n"
        "            if granted && let Some(more) = tokens.granted(&after.order.plan) {\n",
    )]),
    ("a key is claimed after the payment is made", [(
        "workflow/opening.rs",
        "            writes.push(Write::Create(Record::Claim(opening.claim(payment.id.clone(), now))));\n",
        "",
    )]),
    ("what was never answered is asked about no more", [(
        "payment/asking.rs",
        "            PaymentStatus::Pending { stage, .. } => self.waiting(stage, now),\n            PaymentStatus::Failed",
        "            PaymentStatus::Pending { stage, tries, .. } => {\n"
        "                Self { status: PaymentStatus::Pending { stage, check_at: Timestamp::MAX, tries: tries + 1 }, ..self }\n"
        "            }\n            PaymentStatus::Failed",
    )]),
    ("a decline that nobody can confirm is asked about for ever", [(
        "workflow/collect.rs",
        "Collection::OffSession { .. } if unknown == Sighting::CannotTell => scene.payment.undecided(now),",
        "Collection::OffSession { .. } if unknown == Sighting::CannotTell => scene.payment.unanswered(now),",
    )]),
    # Who left is not charged; who owes is, so often and no more.
    ("a canceled subscription's charge is sent again", [(
        "workflow/settle.rs",
        "let wanted = |it: &Subscription| it.wants_payment(&self.payment.id) && it.waits_for(&self.payment.id);",
        "let wanted = |it: &Subscription| it.id == self.payment.id.subscription && it.waits_for(&self.payment.id);",
    )]),
    ("canceling does not stop the renewal", [(
        "subscription/due.rs",
        "            Status::PastDue { dunning: Dunning::Retry { .. }, .. } => Some(Due::Payment),",
        "            Status::PastDue { dunning: Dunning::Retry { .. }, .. } => Some(Due::Payment),\n"
        "            Status::Canceled { reason: CancelReason::Requested, .. } => Some(Due::Payment),",
    ), (
        "subscription/due.rs",
        "            Status::Active { .. } => self.period().map(|period| period.end),\n            Status::PastDue",
        "            Status::Active { .. } | Status::Canceled { reason: CancelReason::Requested, term: Some(_), .. } => {\n"
        "                self.period().map(|period| period.end)\n            }\n            Status::PastDue",
    )]),
    ("renewing forgets a scheduled cancellation", [(
        "subscription.rs",
        "                    self.status = Status::Active { term, cancel_at_period_end: leaving };",
        "                    self.status = Status::Active { term, cancel_at_period_end: leaving && term.index == 0 };",
    )]),
    ("one retry too many", [(
        "dunning/ladder.rs",
        "        1 + self.retry_after_days.len()",
        "        2 + self.retry_after_days.len()",
    )]),
    ("a method that will not work again is charged again", [(
        "dunning.rs",
        "            Remedy::AskCustomer | Remedy::NewMethod => None,",
        "            Remedy::AskCustomer | Remedy::NewMethod => Some(last.again_at),",
    )]),
    ("an issuer without a reason is asked four times", [(
        "dunning.rs",
        "const FEW: usize = 2;",
        "const FEW: usize = 4;",
    )]),
    ("a declined method does not rest", [(
        "dunning.rs",
        "            Remedy::RetryLater | Remedy::OurFault => Some(last.again_at),",
        "            Remedy::RetryLater | Remedy::OurFault => Some(now),",
    )]),
    ("the issuer's advice to wait is not taken", [(
        "dunning.rs",
        "again_at: after(now, ladder.max(advised))",
        "again_at: after(now, ladder.min(ladder.max(advised)))",
    )]),
    ("grace ends although a method has come", [(
        "workflow/advance.rs",
        "        if !events.is_empty() {\n            return Ok(events);",
        "        if events.len() > 9 {\n            return Ok(events);",
    )]),
    ("who was asked to do something is charged another method", [(
        "dunning.rs",
        "let asked = failures.last().is_some_and(|last| last.remedy == Remedy::AskCustomer && last.method.is_some());",
        "let asked = failures.last().is_some_and(|last| last.remedy == Remedy::AskCustomer && last.method.is_none());",
    )]),
    ("what one method was asked about is forgotten with another", [(
        "subscription/facts.rs",
        "Some(_) if failure.remedy == Remedy::AskCustomer => Failure { remedy: Remedy::NewMethod, ..failure.clone() },",
        "Some(_) if failure.remedy == Remedy::AskCustomer => Failure { method: None, ..failure.clone() },",
    )]),
    ("grace that was interrupted begins again", [(
        "subscription/facts.rs",
        "(Dunning::Grace { .. }, (None, Some(ends_at))) => Dunning::Grace { ends_at },",
        "(Dunning::Grace { .. }, (None, Some(ends_at))) if ends_at < now => Dunning::Grace { ends_at },",
    )]),
    # Suspension.
    ("grace begins again when a retry fails in suspension", [(
        "subscription/facts.rs",
        "(Dunning::Grace { .. }, (Some(until), _)) => Dunning::Suspended { until },",
        "(Dunning::Grace { .. }, (Some(until), _)) if until < now => Dunning::Suspended { until },",
    )]),
    ("suspension begins again when it is over", [(
        "subscription/due.rs",
        "Status::PastDue { dunning: Dunning::Grace { .. }, .. } if self.order.plan.dunning.suspends() => {",
        "Status::PastDue { dunning: Dunning::Grace { .. } | Dunning::Suspended { .. }, .. }\n"
        "                if self.order.plan.dunning.suspends() =>\n            {",
    )]),
    ("suspension waits for a page", [(
        "subscription/due.rs",
        "matches!(self.status, Status::PastDue { dunning: Dunning::Grace { .. } | Dunning::Suspended { .. }, .. });",
        "matches!(self.status, Status::PastDue { dunning: Dunning::Grace { .. }, .. });",
    )]),
    ("who is suspended is served", [(
        "entitlement.rs",
        "Status::PastDue { .. } if it.unserved_since(now).is_some() => Some(Reason::Suspended),",
        "Status::PastDue { .. } if it.unserved_since(now).is_some() && it.suspended_until.is_none() => {\n"
        "            Some(Reason::Suspended)\n        }",
    )]),
    ("a retry in suspension serves before it is paid", [(
        "entitlement.rs",
        "Status::PastDue { .. } if it.unserved_since(now).is_some() => Some(Reason::Suspended),",
        "Status::PastDue { dunning: crate::dunning::Dunning::Retry { .. }, .. } if it.suspended_until.is_some() => None,\n"
        "        Status::PastDue { .. } if it.unserved_since(now).is_some() => Some(Reason::Suspended),",
    )]),
    ("who is restored has lost what was left", [(
        "subscription.rs",
        "self.put_off(term, at.duration_since(*since));",
        "self.put_off(term, jiff::SignedDuration::ZERO);",
    )]),
    ("who is restored has what they were served in grace again", [(
        "subscription/suspension.rs",
        "Some(since) => Event::Restored { payment, paid, since, at: now.max(since) },",
        "Some(since) => {\n"
        "                let since = self.period().map_or(since, |period| period.end);\n"
        "                Event::Restored { payment, paid, since, at: now.max(since) }\n            }",
    )]),
    ("what is restored brings no tokens", [(
        "workflow/settle.rs",
        "matches!(event, Event::Activated { .. } | Event::Renewed { .. } | Event::Restored { .. })",
        "matches!(event, Event::Activated { .. } | Event::Renewed { .. })",
    )]),
    # Pages.
    ("a page that cannot be closed is given up", [(
        "workflow/collect.rs",
        "let outcome = if scene.payment.is_closing(now) { outcome.at_the_end() } else { outcome };",
        "let outcome = if closing { outcome.at_the_end() } else { outcome };",
    )]),
    ("a page to pay what is owed does not hold back the charge", [(
        "subscription/due.rs",
        "        if self.open.is_some() && self.changing.is_none() && !nothing_tried {",
        "        if self.open.is_some() && self.changing.is_none() && !nothing_tried && !matches!(self.status, Status::PastDue { .. }) {",
    )]),
    ("a page to pay what is owed is opened while it is charged", [(
        "subscription/requests.rs",
        "            Status::PastDue { .. } if self.open.is_some() || self.due(now).is_some() => Err(Refusal::ChargeRunning),",
        "            Status::PastDue { .. } if self.due(now).is_some() => Err(Refusal::ChargeRunning),",
    )]),
    ("grace waits for a page", [(
        "subscription/due.rs",
        "        if self.open.is_some() && self.changing.is_none() && !nothing_tried {",
        "        if self.open.is_some() && (self.changing.is_none() || nothing_tried) {",
    )]),
    ("grace of an earlier period counts for the next", [(
        "subscription.rs",
        "        (self.grace_ends_at, self.suspended_until, self.held_until) = (None, None, None);",
        "        (self.suspended_until, self.held_until) = (None, None);",
    )]),
    ("a page that ends puts grace off", [(
        "subscription.rs",
        "            Event::AttemptEnded { .. } | Event::ChangeDeclined { .. } => (self.open, self.changing) = (None, None),",
        "            Event::ChangeDeclined { .. } => (self.open, self.changing) = (None, None),\n"
        "            Event::AttemptEnded { .. } => {\n"
        "                self.open = None;\n"
        "                if let Status::PastDue { dunning: Dunning::Grace { ends_at }, .. } = &mut self.status {\n"
        "                    *ends_at = crate::dunning::after(*ends_at, jiff::SignedDuration::from_hours(1));\n"
        "                }\n            }",
    )]),
    # Methods.
    ("a removed method is charged again", [(
        "workflow/settle.rs",
        "        held && self.subscription.as_ref()",
        "        (held || self.payment.charged_method().is_some()) && self.subscription.as_ref()",
    )]),
    ("a method's gateway is told once, heard or not", [(
        "workflow/methods.rs",
        "            Err(_) => wallet.forgetting_later(&method, now),",
        "            Err(_) => wallet.forgotten(&method),",
    )]),
    ("a method that came back is forgotten by its gateway", [(
        "wallet.rs",
        "        leaving.retain(|it| (it.method.gateway, &it.method.token) != (method.gateway, &method.token));\n",
        "        leaving.retain(|it| it.tries < u32::MAX);\n",
    )]),
    ("a payment that nobody wanted names a method", [(
        "workflow/settle.rs",
        "paid.refunds.is_empty() && paid.left() > 0);",
        "paid.refunds.is_empty());",
    )]),
    # What goes back.
    ("a late success is refused instead of refunded", [(
        "subscription/facts.rs",
        "                Paid { payment, .. },\n            ) => vec![Event::RefundOwed { payment }],\n",
        "                Paid { payment, .. },\n            ) if matches!(self.status, Active { .. }) => vec![Event::RefundOwed { payment }],\n"
        "            (_, Paid { .. }) => vec![],\n",
    )]),
    ("a refund is forgotten", [(
        "payment/paid.rs",
        "            self.push(Money { minor: left, ..self.receipt.amount }, RefundReason::NotOwed, now, now);",
        "            self.push(Money { minor: left, ..self.receipt.amount }, RefundReason::NotOwed, now, Timestamp::MAX);",
    )]),
    ("a refund that failed is not promised anew", [(
        "payment/paid.rs",
        "        self.promised_anew(now)\n",
        "        self\n",
    )]),
    ("a refund's name is without its number", [(
        "payment/mod.rs",
        "format!(\"{}x{}\", self.reference, refund.number)",
        "format!(\"{}x{}\", self.reference, refund.number.min(1))",
    )]),
    ("more is promised than is left", [(
        "payment/paid.rs",
        "        if minor > left || left == 0 {",
        "        if minor > self.receipt.amount.minor || left == 0 {",
    )]),
    ("a refund is promised and no key claimed for it", [(
        "workflow/refund.rs",
        "vec![Write::Create(Record::Claim(claim)), Write::next(Record::Payment(promised.clone()))];",
        "vec![Write::next(Record::Payment(promised.clone()))];\n            drop(claim);",
    )]),
    ("what was charged to prove a card is kept", [(
        "payment/settling.rs",
        "            return Some((Self { status: PaymentStatus::Paid(paid.owed_back(now)), ..self }, vec![]));",
        "            return Some((Self { status: PaymentStatus::Paid(paid), ..self }, vec![]));",
    )]),
    ("a look is skipped", [(
        "payment/paid.rs",
        "coming.into_iter().find(|look_at| *look_at > now).or(while_disputed)",
        "coming.into_iter().filter(|look_at| *look_at > now).nth(1).or(while_disputed)",
    )]),
    # Disputes.
    ("a dispute that is lost does not cancel", [(
        "subscription/facts.rs",
        "            (PastDue { .. }, Disputed { .. }) | (Active { .. } | PastDue { .. } | Paused { .. }, DisputeLost { .. }) => {",
        "            (PastDue { .. }, Disputed { .. } | DisputeLost { .. }) => {",
    )]),
    ("a dispute that a look finds is told to nobody", [(
        "payment/settling.rs",
        "                let facts = match paid.is_owed_back() {\n                    true => vec![],",
        "                let facts = match paid.is_owed_back() || !names_method {\n                    true => vec![],",
    )]),
    ("who disputes a payment is charged for the next period", [(
        "subscription/due.rs",
        "            Status::Active { .. } if !self.disputed.is_empty() => Some",
        "            Status::Active { .. } if self.disputed.len() > 9 => Some",
    )]),
    ("who disputes a payment is tried again when declined", [(
        "subscription/facts.rs",
        "if self.waits_for(&payment) && !self.disputed.is_empty() => {",
        "if self.waits_for(&payment) && self.disputed.len() > 9 => {",
    )]),
    ("one dispute that is won settles all", [(
        "subscription.rs",
        "                self.disputed.remove(payment);",
        "                self.disputed.retain(|other| other.subscription != payment.subscription);",
    )]),
    ("disputed money is asked for again and again", [(
        "payment/paid.rs",
        "self.refunds.iter().filter(move |_| stands)",
        "self.refunds.iter().filter(move |_| stands || self.refunds.len() < 999)",
    )]),

    # Mails.
    ("a mail counts as sent before anyone took it", [(
        "workflow/mails.rs",
        "        match mailer.send(&mail, brand.as_ref()).await {\n            Ok(()) => {\n                self.keep_sent(mail, subscription, now).await?;",
        "        let before = self.store.commit(vec![Write::next(Record::Mail(mail.clone().sent(now)))]).await;\n"
        "        before?;\n"
        "        match mailer.send(&mail, brand.as_ref()).await {\n            Ok(()) => {",
    )]),
    ("who is in grace because of a hard decline is not told", [(
        "mail.rs",
        "if remedy == Some(Remedy::OurFault) {",
        "if matches!(remedy, Some(Remedy::OurFault | Remedy::NewMethod)) {",
    )]),
    ("a mail that nobody took is not sent again", [(
        "workflow/mails.rs",
        "Err(MailError::NoAnswer(_)) => self.keep_mail(mail.delayed(now)).await,",
        "Err(MailError::NoAnswer(_)) => self.keep_mail(mail.dropped(Dropped::Overtaken, now)).await,",
    )]),
    ("what never came at a gateway is waited for even when a person knows", [(
        "workflow/collect.rs",
        "if scene.wants_charge() && !scene.payment.is_unresolved() => {",
        "if scene.wants_charge() => {",
    )]),
    ("what nobody could tell for days is never asked about again", [(
        "payment/mod.rs",
        "PaymentStatus::Pending { check_at, .. } | PaymentStatus::Unresolved { check_at, .. } => Some(*check_at),",
        "PaymentStatus::Unresolved { .. } => None,\n            PaymentStatus::Pending { check_at, .. } => Some(*check_at),",
    )]),
    # What is bought is changed, and every minor unit of it is somewhere.
    ("more is credited than was paid", [(
        "subscription/funds.rs",
        "Ok(Money { minor: rest.minor.min(left.minor), ..rest })",
        "let _ = left; Ok(rest)",
    )]),
    ("what is given back is not taken from what can be credited", [(
        "subscription/funds.rs",
        "fund.left = fund.left.with_more(from_fund.saturating_neg());",
        "",
    )]),
    ("what was credited and is given back stays in the balance", [(
        "subscription/funds.rs",
        "self.move_balance(Money { minor: from_balance.saturating_neg(), ..amount });",
        "",
    )]),
    ("the balance is used for a charge and kept", [(
        "subscription/funds.rs",
        "self.move_balance(Money { minor: paid.minor.saturating_sub(price.minor), ..price });",
        "self.move_balance(Money { minor: paid.minor.saturating_sub(price.minor).max(0), ..price });",
    )]),
    ("what a change credits is credited twice", [(
        "subscription/funds.rs",
        "fund.left = fund.left.with_more(moved.saturating_neg());",
        "",
    )]),
    ("what is changed while a renewal is under way loses it", [(
        "subscription/change.rs",
        "        if self.open.is_some() || now >= period.end {",
        "        if now >= period.end {",
    )]),
    ("whoever asks second is answered with what the first paid", [(
        "workflow/once.rs",
        "            None => Err(made.err().unwrap_or(ChangeError::Meanwhile)),",
        "            None => { let subscription = self.lookup(opening.customer).await?.ok_or(ChangeError::NoSubscription)?.subscription;\n"
        "                drop(made); Ok(Changed { subscription, payment: None }) }",
    )]),
    ("a change is made though its payment was declined", [(
        "subscription/facts.rs",
        "                vec![Event::ChangeDeclined { payment }]",
        "                { let nothing = crate::money::Money { minor: 0, ..self.order.price.amount }; self.changed_by(payment, nothing) }",
    )]),
    # Clocks.
    ("a renewal is counted in UTC though the customer is elsewhere", [(
        "subscription/periods.rs",
        "        term.period(self.order.price.interval, &self.time_zone)",
        "        let zone = if term.index == 0 { self.time_zone.clone() } else { crate::calendar::zone::Zone::UTC };\n"
        "        term.period(self.order.price.interval, &zone)",
    )]),
    ("where a customer is is forgotten with their next subscription", [(
        "subscription/requests.rs",
        "current.map_or(Zone::UTC, |current| current.time_zone.clone())",
        "Zone::UTC",
    )]),
    ("a trial ends at the hour that it would in UTC", [(
        "subscription.rs",
        "let ends_at = trial.ends_at(&self.time_zone);",
        "let ends_at = trial.ends_at(&Zone::UTC);",
    )]),
    # A new release comes out.
    ("what came with a new schema has no default", [(
        "subscription.rs",
        "    #[serde(default, skip_serializing_if = \"Zone::is_utc\")]\n    pub time_zone: Zone,",
        "    pub time_zone: Zone,",
    )]),
    ("what is missing in a record of before means something", [(
        "subscription.rs",
        "    #[serde(default, skip_serializing_if = \"Zone::is_utc\")]\n    pub time_zone: Zone,",
        "    #[serde(default = \"crate::calendar::zone::planted\")]\n    pub time_zone: Zone,",
    ), (
        "calendar/zone.rs",
        "impl Zone {",
        "pub(crate) fn planted() -> Zone { Zone::try_from(\"Africa/Lagos\".to_owned()).unwrap_or_default() }\n"
        "impl Zone {",
    )]),
    ("what cannot be read counts as nothing", [(
        "workflow/settle.rs",
        "let mut found = self.store.get(keys).await?;\n        let Some(payment) = found.payment() else { return Ok(None) };",
        "let mut found = self.store.get(keys).await.unwrap_or_default();\n"
        "        let Some(payment) = found.payment() else { return Ok(None) };",
    )]),
    # A test clock that is walked.
    ("what is due on the way is done at the end of it", [(
        "workflow/clock.rs",
        "return Ok((first, first_of_all",
        "return Ok((goal, first_of_all",
    )]),
    ("who walks alone lives by everyone's clock", [(
        "ports/test_clock.rs",
        "own.map_or(stack, |walk| walk.at.max(stack))",
        "own.map_or(stack, |_| stack)",
    )]),
    # Trials and pauses.
    ("a trial is had twice", [(
        "subscription/requests.rs",
        "self.order.plan.trial.filter(|_| !self.had_trial)?",
        "self.order.plan.trial?",
    )]),
    ("a pause uses up the period", [(
        "subscription.rs",
        "self.put_off(term, at.duration_since(since));",
        "self.put_off(term, jiff::SignedDuration::ZERO);",
    )]),
    ("who is in a pause is charged", [(
        "subscription/due.rs",
        "            Status::Active { .. } => self.period().map(|period| period.end),",
        "            Status::Active { .. } | Status::Paused { .. } => self.period().map(|period| period.end),",
    ), (
        "subscription/due.rs",
        "            Status::Incomplete | Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => None,\n        };\n        due_at",
        "            Status::Incomplete | Status::Canceled { .. } | Status::Expired { .. } => None,\n        };\n        due_at",
    ), (
        "subscription/due.rs",
        "            Status::Incomplete | Status::Paused { .. } | Status::Canceled { .. } | Status::Expired { .. } => None,\n        }\n    }",
        "            Status::Paused { .. } => Some(Due::Payment),\n"
        "            Status::Incomplete | Status::Canceled { .. } | Status::Expired { .. } => None,\n        }\n    }",
    )]),
    ("a first charge is made while another may be paid", [(
        "workflow/subscribe.rs",
        "payments.filter(|payment| !payment.is_settled() && payment.due_at().is_some())",
        "payments.filter(|payment| !payment.is_settled() && payment.due_at().is_none())",
    )]),
    # Add-ons, and what was looked at before.
    ("a change costs what it does by then, not what was shown", [(
        "workflow/change.rs",
        "Some(id) if *id != preview.id =>",
        "Some(id) if id.at > preview.id.at =>",
    )]),
    ("what was shown is had whenever it is asked for", [(
        "subscription/outlook.rs",
        "Some(id) if !id.holds(now) || again(id.at)? != *id =>",
        "Some(id) if again(id.at).is_err() && !id.holds(now) =>",
    )]),
    ("what costs nothing is shown with what is owed for uses", [(
        "subscription/outlook.rs",
        "None if self.costs_nothing()? =>",
        "None if due.minor == 0 =>",
    )]),
    ("a counter is rebuilt from the uses of every meter", [(
        "workflow/rebuild.rs",
        "page.into_iter().filter(|it| it.meter == *meter)",
        "page.into_iter().filter(|_| !meter.as_str().is_empty())",
    )]),
    ("of several of an add-on one is paid for", [(
        "order.rs",
        "it.price.times(it.quantity)",
        "it.price.times(1)",
    )]),
    ("several of an add-on allow as much as one", [(
        "order.rs",
        "raise.saturating_mul(bought.quantity.into())",
        "*raise",
    )]),
    ("an add-on goes along at the price of the old plan", [(
        "workflow/change.rs",
        "Ok(if same_price { order } else { order.with_addons_of(held) })",
        "Ok(order)",
    )]),
    # What staff do.
    ("what is given with a plan is given for ever", [(
        "workflow/subscribe.rs",
        "Some(Discount { plans: [order.plan.id.clone()].into(), ..wanted.comp.clone()? })",
        "Some(Discount { plans: [order.plan.id.clone()].into(), left: None, ..wanted.comp.clone()? })",
    )]),
    ("the end that staff move leaves more to be credited", [(
        "subscription/interventions.rs",
        "        self.worth = Some(Worth { amount: rest, at, by: self.worth_in(period).by });",
        "        self.worth = self.worth.or(Some(Worth { amount: rest, at: period.start, by: self.worth_in(period).by }));",
    )]),
    ("a trial's end that staff move is not told of again", [(
        "subscription/interventions.rs",
        "            self.reminded = false;",
        "            self.reminded &= end > at;",
    )]),
    ("staff move the end of a period while the next is charged", [(
        "subscription/interventions.rs",
        "        if self.open.is_some() || now >= running.end {",
        "        if self.open.is_some() && now < running.end {",
    )]),
    ("tokens are taken twice under one key", [(
        "workflow/consume.rs",
        "        let claim = Claim { consumption: Some(consumption.id.clone()), ..claim };",
        "        let key = crate::testing::idempotency_key(consumption.id.as_str());\n"
        "        let claim = Claim { key, consumption: Some(consumption.id.clone()), ..claim };",
    )]),
    ("what was consumed is back when more is granted", [(
        "token.rs",
        "        let consumed = granted.saturating_sub(self.balance);",
        "        let consumed = granted.saturating_sub(granted);",
    )]),
    ("what ends last is used first", [(
        "token.rs",
        "        left.sort_by_key(|it| (it.rollovers.is_none(), it.rollovers));",
        "        left.sort_by_key(|it| std::cmp::Reverse((it.rollovers.is_none(), it.rollovers)));",
    )]),
    ("tokens are carried over once too often", [(
        "token.rs",
        "            Some(0) => None,\n            rollovers => Some(Grant { rollovers: rollovers.map(|left| left - 1), ..it }),",
        "            rollovers => Some(Grant { rollovers: rollovers.map(|left| left.saturating_sub(1)), ..it }),",
    )]),
    ("the tokens that staff fill up come on top", [(
        "workflow/admin.rs",
        "Write::next(Record::Tokens(tokens.set(balance, &it.order.plan)))",
        "Write::next(Record::Tokens(tokens.and(balance, &it.order.plan)))",
    )]),
    ("what is charged back leaves its tokens", [(
        "payment/tokens.rs",
        "held.following(paid.brought?, paid.is_gone())?",
        "held.following(paid.brought?, paid.is_gone() && paid.dispute().is_none())?",
    )]),
    ("tokens are taken back with every answer", [(
        "token/brought.rs",
        "                Some((next, Brought { taken, ..brought }))",
        "                Some((next, Brought { taken: taken.filter(|taken| *taken == 0), ..brought }))",
    )]),
    ("tokens that have ended are taken from what came since", [(
        "token/brought.rs",
        "let rollovers = rollovers.checked_sub(u16::try_from(since).ok()?)?;",
        "let rollovers = rollovers.saturating_sub(u16::try_from(since).ok()?);",
    )]),
    ("what is put back was never taken", [(
        "token/brought.rs",
        "self.left_of(brought, taken)",
        "self.left_of(brought, brought.tokens.max(taken))",
    )]),
    ("what was paid elsewhere counts as paid to us", [(
        "subscription/taken_over.rs",
        "        self.fund_elsewhere(term, paid, at);",
        "        let _ = at;",
    )]),
    ("who was a customer elsewhere is made one again", [(
        "subscription/requests.rs",
        "            taken_over: current.and_then(|current| current.taken_over.clone()),",
        "            taken_over: None,",
    )]),
    ("what staff give is off the period that is paid already", [(
        "discount.rs",
        "        if self.is_on { Self { left: Some(0), then: Some(Box::new(given)), ..self } } else { given }",
        "        given.in_next_period().unwrap_or(self)",
    )]),
    # Prices.
    ("a price changes before its customer was told", [(
        "subscription/repricing.rs",
        "change.from.is_some_and(|from| start.is_some_and(|start| from <= start))",
        "change.from.is_none_or(|from| start.is_some_and(|start| from <= start))",
    )]),
    ("a price changes within the notice", [(
        "subscription/repricing.rs",
        "Period::nth(now, Interval::Days(days.get()), 0, &self.time_zone).end",
        "Period::nth(now, Interval::Days(days.get().min(1)), 0, &self.time_zone).end",
    )]),
    ("the day that was told of a price does not hold", [(
        "subscription/repricing.rs",
        "        self.untold_price().filter(|change| change.plan.version == version)?;\n"
        "        Some(Event::PriceChangeTold { from: self.price_to_tell(now)?.begins_at })",
        "        let change = self.untold_price().filter(|change| change.plan.version == version)?;\n"
        "        Some(Event::PriceChangeTold { from: self.noticed(change.notice_days, now) })",
    )]),
    ("a price that was told never changes", [(
        "subscription/repricing.rs",
        ".filter(|change| change.plan.id == order.plan.id);",
        ".filter(|change| change.plan.id != order.plan.id);",
    )]),
    ("a price change that was taken back is made", [(
        "subscription.rs",
        "Event::PriceChangeRevoked => self.price_change = None,",
        "Event::PriceChangeRevoked => {}",
    )]),
    ("who is told of a price is not known to be", [(
        "workflow/mails.rs",
        "Some((it.told_of_price(version, now)?, it))",
        "Some((it.told_of_price(version + 1, now)?, it))",
    )]),
    # Coupons.
    ("a discount has no end", [(
        "discount.rs",
        "left: left.map(|left| left - 1), ..self",
        "..self",
    )]),
    ("a discount is off one period more", [(
        "discount.rs",
        "Lasts::Periods(periods) => Some(periods),",
        "Lasts::Periods(periods) => Some(periods + 1),",
    )]),
    ("a discount goes on in a period that a change begins", [(
        "subscription/change.rs",
        "Anchor::Moved => self.repriced(order, Some(at)).in_next_period(),",
        "Anchor::Moved => self.repriced(order, Some(at)),",
    )]),
    ("a discount goes along to plans that it is not for", [(
        "workflow/change.rs",
        "held.discount.clone().and_then(|discount| discount.of(&plan.id))",
        "held.discount.clone()",
    )]),
    ("what staff give for a month is a year's", [(
        "workflow/change.rs",
        "if interval == held.price.interval { discount } else { discount.and_then(Discount::redeemed) }",
        "if interval == held.price.interval { discount } else { discount }",
    )]),
    ("nobody counts who redeems a coupon with a page", [(
        "workflow/redeem.rs",
        "return (payment, counted(coupon, events));",
        "return (payment, None);",
    )]),
    ("of a coupon of which there is one, whoever asks at the same time is charged less", [(
        "workflow/subscribe.rs",
        "let coupon = held(found.coupon(), &ordered.order);",
        "let coupon = held(None, &ordered.order);",
    )]),
    ("a charge that comes to nothing keeps the coupon", [(
        "workflow/redeem.rs",
        "let given_back = coupon.filter(|_| !begun)",
        "let given_back = coupon.filter(|_| begun && !begun)",
    )]),
    ("nobody counts who redeems a coupon without a page", [(
        "workflow/subscribe.rs",
        "writes.extend(counted(found.coupon(), std::slice::from_ref(&event)));",
        "let _ = counted;",
    )]),
    ("what a customer has redeemed is forgotten with their next subscription", [(
        "subscription/requests.rs",
        "redeemed: current.map_or(BTreeMap::new(), |current| current.redeemed.clone()),",
        "redeemed: BTreeMap::new(),",
    )]),
    ("what a discount leaves is charged though no gateway takes so little", [(
        "subscription/funds.rs",
        "if balance.minor == 0 && self.usage_charges.is_empty() && order.discounted().is_none() {",
        "if balance.minor == 0 && self.usage_charges.is_empty() {",
    )]),
    # What is counted, and what is charged for it.
    ("a use is counted and its id is not kept", [(
        "workflow/report.rs",
        "writes.extend(self.counted.iter().map(|it| Write::Create(Record::UsageRecord(it.clone()))));",
        "",
    )]),
    ("what shards have counted is not read", [(
        "shard.rs",
        "self.value = lent.clone().fold(value, |sum, it| sum.saturating_add(it.value));",
        "self.value = lent.clone().fold(value, |sum, _| sum);",
    )]),
    ("who takes back what was lent leaves it with the shards", [(
        "shard.rs",
        "let usage = Self { lease: None, shards: vec![], ..self };",
        "let usage = Self { shards: vec![], ..self };",
    )]),
    ("more is lent than is left", [(
        "shard.rs",
        "let each = at_most.checked_sub(self.value)? / u64::from(shards.0);",
        "let each = at_most.checked_sub(self.value)?;",
    )]),
    ("who adds to a counter does not look at the limit again", [(
        "workflow/report.rs",
        "let (customer, meter, period) = (known.customer.clone(), meter.clone(), period.clone());",
        "let (customer, meter, period, at_most) = (known.customer.clone(), meter.clone(), period.clone(), at_most.max(u64::MAX));",
    )]),
    ("who adds to a counter passes the line of an alert", [(
        "workflow/report.rs",
        "below_next_line(order, meter, value).unwrap_or(u64::MAX).min(left)",
        "below_next_line(order, meter, u64::MAX).unwrap_or(u64::MAX).min(left)",
    )]),
    ("nobody is told when what they use begins to cost", [(
        "workflow/report.rs",
        "writes.extend(self.notice().map(|mail| Write::next(Record::Mail(mail))));",
        "",
    )]),
    ("each use beyond a limit is told of", [(
        "mail/overage.rs",
        ".filter(|_| before <= included && value > included)?",
        ".filter(|_| value > included)?",
    )]),
    ("a use that was counted while it was refused stays refused", [(
        "workflow/report.rs",
        "if self.counted_meanwhile(customer, uses, &answers).await? {",
        "if false && self.counted_meanwhile(customer, uses, &answers).await? {",
    )]),
    ("a counter goes on in the next period", [(
        "usage.rs",
        "let counts = counted.subscription == period.subscription && counted.index >= period.index;",
        "let counts = counted.subscription == period.subscription;",
    )]),
    ("a meter is not closed with the invoice it is on", [(
        "workflow/closing.rs",
        "counted.iter().filter_map(|it| subscription.closed(it, now));",
        "counted.iter().filter_map(|it| subscription.closed(it, now)).take(0);",
    )]),
    ("what a period has counted is forgotten with the first use of the next", [(
        "workflow/report.rs",
        "let before = late.map(|it| (it.period.clone(), it.to)).or_else(|| turned.before.clone());",
        "let before = late.map(|it| (it.period.clone(), it.to));",
    )]),
    ("more than the limit is sold though no invoice follows", [(
        "subscription/metering.rs",
        "self.is_followed() && !owes && !self.is_trialing() && pays()",
        "!owes && !self.is_trialing() && pays()",
    )]),
    ("what is owed is used by the limits of the plan before", [(
        "subscription/metering.rs",
        "is_to_come.then(|| self.next_order())",
        "is_to_come.then(|| self.order.clone())",
    )]),
    ("a plan to come cuts what is paid for", [(
        "subscription/metering.rs",
        "let is_to_come = self.term().is_some_and(|term| period.subscription == self.id && period.index > term.index);",
        "let is_to_come = self.term().is_some_and(|term| period.subscription == self.id && period.index >= term.index);",
    )]),
    ("the tiers begin anew with each part of a period", [(
        "catalog/overage.rs",
        "let amount = self.cost(now).ok()?.minus(self.cost(before).ok()?)?;",
        "let amount = self.cost(units).ok()?;",
    )]),
    ("what a part of a period was billed for is billed with the rest again", [(
        "subscription/metering.rs",
        "let billed = told.map(|line| line.used).max().unwrap_or(0);",
        "let billed = told.map(|line| line.included).max().unwrap_or(0);",
    )]),
    ("what was used before a change at once is not billed", [(
        "workflow/change.rs",
        "Effective::Now => live.subscription.bill_so_far(&live.meters, now),",
        "Effective::Now => live.subscription.bill_so_far(&live.meters, now).filter(|_| false),",
    )]),
    ("what a clock ahead has counted of the next period is billed with this one", [(
        "subscription/metering.rs",
        "let used = |it: &MeterUsage| it.periods().find(|(counted, _)| *counted == period).map(|(_, used)| used);",
        "let used = |it: &MeterUsage| it.periods().last().map(|(_, used)| used);",
    )]),
    ("what was used while a change was being paid is on no invoice", [(
        "subscription/metering.rs",
        "let another = |becomes: &Becomes| Some(becomes.term.index) != running;",
        "let another = |becomes: &Becomes| Some(becomes.term.index) < running;",
    )]),
    ("what was used is paid for and stays on the next invoice", [(
        "subscription/metering.rs",
        "self.usage_charges.retain(|line| line.amount.currency != currency);",
        "",
    )]),
    ("who comes back owes nothing for what they used", [(
        "subscription/requests.rs",
        "usage_charges: current.map_or(vec![], Self::unpaid_usage),",
        "usage_charges: vec![],",
    )]),
    ("what is told late is charged for from the limit on, whatever is paid of it", [(
        "subscription/late.rs",
        "self.price.overage(counted.to, self.included, counted.from)?;",
        "self.price.overage(counted.to, self.included, 0)?;",
    )]),
    ("what is told late is on no invoice once its period was billed", [(
        "subscription/late.rs",
        "let billed = counted.iter().filter(|(it, _)| !self.is_unbilled(&it.period));",
        "let billed = counted.iter().filter(|(it, _)| self.is_unbilled(&it.period)).take(0);",
    )]),
    ("what is told late is on the invoice that is being paid", [(
        "subscription/late.rs",
        "if self.is_being_collected() { &mut self.late_charges } else { &mut self.usage_charges };",
        "&mut self.usage_charges;",
    )]),
    ("what was told while an invoice was being paid is forgotten with it", [(
        "subscription/metering.rs",
        "self.usage_charges.append(&mut self.late_charges);",
        "self.late_charges.clear();",
    )]),
    ("what is told late counts in the period at hand", [(
        "subscription/late.rs",
        "self.time.start <= at && at < self.time.end",
        "self.time.start <= at && at < self.time.start",
    )]),
    # A smaller plan: what is in use has room in it, and what is left of the period is the customer's.
    ("a smaller plan is made whatever is in use", [(
        "workflow/change.rs",
        "Some(blocked) if !blocked.is_possible(wish.effective) => {",
        "Some(blocked) if !blocked.is_possible(wish.effective) && blocked.exceeds.is_empty() => {",
    )]),
    ("a smaller plan begins whatever is in use by then", [(
        "workflow/advance.rs",
        "Ok(!downgrade(from, to, &family, &usage, Some(&then)).is_possible(Effective::PeriodEnd))",
        "let _ = downgrade(from, to, &family, &usage, Some(&then)).is_possible(Effective::PeriodEnd);\n        Ok(false)",
    )]),
    ("who goes down within a period loses what was left of it", [(
        "subscription/change.rs",
        "let credit = quote.credit.negated().ok_or(Refusal::TooExpensive)?;",
        "let credit = match order.plan.tier < self.order.plan.tier {\n"
        "            true => Money::zero(currency),\n"
        "            false => quote.credit.negated().ok_or(Refusal::TooExpensive)?,\n        };",
    )]),
    ("what is used up is credited where another period begins", [(
        "subscription/change.rs",
        "let unspent = if anchor == Anchor::Moved { self.unused(counted) } else { Ratio::ONE };",
        "let unspent = if anchor == Anchor::Moved { self.unused(counted).max(Ratio::ONE) } else { Ratio::ONE };",
    )]),
    ("of several counters the one that is used up least says what is credited", [(
        "subscription/metering.rs",
        "counted.iter().filter_map(share).min().unwrap_or(Ratio::ONE)",
        "counted.iter().filter_map(share).max().unwrap_or(Ratio::ONE)",
    )]),
    ("checking a downgrade bills what was used so far", [(
        "workflow/downgrade.rs",
        "let live = self.lookup_at(customer, now).await?.ok_or(DowngradeError::NoSubscription)?;",
        "let live = self.lookup_at(customer, now).await?.ok_or(DowngradeError::NoSubscription)?;\n"
        "        if let Some(event) = live.subscription.bill_so_far(&live.meters, now) {\n"
        "            let (_, writes) = super::transition(live.subscription.clone(), vec![event], now);\n"
        "            self.store.commit(writes).await?;\n        }",
    )]),
    ("a downgrade is billed for before it is refused", [
        (
            "workflow/change.rs",
            "let Previewed { preview, downgrade, .. } = self.previewed(wish, &live, now).await?;",
            "let Previewed { preview, downgrade, .. } = self.previewed(wish, &live, now).await?;\n"
            "        if !billed.is_empty() {\n            self.store.commit(billed).await?;\n        }",
        ),
        (
            "workflow/change.rs",
            "        if !billed.is_empty() {\n            self.store.commit(billed).await?;\n        }\n        match preview",
            "        match preview",
        ),
    ]),
    # Whose it is, and what nobody is to read.
    ("a key means the same whoever says it", [
        (
            "workflow/opening.rs",
            "let key = Key::Claim(opening.customer.clone(), opening.key.clone());",
            "let key = Key::Claim(everybody(opening.customer), opening.key.clone());",
        ),
        (
            "workflow/opening.rs",
            "Key::Claim(self.customer.clone(), self.key.clone()),",
            "Key::Claim(everybody(self.customer), self.key.clone()),",
        ),
        (
            "workflow/opening.rs",
            "            customer: self.customer.clone(),\n            key: self.key.clone(),",
            "            customer: everybody(self.customer),\n            key: self.key.clone(),",
        ),
        (
            "workflow/opening.rs",
            "const CLAIM_KEPT_FOR: SignedDuration = SignedDuration::from_hours(96);",
            "const CLAIM_KEPT_FOR: SignedDuration = SignedDuration::from_hours(96);\n\n"
            "fn everybody(one: &CustomerId) -> CustomerId {\n"
            "    CustomerId::try_from(\"everybody\".to_owned()).unwrap_or_else(|_| one.clone())\n}",
        ),
    ]),
    ("a mail that was refused is told of with its address", [(
        "workflow/mails.rs",
        "                self.keep_mail(mail.dropped(Dropped::Refused(why.clone()), now)).await?;\n"
        "                Err(SendError::Refused(id.clone(), why))",
        "                let told = format!(\"{why}: {}\", mail.to.email);\n"
        "                self.keep_mail(mail.dropped(Dropped::Refused(why), now)).await?;\n"
        "                Err(SendError::Refused(id.clone(), told))",
    )]),
    ("our own fault is told of with the customer's method", [(
        "workflow/collect.rs",
        "Some(WakeError::OurFault(payment.id.clone(), decline.code.clone()))",
        "Some(WakeError::OurFault(payment.id.clone(), format!(\"{} of {:?}\", decline.code, payment.charged_method())))",
    )]),
]

# What takes nothing but one renewal and an order of calls: found by `exhaustive` as well.
OF_ONE_RENEWAL = {
    "the fence of an open attempt is missing",
    "another method is tried before the outcome is known",
    "silence counts as a decline",
    "the gateway is asked before the attempt is recorded",
    "settling overwrites what others wrote meanwhile",
    "a lost race counts as done",
    "a delivery is acknowledged before it is kept",
    "verify and webhook each grant a period",
    "canceling does not stop the renewal",
    "a late success is refused instead of refunded",
    "a refund is forgotten",
}

# What takes a test clock that is walked: found by `years` instead.
OF_YEARS = {
    "what is due on the way is done at the end of it",
    "who walks alone lives by everyone's clock",
}


def main():
    bugs = chosen(sys.argv[1:])
    started = time.monotonic()
    check_table()
    first, *others = copies = [Copy(FOLDER / str(n)) for n in range(min(AT_ONCE, len(bugs)))]
    if first.run(first.build(), seeds="0..2000") is not None:
        sys.exit("the simulation fails without any planted bug: mend that first")
    for other in others:
        other.take_what_was_built(first)
    idle = queue.SimpleQueue()
    for copy in copies:
        idle.put(copy)
    print(f"{'planted bug':<58} {'caught by':<10} {'after seeds':>11}   {'explored':<10} {'states':>8}")
    with concurrent.futures.ThreadPoolExecutor(len(copies)) as pool:
        found = [it for it in pool.map(lambda bug: told_of(idle, bug), bugs) if tell(it)]
    missed = len(bugs) - len(found)
    seeds = [int(by_seeds[1]) for _, by_seeds, _ in found if by_seeds[1].isdigit()]
    half = f", half of them within {statistics.median_low(seeds)} seeds" if seeds else ""
    print(f"{len(found)} passed, {missed} failed{half} ({time.monotonic() - started:.0f} s)")
    sys.exit(1 if missed else 0)


def chosen(said):
    match said:
        case []:
            return BUGS
        case ["--every", step] if step.isdigit() and int(step) > 0:
            return BUGS[:: int(step)]
        case [name] if found := [bug for bug in BUGS if name in bug[0]]:
            return found
    sys.exit("which? part of a bug's name, or --every 3; nothing: all of them")


def check_table():
    if unknown := (OF_ONE_RENEWAL | OF_YEARS) - {name for name, _ in BUGS}:
        sys.exit(f"no such bug: {unknown}")
    for name, edits in BUGS:
        for file, old, _ in edits:
            found = len(pattern(old).findall((ROOT / "shared/billing/src" / file).read_text()))
            if found != 1:
                sys.exit(f"{name}: its text is found {found} times in {file}: bring the table up to date")


def pattern(text):
    """`text`, however its lines are broken."""
    return re.compile(r"\s+".join(re.escape(word) for word in text.split()))


def told_of(idle, bug):
    copy = idle.get()
    try:
        return copy.plant(*bug)
    finally:
        idle.put(copy)


def tell(found):
    """Whether the bug was found by all that should; and a line that says so."""
    name, by_seeds, by_states = found
    (invariant, seeds), (explored, states) = (it or ("NOTHING", "-") for it in (by_seeds, by_states))
    print(f"{name:<58} {invariant:<10} {seeds:>11}   {explored:<10} {states:>8}".rstrip(), flush=True)
    return by_seeds is not None and by_states is not None


class Copy:
    """The two packages as they are now, in a workspace of their own. Unchanged files keep their times."""

    def __init__(self, folder):
        self.folder = folder
        for source in SOURCES:
            for file in (ROOT / source).rglob("*"):
                if file.is_file():
                    self.put(file.relative_to(ROOT), file.read_text())
            for copy in (folder / source).rglob("*"):
                if copy.is_file() and not (ROOT / copy.relative_to(folder)).exists():
                    copy.unlink()
        for catalogue in (ROOT / "catalogue").glob("*.json"):
            self.put(catalogue.relative_to(ROOT), catalogue.read_text())
        manifest = (ROOT / "Cargo.toml").read_text()
        members = "members = [" + ", ".join(f'"{source}"' for source in SOURCES) + "]"
        manifest = re.sub(r"(?m)^members = .*$", members, manifest)
        manifest = re.sub(r"(?ms)^\[profile\.dev\.package\.libsqlite3-sys\].*?(?=^\[|\Z)", "", manifest)
        self.put("Cargo.toml", manifest)
        shutil.copy(ROOT / "Cargo.lock", folder / "Cargo.lock")

    def put(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)

    def take_what_was_built(self, other):
        """What others have written is built once."""
        if not (self.folder / "target").exists():
            shutil.copytree(other.folder / "target", self.folder / "target", copy_function=shutil.copy2)

    def cargo_test(self, target):
        command = ["cargo", "test", "--quiet", "-p", "simulation", "--test", target]
        # Where the other packages are built is not where these are.
        where = {**os.environ, "CARGO_TARGET_DIR": str(self.folder / "target")}
        command += ["--no-run", "--message-format=json"]
        return subprocess.run(command, cwd=self.folder, env=where, capture_output=True, text=True)

    def build(self, target="simulation"):
        done = self.cargo_test(target)
        if done.returncode != 0:
            rendered = re.findall(r'"rendered":"(error.*?)","', done.stdout)
            sys.exit("it does not build:\n" + "\n".join(rendered).replace("\\n", "\n") + done.stderr)
        return re.findall(r'"executable":"([^"]+)"', done.stdout)[-1]

    def run(self, binary, seeds=""):
        """None if every seed holds, else the invariant that was broken and how many seeds that took."""
        chosen = {**os.environ} | ({"SEEDS": seeds} if seeds else {})
        done = subprocess.run([binary], cwd=self.folder, env=chosen, capture_output=True, text=True, timeout=600)
        if done.returncode == 0:
            return None
        broken = re.search(r"seed \d+ breaks (\S+) at step", done.stdout)
        seeds = re.search(r"simulation: (\d+) seeds", done.stdout)
        if broken and seeds:
            return broken[1], seeds[1]
        if walked := re.search(r"^seed (\d+): ", done.stdout, re.MULTILINE):
            return "years", str(int(walked[1]) + 1)
        # Every seed holds, but of something that should happen none has told.
        if "and yet no story has" in done.stdout:
            return "untold", seeds[1]
        if "panicked at" not in done.stderr:
            sys.exit(f"it failed, and not by what was planted:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return "a panic", "-"

    def explore(self, binary):
        """None if the contract holds in every state, else the invariant that was broken and how many states that took."""
        done = subprocess.run([binary], cwd=self.folder, capture_output=True, text=True, timeout=600)
        if done.returncode == 0:
            return None
        # Two commands are explored, and a bug may be about one of them alone.
        broken = re.search(r"(\w+) breaks (\S+):", done.stdout)
        states = broken and re.search(rf"exhaustive: {broken[1]}, .*?: (\d+) states", done.stdout)
        if not states and "panicked at" not in done.stderr:
            sys.exit(f"it failed, and not by what was planted:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return (broken[2], states[1]) if states else ("a panic", "-")

    def plant(self, name, edits):
        """The bug's name, and what found it by seeds and, where it should be found so, by states."""
        sources = {}
        for file, old, new in edits:
            path = self.folder / "shared/billing/src" / file
            sources.setdefault(path, path.read_text())
            path.write_text(pattern(old).sub(lambda _: new.strip(), path.read_text()))
        try:
            found = self.run(self.build("years" if name in OF_YEARS else "simulation"))
            explored = self.explore(self.build("exhaustive")) if name in OF_ONE_RENEWAL else ("", "")
        finally:
            for path, text in sources.items():
                path.write_text(text)
        return name, found, explored


if __name__ == "__main__":
    main()
