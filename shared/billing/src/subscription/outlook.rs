//! What would be, shown before it is done: what subscribing costs, and what becomes of a subscription by what costs
//! nothing. What a change of the order would do is [`Preview`](super::Preview)'s to say. Whoever names what they were
//! shown gets just that, or is told that it no longer holds.

use super::{ChangeLine, Command, Effective, Event, Order, Refusal, Status, Subscription};
use crate::calendar::Period;
use crate::dunning::Dunning;
use crate::id::base32;
use crate::money::Money;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// How long what a preview says can be had.
const PREVIEW_HOLDS: SignedDuration = SignedDuration::from_mins(15);

/// What a customer would have and owe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    pub id: PreviewId,
    pub effective: Effective,
    /// What is had before. None: nothing.
    pub from: Option<Order>,
    /// What is had from then on.
    pub to: Option<Order>,
    pub takes_effect_at: Timestamp,
    /// What is paid for at once.
    pub lines: Vec<ChangeLine>,
    /// The lines together.
    pub total: Money,
    /// What of that the balance pays; below zero, what is owed from before and comes with it.
    pub from_balance: Money,
    /// What is charged now.
    pub due_now: Money,
    /// When the next invoice is written, and what is charged for it. None: none follows.
    pub next: Option<(Timestamp, Money)>,
}

/// Names what was shown: `prv_1738317600_k3f9x2m7ab…`. It says when it was made, to the second, and a digest of all that it
/// said: so it is shown again to the letter, or seen to be stale, and nothing needs to be stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PreviewId {
    pub at: Timestamp,
    digest: String,
}

impl PreviewId {
    /// Of what is shown at `at`, as long as nothing is said.
    pub(super) fn unsaid(at: Timestamp) -> Self {
        Self { at, digest: String::new() }
    }

    /// Of all that `shown` says of `it`, the version of which tells a change that came between.
    pub(super) fn saying(&self, it: &Subscription, shown: &impl fmt::Debug) -> Self {
        let said = format!("{}|{}|{shown:?}", it.id, it.version);
        Self { at: self.at, digest: base32(&Sha256::digest(said))[..26].to_owned() }
    }

    /// When what is shown at `now` is shown: it is named by the second.
    pub(crate) fn moment(now: Timestamp) -> Timestamp {
        Timestamp::from_second(now.as_second()).unwrap_or(now)
    }

    /// Refuses what was `shown` too long ago, or would not be shown again: `again` names that.
    pub(crate) fn still_holds(
        shown: Option<&Self>,
        now: Timestamp,
        again: impl Fn(Timestamp) -> Result<Self, Refusal>,
    ) -> Result<(), Refusal> {
        match shown {
            Some(id) if !id.holds(now) || again(id.at)? != *id => Err(Refusal::PreviewStale),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether it may still be had at `now`. One from a time to come is none of ours.
    pub fn holds(&self, now: Timestamp) -> bool {
        let age = now.duration_since(self.at);
        !age.is_negative() && age <= PREVIEW_HOLDS
    }
}

impl fmt::Display for PreviewId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "prv_{}_{}", self.at.as_second(), self.digest)
    }
}

