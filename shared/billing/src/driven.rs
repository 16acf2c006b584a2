//! A driven subscription: one whose charges another system makes, while it is
//! being imported. Today that system is Stripe.
//!
//! It is never charged or cancelled from here. It follows what it is
//! [`Seen`] to be where it is driven, and what was seen is compared with what is
//! known: so it does not matter which delivery told of it, how often, or in
//! which order, and a delivery that was lost is made up for by the next look.

use crate::calendar::Period;
use crate::catalog::{Plan, Price};
use crate::dunning::{Dunning, Failure, after, days};
use crate::id::{CustomerId, PaymentId, PlanId};
use crate::order::Order;
use crate::outcome::Decline;
use crate::payment::Gateway;
use crate::subscription::{CancelReason, Event, Refusal, Status, Subscription, Term};
use crate::wallet::Method;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Where a subscription is driven, and what of it is counted there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driven {
    pub gateway: Gateway,
    /// The gateway's own id of the subscription.
    pub id: String,
    pub period: Period,
    /// What is paid there, if it is no price of a plan of ours. Then the plan stays as it was, and someone must look.
    pub unknown_price: Option<String>,
    /// When it is next looked at; webhooks are lost. None: it is over there.
    pub look_at: Option<Timestamp>,
}

/// How a subscription stands where it is driven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The gateway's own ids of the subscription and of who pays for it.
    pub id: String,
    pub payer: String,
    pub standing: Standing,
    pub period: Period,
    /// The gateway's own id of the price, the plan that it says it is of, and what it costs whom it is for one of.
    pub price_id: String,
    pub plan: Option<PlanId>,
    pub price: Option<Price>,
    pub quantity: u32,
    /// How often the period's charge was tried, if it is not paid, and why it was declined last.
    pub attempts: u32,
    pub decline: Option<Decline>,
    /// What is charged.
    pub method: Option<Method>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The first period has not been paid for.
    Incomplete,
    Running {
        ends_with_period: bool,
    },
    /// Declined, and still served. Without a time it is not tried again.
    Owing {
        again_at: Option<Timestamp>,
    },
    /// Served no more, and not over: it goes on if what is owed is paid.
    Suspended,
    Over {
        at: Timestamp,
        reason: CancelReason,
    },
}

/// By then a renewal is normally done: Stripe lets an invoice lie for an hour before it charges for it.
const RENEWED_WITHIN: SignedDuration = SignedDuration::from_mins(90);

impl Seen {
    /// What is bought, if it is a plan of ours: `known` are those that it could be, the one to keep first. A plan that
    /// brings tokens is none of them: how many are left is counted where it is driven.
    pub fn order<'a>(&self, known: impl IntoIterator<Item = &'a Plan>) -> Option<Order> {
        let plan = known.into_iter().find(|plan| self.plan.as_ref() == Some(&plan.id))?.clone();
        let order = Order { plan, price: self.price.clone()?, quantity: self.quantity, addons: vec![], discount: None };
        (order.plan.tokens_included.is_none() && order.amount().is_ok()).then_some(order)
    }

    pub fn is_over(&self) -> bool {
        matches!(self.standing, Standing::Over { .. })
    }

    fn status(&self) -> Status {
        let term = self.term();
        match self.standing {
            Standing::Incomplete => Status::Incomplete,
            Standing::Running { ends_with_period } => Status::Active { term, cancel_at_period_end: ends_with_period },
            Standing::Owing { again_at: Some(at) } => Status::PastDue { term, dunning: Dunning::Retry { at } },
            Standing::Owing { again_at: None } => {
                Status::PastDue { term, dunning: Dunning::Grace { ends_at: self.period.end } }
            }
            Standing::Suspended => {
                Status::Canceled { term: Some(term), at: self.period.start, reason: CancelReason::Unpaid }
            }
            Standing::Over { at, reason } => Status::Canceled { term: Some(term), at, reason },
        }
    }

    /// Numbered by the day on which it began: no two have one number, whichever of them are seen, and what is counted begins
    /// at zero with each.
    fn term(&self) -> Term {
        let day = self.period.start.as_second().div_euclid(24 * 60 * 60);
        let index = u32::try_from(day).unwrap_or_default();
        Term { index, since: index, ..Term::first(self.period.start) }
    }

    /// The last decline, under the number that the period's attempts have come to.
    fn failure(&self, of: &Subscription) -> Option<Failure> {
        let again_at = match self.standing {
            Standing::Owing { again_at } => again_at.unwrap_or(self.period.end),
            Standing::Suspended => self.period.end,
            Standing::Incomplete | Standing::Running { .. } | Standing::Over { .. } => return None,
        };
        let Decline { code, remedy, link, .. } = self.decline.clone()?;
        let payment = PaymentId { subscription: of.id.clone(), period: 1, attempt: self.attempts };
        Some(Failure { payment, method: self.method.as_ref().map(Method::id), code, remedy, link, again_at })
    }
}

