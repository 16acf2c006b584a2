//! Webhooks on their way to the merchant: sent after the change they tell of,
//! again when they are not acknowledged, and (to order) lost, multiplied or held.

use crate::books::Filter;
use crate::gateway::{Gateway, Signed};
use crate::state::{Shared, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The oldest are forgotten first.
const MOST_DELIVERIES: usize = 50_000;
const COPIES: usize = 3;
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// What becomes of a gateway's webhooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    #[default]
    Deliver,
    Lose,
    Duplicate,
    Hold,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReleaseOrder {
    #[default]
    Forward,
    Reverse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    /// On its way, or between two attempts.
    Waiting,
    Acknowledged,
    /// Every attempt was in vain.
    GivenUp,
    Lost,
    Held,
    /// No address was configured.
    Unaddressed,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Delivery {
    id: u64,
    gateway: Gateway,
    event: String,
    reference: String,
    /// Where this one goes; none: where the gateway's go.
    #[serde(default)]
    address: Option<String>,
    body: String,
    fate: Fate,
    attempts: Vec<Attempt>,
    at: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Attempt {
    /// The answer's status; none when there was no answer.
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    error: Option<String>,
    at: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Webhooks {
    modes: BTreeMap<Gateway, Mode>,
    deliveries: Vec<Delivery>,
    /// What is ready to be sent and has no task yet: batches whose members follow one another.
    #[serde(skip)]
    ready: Vec<Vec<u64>>,
}

impl Webhooks {
    pub(crate) fn set_mode(&mut self, gateway: Gateway, mode: Mode) {
        self.modes.insert(gateway, mode);
    }

    /// Sends what was held, one after the other. Says how many.
    pub(crate) fn release(&mut self, gateway: Gateway, order: ReleaseOrder) -> usize {
        self.send_again(order, |delivery| delivery.gateway == gateway && delivery.fate == Fate::Held)
    }

    /// Sends everything about a reference once more, whatever became of it. Says how many.
    pub(crate) fn resend(&mut self, gateway: Gateway, reference: &str) -> usize {
        self.send_again(ReleaseOrder::Forward, |delivery| {
            delivery.gateway == gateway && delivery.reference == reference && delivery.fate != Fate::Waiting
        })
    }

    /// After a restart: what was on its way still is.
    pub(crate) fn resume(&mut self) {
        self.send_again(ReleaseOrder::Forward, |delivery| delivery.fate == Fate::Waiting);
    }

    fn send_again(&mut self, order: ReleaseOrder, wanted: impl Fn(&Delivery) -> bool) -> usize {
        let mut batch = Vec::new();
        for delivery in self.deliveries.iter_mut().filter(|delivery| wanted(delivery)) {
            delivery.fate = Fate::Waiting;
            batch.push(delivery.id);
        }
        if order == ReleaseOrder::Reverse {
            batch.reverse();
        }
        let count = batch.len();
        self.ready.push(batch);
        count
    }

    pub(crate) fn show(&self, filter: &Filter) -> Value {
        let shown = self.deliveries.iter().filter(|d| filter.accepts(d.gateway, &d.reference, None));
        shown
            .map(|d| {
                json!({
                    "gateway": d.gateway, "event": d.event, "reference": d.reference,
                    "fate": d.fate, "attempts": d.attempts, "at": d.at,
                })
            })
            .collect()
    }

    pub(crate) fn modes(&self) -> &BTreeMap<Gateway, Mode> {
        &self.modes
    }

    fn find(&mut self, id: u64) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().rev().find(|delivery| delivery.id == id)
    }
}

impl State {
    /// The merchant is to hear of this.
    pub(crate) fn announce(&mut self, gateway: Gateway, event: &str, reference: &str, body: &str) {
        self.announce_at(None, gateway, event, reference, body);
    }

    /// As [`State::announce`], to an address that the merchant gave with the payment.
    pub(crate) fn announce_at(
        &mut self,
        address: Option<&str>,
        gateway: Gateway,
        event: &str,
        reference: &str,
        body: &str,
    ) {
        self.touch();
        let mode = self.webhooks.modes.get(&gateway).copied().unwrap_or_default();
        let (fate, copies) = match mode {
            Mode::Deliver => (Fate::Waiting, 1),
            Mode::Duplicate => (Fate::Waiting, COPIES),
            Mode::Lose => (Fate::Lost, 1),
            Mode::Hold => (Fate::Held, 1),
        };
        let addressed = address.is_some() || self.settings.webhook_url(gateway).is_some();
        let fate = if fate == Fate::Waiting && !addressed { Fate::Unaddressed } else { fate };
        for _ in 0..copies {
            let delivery = Delivery {
                id: self.serial(),
                gateway,
                event: event.to_owned(),
                reference: reference.to_owned(),
                address: address.map(str::to_owned),
                body: body.to_owned(),
                fate,
                attempts: Vec::new(),
                at: self.stamp(),
            };
            if fate == Fate::Waiting {
                self.webhooks.ready.push(vec![delivery.id]);
            }
            self.webhooks.deliveries.push(delivery);
        }
        let excess = self.webhooks.deliveries.len().saturating_sub(MOST_DELIVERIES);
        self.webhooks.deliveries.drain(..excess);
    }
}

/// Gives what is ready a task of its own.
pub(crate) fn send_ready(shared: &Arc<Shared>) {
    let ready = shared.look_mut(|state| std::mem::take(&mut state.webhooks.ready));
    for batch in ready {
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let mut unanswered = Vec::new();
            for id in batch {
                if !attempt(&shared, id).await {
                    unanswered.push(id);
                }
            }
            for id in unanswered {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { insist(&shared, id).await });
            }
        });
    }
}

/// The attempts after the first.
async fn insist(shared: &Shared, id: u64) {
    for wait in &shared.webhook_retries {
        tokio::time::sleep(*wait).await;
        if attempt(shared, id).await {
            return;
        }
    }
    shared.change(|state| {
        if let Some(delivery) = state.webhooks.find(id) {
            delivery.fate = Fate::GivenUp;
        }
    });
}

/// One attempt; true when there is nothing left to do. Signed anew each time, because a signature ages.
async fn attempt(shared: &Shared, id: u64) -> bool {
    let Ok(_slot) = shared.webhook_slots.acquire().await else { return true };
    let prepared = shared.look_mut(|state| {
        let delivery = state.webhooks.find(id).filter(|delivery| delivery.fate == Fate::Waiting)?.clone();
        let address = delivery.address.as_deref().or(state.settings.webhook_url(delivery.gateway))?.to_owned();
        let signed = delivery.gateway.sign(state, &delivery.body);
        Some((delivery, address, signed))
    });
    let Some((delivery, address, Signed { headers, body })) = prepared else { return true };
    let request = shared.webhook_client.post(address).timeout(LONGEST_WAIT).body(body);
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let (status, error) = match request.send().await {
        Ok(answer) => (Some(answer.status().as_u16()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let acknowledged = status.is_some_and(|status| delivery.gateway.acknowledged(status));
    shared.change(|state| {
        let at = state.stamp();
        if let Some(delivery) = state.webhooks.find(id) {
            delivery.attempts.push(Attempt { status, error, at });
            if acknowledged {
                delivery.fate = Fate::Acknowledged;
            }
        }
    });
    acknowledged
}