impl From<PreviewId> for String {
    fn from(id: PreviewId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for PreviewId {
    type Error = crate::id::Invalid;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parse = || {
            let (at, digest) = text.strip_prefix("prv_")?.split_once('_')?;
            let at = Timestamp::from_second(at.parse().ok()?).ok()?;
            Some(Self { at, digest: digest.to_owned() })
        };
        let spelled = |id: &Self| id.digest.len() == 26 && id.to_string() == text;
        parse().filter(spelled).ok_or(crate::id::Invalid { expected: "a preview's id (`prv_…`)" })
    }
}

impl Subscription {
    /// What this order would do that is not begun, seen at `at`.
    pub(crate) fn outlook(&self, at: Timestamp) -> Result<Outlook, Refusal> {
        let order = self.next_order();
        let (price, due) = (order.amount()?, self.amount_due()?);
        let nothing = Money::zero(price.currency);
        let (event, total, due_now) = match self.trial_on_offer(at) {
            Some(trial) => (trial, nothing, nothing),
            None if self.costs_nothing()? => (self.clone().beginning_for_nothing(at)?.1, price, nothing),
            None => {
                let payment = self.clone().next_attempt();
                let order = Box::new(order.clone());
                (Event::Activated { payment, order, at, paid: Some(due) }, price, due)
            }
        };
        let begun = self.clone().apply(&event);
        let line = |(item, amount)| {
            let period = begun.period().unwrap_or(Period { start: at, end: at });
            ChangeLine { item, of: order.clone(), is_credit: false, period, amount }
        };
        let lines = if begun.is_trialing() { vec![] } else { order.lines()?.into_iter().map(line).collect() };
        let shown = Outlook {
            id: PreviewId::unsaid(at),
            effective: Effective::Now,
            from: None,
            to: Some(begun.order.clone()),
            takes_effect_at: at,
            lines,
            total,
            from_balance: total.minus(due_now).ok_or(Refusal::TooExpensive)?,
            due_now,
            next: begun.next_invoice(),
        };
        Ok(Outlook { id: shown.id.saying(self, &("subscribe", &shown)), ..shown })
    }

    /// Whether its first period is begun without a payment. What a returning customer owes for what they used makes no gift
    /// one that has to be paid for.
    pub(crate) fn costs_nothing(&self) -> Result<bool, Refusal> {
        Ok(Self { usage_charges: vec![], ..self.clone() }.amount_due()?.minor == 0)
    }

    /// What would become of it by `command`, if that is asked for at `at`.
    pub(crate) fn outlook_by(&self, command: Command, at: Timestamp) -> Result<Outlook, Refusal> {
        let events = self.decide(command, at)?;
        let after = events.iter().fold(self.clone(), |it, event| it.apply(event));
        let served = |it: &Self| it.is_live().then(|| it.order.clone());
        let later = match command {
            Command::CancelAtPeriodEnd | Command::PauseAtPeriodEnd if after.is_live() => self.period(),
            Command::CancelAtPeriodEnd | Command::PauseAtPeriodEnd => None,
            Command::CancelNow | Command::Resume | Command::Pause | Command::Unpause => None,
        };
        let nothing = Money::zero(self.order.price.amount.currency);
        let shown = Outlook {
            id: PreviewId::unsaid(at),
            effective: if later.is_some() { Effective::PeriodEnd } else { Effective::Now },
            from: served(self),
            to: if later.is_some() { None } else { served(&after) },
            takes_effect_at: later.map_or(at, |period| period.end),
            lines: vec![],
            total: nothing,
            from_balance: nothing,
            due_now: nothing,
            next: after.next_invoice(),
        };
        Ok(Outlook { id: shown.id.saying(self, &(command, &shown)), ..shown })
    }

    /// When more is charged next, as it stands, and how much.
    fn next_invoice(&self) -> Option<(Timestamp, Money)> {
        let at = match &self.status {
            Status::Active { .. } => self.period()?.end,
            Status::PastDue { dunning: Dunning::Retry { at }, .. } => *at,
            Status::PastDue { .. }
            | Status::Incomplete
            | Status::Paused { .. }
            | Status::Canceled { .. }
            | Status::Expired { .. } => return None,
        };
        if self.is_followed() { Some((at, self.amount_due().ok()?)) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::incomplete;

    #[test]
    fn a_previews_id_has_one_spelling() {
        let shown = incomplete().outlook(incomplete().created_at).unwrap_or_else(|refusal| panic!("{refusal}"));
        let written = String::from(shown.id.clone());
        assert_eq!(
            (written.clone(), PreviewId::try_from(written.clone()).ok()),
            (shown.id.to_string(), Some(shown.id))
        );
        let others = [
            written.replacen("prv_", "prv_0", 1),
            written.replacen("prv_", "prv_+", 1),
            written.replacen("prv_", "prw_", 1),
            format!("{written}a"),
            written[..written.len() - 1].to_owned(),
        ];
        for other in others {
            assert!(PreviewId::try_from(other.clone()).is_err(), "{other}");
        }
    }
}