impl Subscription {
    /// Whether another system may still charge for it.
    pub fn is_driven(&self) -> bool {
        self.driven.as_ref().is_some_and(|driven| driven.look_at.is_some())
    }

    /// The customer's next subscription: `order`, driven by `gateway`, and what makes it what was `seen`.
    pub fn importing(
        current: Option<&Self>,
        customer: &CustomerId,
        (gateway, seen): (Gateway, &Seen),
        order: Order,
        now: Timestamp,
    ) -> Result<(Self, Vec<Event>), Refusal> {
        // What was ordered and not paid for is not waited for any more.
        let next = Self { open: None, ..Self::ordering(current, customer, order.clone(), now)? };
        let event = next.seen_as(gateway, seen, Some(order), now);
        Ok((next, vec![event]))
    }

    /// What has changed since it was last looked at; `plan` is the one that is paid for by now, if it is one of ours.
    pub fn follow(&self, seen: &Seen, plan: Option<&Plan>, now: Timestamp) -> Vec<Event> {
        let Some(known) = self.driven.as_ref().filter(|known| known.id == seen.id) else { return vec![] };
        // Who has a version of a plan keeps it.
        let order = seen.order([&self.order.plan].into_iter().chain(plan));
        let event = self.seen_as(known.gateway, seen, order, now);
        let mut next = self.clone().apply(&event);
        if let Some(driven) = &mut next.driven {
            driven.look_at = driven.look_at.and(known.look_at);
        }
        if next == *self { vec![] } else { vec![event] }
    }

    fn seen_as(&self, gateway: Gateway, seen: &Seen, order: Option<Order>, now: Timestamp) -> Event {
        let unknown_price = order.is_none().then(|| seen.price_id.clone());
        let known = self.driven.as_ref().and_then(|driven| driven.unknown_price.as_ref());
        let look_at = match seen.standing {
            Standing::Over { .. } => None,
            // Whoever does what is due tells someone.
            _ if unknown_price.is_some() && unknown_price.as_ref() != known => Some(now),
            Standing::Incomplete | Standing::Running { .. } | Standing::Owing { .. } | Standing::Suspended => {
                Some(next_look(seen.period, now))
            }
        };
        let driven = Driven { gateway, id: seen.id.clone(), period: seen.period, unknown_price, look_at };
        let failure = seen.failure(self);
        Event::Followed {
            driven: Box::new(driven),
            order: Box::new(order.unwrap_or_else(|| self.order.clone())),
            became: seen.status(),
            attempts: if failure.is_some() { seen.attempts } else { 0 },
            failure,
        }
    }

    /// The same when it was looked at, or tried to.
    #[must_use]
    pub(crate) fn looked(mut self, now: Timestamp) -> Self {
        if let Some(driven) = &mut self.driven {
            driven.look_at = driven.look_at.map(|_| next_look(driven.period, now));
        }
        self
    }
}

/// Every day, and when the next period should have been paid for.
fn next_look(period: Period, now: Timestamp) -> Timestamp {
    let (tomorrow, renewed) = (after(now, days(1)), after(period.end, RENEWED_WITHIN));
    if now < renewed { renewed.min(tomorrow) } else { tomorrow }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Remedy;
    use crate::payment::Page;
    use crate::subscription::{Command, Due, Fact};
    use crate::testing::{active, customer, instant, method_at, page, plan, seen};

    const GATEWAY: Gateway = Gateway::Stripe;

    fn now() -> Timestamp {
        instant("2025-02-01T10:00:00Z")
    }

    fn imported() -> Subscription {
        let seen = seen("estates-professional");
        let order = seen.order([&plan("estates-professional")]).unwrap_or_else(|| panic!("a plan of ours"));
        let (next, events) = Subscription::importing(None, &customer(), (GATEWAY, &seen), order, now())
            .unwrap_or_else(|refusal| panic!("{refusal}"));
        events.iter().fold(next, |state, event| state.apply(event))
    }

    fn following(subscription: Subscription, seen: &Seen, now: Timestamp) -> Subscription {
        let plan = seen.plan.as_ref().map(|id| plan(id.as_str()));
        let events = subscription.follow(seen, plan.as_ref(), now);
        events.iter().fold(subscription, |state, event| state.apply(event))
    }

    fn owing(attempts: u32) -> Seen {
        let standing = Standing::Owing { again_at: Some(instant("2025-03-03T10:00:00Z")) };
        let decline = Some(Decline::new("insufficient_funds", Remedy::RetryLater));
        Seen { standing, attempts, decline, ..renewed() }
    }

    fn renewed() -> Seen {
        let period = Period { start: instant("2025-02-28T10:00:00Z"), end: instant("2025-03-31T10:00:00Z") };
        Seen { period, ..seen("estates-professional") }
    }

    /// All that differs by when it was looked.
    fn substance(subscription: Subscription) -> Subscription {
        let looked = |driven: Driven| Driven { look_at: driven.look_at.map(|_| Timestamp::MAX), ..driven };
        Subscription { driven: subscription.driven.map(looked), ..subscription }
    }

    fn over() -> Seen {
        let standing = Standing::Over { at: instant("2025-03-09T10:00:00Z"), reason: CancelReason::Requested };
        Seen { standing, ..renewed() }
    }

    #[test]
    fn the_period_is_the_one_that_is_counted_where_it_is_driven() {
        let later = following(imported(), &renewed(), now());
        assert_eq!(later.period(), Some(renewed().period));
        assert!(matches!(later.status, Status::Active { cancel_at_period_end: false, .. }));
    }

    #[test]
    fn whichever_looks_were_made_before_the_last_one_decides() {
        let leaving = Seen { standing: Standing::Running { ends_with_period: true }, ..renewed() };
        let unpaid = Seen { standing: Standing::Suspended, ..owing(4) };
        let unheard = Seen { price_id: "price_9".to_owned(), plan: None, ..renewed() };
        let seen = [seen("estates-starter"), renewed(), leaving, owing(1), owing(3), unpaid, unheard];
        for last in &seen {
            let at_once = substance(following(imported(), last, now()));
            for first in &seen {
                for second in &seen {
                    let path = [first, second, last, last];
                    let end = path.into_iter().fold(imported(), |state, seen| following(state, seen, now()));
                    // An unknown price keeps the plan that there was.
                    let order = if last.plan.is_none() { at_once.order.clone() } else { end.order.clone() };
                    assert_eq!(substance(Subscription { order, ..end }), at_once, "{first:?} {second:?}");
                }
            }
        }
    }

    #[test]
    fn what_was_seen_before_makes_no_history() {
        for seen in [renewed(), owing(2), Seen { standing: Standing::Suspended, ..owing(4) }, over()] {
            let later = following(imported(), &seen, now());
            assert_eq!(later.follow(&seen, None, now() + days(2)), [], "{seen:?}");
        }
    }

    #[test]
    fn a_declined_renewal_counts_up_and_a_paid_one_resets() {
        let declined = following(following(imported(), &owing(1), now()), &owing(2), now());
        let at = instant("2025-03-03T10:00:00Z");
        assert!(matches!(declined.status, Status::PastDue { dunning: Dunning::Retry { at: then }, .. } if then == at));
        let codes: Vec<&str> = declined.failures.iter().map(|failure| failure.code.as_str()).collect();
        assert_eq!((declined.attempts, codes), (2, vec!["insufficient_funds"]));
        let paid = following(declined, &renewed(), now());
        assert_eq!((paid.attempts, paid.failures.len()), (0, 0));
    }

    #[test]
    fn the_plan_follows_and_an_unknown_price_leaves_it_and_is_due_at_once() {
        let other = Seen { period: renewed().period, ..seen("estates-starter") };
        let changed = following(imported(), &other, now());
        assert_eq!(changed.order.plan.id.as_str(), "estates-starter");
        let unheard = Seen { price_id: "price_9".to_owned(), plan: None, ..other };
        let kept = following(changed, &unheard, now());
        let told = kept.driven.as_ref().and_then(|driven| driven.unknown_price.as_deref());
        assert_eq!((kept.order.plan.id.as_str(), told), ("estates-starter", Some("price_9")));
        assert_eq!(kept.due(now()), Some(Due::Look));
        assert_eq!(kept.looked(now()).due(now()), None);
    }

    #[test]
    fn it_is_looked_at_every_day_and_when_the_next_period_should_have_been_paid() {
        let period = renewed().period;
        let due = after(period.end, RENEWED_WITHIN);
        let cases = [
            (now(), after(now(), days(1))),
            (after(due, -days(1)), due),
            (after(due, SignedDuration::from_secs(-1)), due),
            (due, after(due, days(1))),
            (after(due, days(3)), after(due, days(4))),
        ];
        for (at, expected) in cases {
            assert_eq!(next_look(period, at), expected, "{at}");
        }
    }

    #[test]
    fn only_a_price_that_was_not_known_before_is_looked_at_at_once() {
        let looks_at = |it: &Subscription| it.driven.as_ref().and_then(|driven| driven.look_at);
        let tomorrow = after(now(), days(1));
        assert_eq!(looks_at(&following(imported(), &renewed(), now())), Some(tomorrow));
        let unheard = Seen { price_id: "price_9".to_owned(), plan: None, ..renewed() };
        let first = following(imported(), &unheard, now());
        assert_eq!(looks_at(&first), Some(now()));
        let other = Seen { price_id: "price_10".to_owned(), ..unheard.clone() };
        assert_eq!(looks_at(&following(first.clone().looked(now()), &other, now())), Some(now()));
        // Known again, or the same once more, it is no news.
        assert_eq!(looks_at(&following(first.clone(), &renewed(), now())), Some(tomorrow));
        let again = Seen { quantity: 2, ..unheard };
        assert_eq!(looks_at(&following(first.looked(now()), &again, now())), Some(tomorrow));
    }

    #[test]
    fn what_is_due_is_a_look_and_never_a_payment() {
        let states = [renewed(), owing(1), owing(4), Seen { standing: Standing::Suspended, ..owing(4) }];
        for seen in states {
            let driven = following(imported(), &seen, now());
            assert_eq!(driven.due(Timestamp::MAX), Some(Due::Look), "{seen:?}");
            let period = driven.period().map(|period| period.end).unwrap_or_default();
            assert_eq!(driven.clone().looked(period).due_at(), Some(period + RENEWED_WITHIN));
            assert_eq!(driven.looked(now()).due_at(), Some(now() + days(1)));
        }
    }

    #[test]
    fn nothing_that_charges_or_cancels_is_granted() {
        let paused = following(imported(), &Seen { standing: Standing::Suspended, ..owing(4) }, now());
        let unpaid = following(imported(), &Seen { standing: Standing::Incomplete, ..renewed() }, now());
        for driven in [imported(), following(imported(), &owing(1), now()), paused, unpaid] {
            for command in [Command::CancelAtPeriodEnd, Command::CancelNow, Command::Resume] {
                assert_eq!(driven.decide(command, now()), Err(Refusal::DrivenElsewhere));
            }
            let card = method_at(GATEWAY, "pm_1");
            assert_eq!(driven.clone().charging(card, now()).err(), Some(Refusal::DrivenElsewhere));
            let page = || -> Page { page(GATEWAY) };
            assert_eq!(driven.clone().recovery(page(), now()).err(), Some(Refusal::DrivenElsewhere));
            assert_eq!(driven.clone().checkout(page(), now()).err(), Some(Refusal::DrivenElsewhere));
            assert!(Subscription::ordering(Some(&driven), &customer(), driven.order.clone(), now()).is_err());
            for fact in [Fact::MethodAdded { method: None }, Fact::NoMethod] {
                assert_eq!(driven.record(fact, &[], now()), []);
            }
            let payment = PaymentId { subscription: driven.id.clone(), period: 0, attempt: 1 };
            assert!(!driven.welcomes(&payment) && !driven.wants_payment(&payment));
            let paid = Fact::Paid { payment: payment.clone(), order: None, amount: driven.order.price.amount };
            assert_eq!(driven.record(paid, &[], now()), [Event::RefundOwed { payment }]);
        }
    }

    #[test]
    fn it_ends_with_the_date_it_ended_on_and_then_another_may_be_bought() {
        let ended = following(imported(), &over(), now());
        let at = instant("2025-03-09T10:00:00Z");
        let canceled = Status::Canceled { term: Some(renewed().term()), at, reason: CancelReason::Requested };
        assert_eq!((ended.status.clone(), ended.due_at(), ended.is_driven()), (canceled, None, false));
        let next = Subscription::ordering(Some(&ended), &customer(), ended.order.clone(), now());
        assert_eq!(next.map(|next| (next.id.number, next.driven)), Ok((2, None)));
    }

    #[test]
    fn who_has_a_live_subscription_imports_none() {
        let seen = seen("estates-professional");
        let importing = |current: &Subscription| {
            Subscription::importing(Some(current), &customer(), (GATEWAY, &seen), current.order.clone(), now()).err()
        };
        assert_eq!(importing(&active()), Some(Refusal::AlreadySubscribed));
        assert_eq!(importing(&imported()), Some(Refusal::AlreadySubscribed));
    }

    #[test]
    fn a_plan_with_tokens_and_a_quantity_that_is_not_sold_are_not_ours() {
        let tokens = Seen { plan: Some(plan("tokens-basic").id), ..seen("estates-professional") };
        assert_eq!(tokens.order([&plan("tokens-basic")]), None);
        let two = Seen { quantity: 2, ..seen("crm-basic") };
        assert_eq!(two.order([&plan("crm-basic")]), None);
        assert!(Seen { quantity: 2, ..seen("crm-professional") }.order([&plan("crm-professional")]).is_some());
    }
}
