//! What an answer of the gateway makes of a payment, and what it means for the
//! subscription. Success dominates: whatever came before or comes after, money
//! that was taken was taken.

use super::{Collection, Fact, Paid, Payment, PaymentStatus};
use crate::outcome::{Aftermath, Decline, DisputeStanding, Outcome, Receipt, Remedy};
use crate::wallet::Method;
use jiff::Timestamp;

impl Payment {
    /// Takes in the gateway's answer: the payment and what it means for the
    /// subscription, or nothing if it tells us nothing new.
    #[must_use]
    pub fn settle(self, outcome: Outcome, now: Timestamp) -> Option<(Self, Vec<Fact>)> {
        use PaymentStatus::{Expired, Failed, Paid, Pending, Unresolved};

        match (&self.status, outcome) {
            (Paid(paid), Outcome::Succeeded { aftermath, method, .. }) => {
                let names_method = !paid.method_known && method.is_some();
                let heard = paid.heard(aftermath).or_else(|| names_method.then(|| paid.clone()))?;
                // What is not ours to keep pays for nothing: that it is disputed changes nothing either.
                let facts = match paid.is_owed_back() {
                    true => vec![],
                    false => self.disputed_facts(paid.dispute().map(|it| it.standing), &heard.aftermath),
                };
                let heard = self::Paid { method_known: heard.method_known || method.is_some(), ..heard };
                Some((Self { status: Paid(heard), ..self }, facts))
            }
            (Paid(_), Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired) => None,
            (
                Pending { .. } | Failed { .. } | Expired { .. } | Unresolved { .. },
                Outcome::Succeeded { receipt, aftermath, method },
            ) => self.succeeded(receipt, aftermath, method.is_some(), now),
            (Pending { .. } | Unresolved { .. }, Outcome::Declined(decline)) => Some(self.declined(decline, now)),
            (Pending { .. } | Unresolved { .. }, Outcome::Expired) => Some(self.ended(now)),
            // Another stage is news, and no reason to look later than was planned.
            (Pending { stage: known, check_at, tries }, Outcome::Pending(stage)) if *known != stage => {
                let status = Pending { stage, check_at: *check_at, tries: *tries };
                Some((Self { status, ..self }, vec![]))
            }
            (Pending { .. }, Outcome::Pending(_)) => None,
            // A decline was news once; what is left to learn is whether it was paid after all.
            (Failed { check_at: Some(_), .. }, Outcome::Declined(_) | Outcome::Pending(_)) => None,
            (Failed { check_at: Some(_), .. }, Outcome::Expired) => Some(self.ended(now)),
            (Failed { check_at: None, .. } | Expired { .. }, _) | (Unresolved { .. }, Outcome::Pending(_)) => None,
        }
    }

    /// Money taken counts as paid only if it is the money asked for (I-9) and
    /// was not given back before we heard of it. Anything else grants nothing,
    /// and what is left of it goes back.
    fn succeeded(
        self,
        receipt: Receipt,
        aftermath: Aftermath,
        names_method: bool,
        now: Timestamp,
    ) -> Option<(Self, Vec<Fact>)> {
        let asked_for = receipt.amount == self.amount;
        let gone = receipt.amount.minor > 0 && aftermath.returned >= receipt.amount.minor;
        let lost = aftermath.dispute.as_ref().is_some_and(|dispute| dispute.standing == DisputeStanding::Lost);
        let paid = Paid::now(receipt, aftermath, names_method, now);
        if self.is_setup() {
            // A charge that only proved the card is given back.
            return Some((Self { status: PaymentStatus::Paid(paid.owed_back(now)), ..self }, vec![]));
        }
        if asked_for && !gone && !lost {
            let order = match &self.collection {
                Collection::Checkout { order, .. } | Collection::OffSession { order, .. } => order.clone(),
                Collection::Transfer(_) => None,
            };
            let mut facts = vec![Fact::Paid { payment: self.id.clone(), order, amount: self.amount }];
            facts.extend(self.disputed_facts(None, &paid.aftermath));
            return Some((Self { status: PaymentStatus::Paid(paid), ..self }, facts));
        }
        let fact = match (&self.collection, &self.status) {
            (Collection::Checkout { .. }, _) => Some(Fact::Abandoned { payment: self.id.clone() }),
            // That it was declined was told before.
            (
                Collection::OffSession { .. } | Collection::Transfer(_),
                PaymentStatus::Failed { .. } | PaymentStatus::Expired { .. },
            ) => None,
            (Collection::OffSession { .. } | Collection::Transfer(_), _) => {
                Some(self.declined_fact(&Decline::new("not_what_was_asked", Remedy::NewMethod)))
            }
        };
        Some((Self { status: PaymentStatus::Paid(paid.owed_back(now)), ..self }, fact.into_iter().collect()))
    }

    /// What a change of a dispute means, given what was known of it.
    fn disputed_facts(&self, known: Option<DisputeStanding>, aftermath: &Aftermath) -> Vec<Fact> {
        let told = aftermath.dispute.as_ref().map(|dispute| dispute.standing);
        let payment = self.id.clone();
        match told.filter(|told| known != Some(*told)) {
            None => vec![],
            Some(DisputeStanding::Open) => vec![Fact::Disputed { payment }],
            Some(DisputeStanding::Lost) => vec![Fact::DisputeLost { payment }],
            Some(DisputeStanding::Won) => vec![Fact::DisputeWon { payment }],
        }
    }

    /// On a page the customer may try another card: nothing has happened yet that anyone must know of.
    fn declined(self, decline: Decline, now: Timestamp) -> (Self, Vec<Fact>) {
        let facts = match self.collection {
            Collection::Checkout { .. } | Collection::Transfer(_) => vec![],
            Collection::OffSession { .. } => vec![self.declined_fact(&decline)],
        };
        let check_at = match self.collection {
            Collection::Checkout { .. } => Some(self.next_check(0, now)),
            // The bank waits for the customer, who may still say yes.
            Collection::OffSession { .. } if decline.remedy == Remedy::AskCustomer => Some(self.next_check(0, now)),
            Collection::OffSession { .. } | Collection::Transfer(_) => None,
        };
        (Self { status: PaymentStatus::Failed { decline, check_at, tries: 0 }, ..self }, facts)
    }

    fn declined_fact(&self, decline: &Decline) -> Fact {
        let method = self.charged_method().map(Method::id);
        Fact::Declined { payment: self.id.clone(), method, decline: decline.clone() }
    }

    /// A page that nobody paid on is over. A charge that we asked for and the
    /// gateway gave up on is a decline like any other: the ladder goes on.
    fn ended(self, now: Timestamp) -> (Self, Vec<Fact>) {
        match (&self.collection, self.status.clone()) {
            (Collection::OffSession { .. } | Collection::Transfer(_), PaymentStatus::Failed { decline, tries, .. }) => {
                (Self { status: PaymentStatus::Failed { decline, check_at: None, tries }, ..self }, vec![])
            }
            (Collection::OffSession { .. } | Collection::Transfer(_), _) => {
                let decline = Decline::new("canceled", Remedy::RetryLater);
                let fact = self.declined_fact(&decline);
                (Self { status: PaymentStatus::Failed { decline, check_at: None, tries: 0 }, ..self }, vec![fact])
            }
            (Collection::Checkout { .. }, status) => {
                let status = match status {
                    PaymentStatus::Failed { decline, tries, .. } => {
                        PaymentStatus::Failed { decline, check_at: None, tries }
                    }
                    PaymentStatus::Pending { .. }
                    | PaymentStatus::Expired { .. }
                    | PaymentStatus::Unresolved { .. }
                    | PaymentStatus::Paid(_) => PaymentStatus::Expired { at: now },
                };
                let fact = Fact::Abandoned { payment: self.id.clone() };
                (Self { status, ..self }, vec![fact])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::{Currency, Money};
    use crate::outcome::{Dispute, Stage};
    use crate::payment::Standing;
    use crate::testing::{checkout_payment, instant, method, off_session_payment};

    fn now() -> Timestamp {
        instant("2026-01-31T12:00:00Z")
    }

    fn succeeded(payment: &Payment) -> Outcome {
        taken(payment.amount, Aftermath::default())
    }

    fn taken(amount: Money, aftermath: Aftermath) -> Outcome {
        Outcome::Succeeded { receipt: Receipt { id: "ch_1".to_owned(), amount }, aftermath, method: None }
    }

    fn declined() -> Outcome {
        Outcome::Declined(Decline::new("insufficient_funds", Remedy::RetryLater))
    }

    fn standing(payment: &Payment) -> Option<Standing> {
        payment.paid().map(Paid::standing)
    }

    fn after_outcomes(payment: Payment, outcomes: impl IntoIterator<Item = Outcome>) -> Payment {
        outcomes
            .into_iter()
            .fold(payment, |payment, outcome| payment.clone().settle(outcome, now()).map_or(payment, |(next, _)| next))
    }

    #[test]
    fn success_ends_the_same_whatever_came_before_and_after() {
        for payment in [checkout_payment(), off_session_payment()] {
            let others = [Outcome::Pending(Stage::Processing), declined(), Outcome::Expired, declined()];
            for at in 0..=others.len() {
                let mut outcomes = others.to_vec();
                outcomes.insert(at, succeeded(&payment));
                let settled = after_outcomes(payment.clone(), outcomes);
                assert_eq!(standing(&settled), Some(Standing::Succeeded), "{:?}", settled.status);
            }
        }
    }

    #[test]
    fn the_same_answer_twice_is_told_once() {
        for outcome in [succeeded(&off_session_payment()), declined(), Outcome::Expired] {
            let settled = off_session_payment().settle(outcome.clone(), now());
            assert!(settled.as_ref().is_some_and(|(_, facts)| facts.len() == 1));
            assert!(settled.is_some_and(|(payment, _)| payment.settle(outcome, now()).is_none()));
        }
    }

    #[test]
    fn another_amount_or_currency_is_not_paid_and_goes_back() {
        let payment = off_session_payment();
        let usd = Currency::from_code("USD").unwrap_or(payment.amount.currency);
        for amount in [Money { minor: 1, ..payment.amount }, Money { currency: usd, ..payment.amount }] {
            let settled = payment.clone().settle(taken(amount, Aftermath::default()), now());
            assert!(settled.is_some_and(|(payment, facts)| {
                standing(&payment) == Some(Standing::RefundDue) && matches!(facts[..], [Fact::Declined { .. }])
            }));
        }
    }

    #[test]
    fn money_that_went_back_before_we_heard_of_it_grants_nothing() {
        let payment = off_session_payment();
        let returned = Aftermath { returned: payment.amount.minor, dispute: None };
        let settled = payment.clone().settle(taken(payment.amount, returned), now());
        assert!(settled.is_some_and(|(payment, facts)| {
            standing(&payment) == Some(Standing::Refunded) && matches!(facts[..], [Fact::Declined { .. }])
        }));
    }

    #[test]
    fn hearing_the_same_again_does_not_put_off_the_next_look() {
        let payment = off_session_payment();
        assert_eq!(payment.clone().settle(Outcome::Pending(Stage::Processing), now()), None);
        let asked = payment.clone().settle(Outcome::Pending(Stage::RequiresAction), now());
        assert_eq!(asked.map(|(next, _)| next.due_at()), Some(payment.due_at()));
    }

    #[test]
    fn a_charge_that_waits_for_the_customer_is_asked_about() {
        let decline = |remedy| Outcome::Declined(Decline::new("authentication_required", remedy));
        let watched = |remedy| after_outcomes(off_session_payment(), [decline(remedy)]).due_at().is_some();
        assert!(watched(Remedy::AskCustomer));
        assert!(!watched(Remedy::RetryLater) && !watched(Remedy::NewMethod));
    }

    #[test]
    fn a_declined_checkout_may_still_be_paid_until_it_ends() {
        let failed = after_outcomes(checkout_payment(), [declined()]);
        assert!(failed.due_at().is_some());
        let ended = after_outcomes(failed, [Outcome::Expired]);
        assert!(matches!(ended.status, PaymentStatus::Failed { check_at: None, .. }));
    }

    #[test]
    fn a_method_that_is_named_only_later_is_known_from_then_on() {
        let named = |payment: &Payment, method| {
            let Outcome::Succeeded { receipt, aftermath, .. } = succeeded(payment) else { panic!("it succeeded") };
            Outcome::Succeeded { receipt, aftermath, method }
        };
        let payment = off_session_payment();
        let paid = after_outcomes(payment.clone(), [named(&payment, None)]);
        let known = |payment: &Payment| payment.paid().map(|paid| paid.method_known);
        assert_eq!((known(&paid), paid.clone().settle(named(&payment, None), now())), (Some(false), None));
        let named_now = paid.settle(named(&payment, Some(method("AUTH_1"))), now());
        let (told, facts) = named_now.unwrap_or_else(|| panic!("the method is news"));
        assert_eq!((known(&told), facts), (Some(true), vec![]));
        assert_eq!(told.clone().settle(named(&payment, Some(method("AUTH_1"))), now()), None);
        // What else is news says nothing against what is known.
        let returned = Aftermath { returned: 1, dispute: None };
        assert_eq!(known(&after_outcomes(told, [taken(payment.amount, returned)])), Some(true));
    }

    #[test]
    fn another_stage_is_told() {
        let asked = off_session_payment().settle(Outcome::Pending(Stage::RequiresAction), now());
        let stage = asked.map(|(payment, _)| match payment.status {
            PaymentStatus::Pending { stage, .. } => Some(stage),
            PaymentStatus::Failed { .. }
            | PaymentStatus::Expired { .. }
            | PaymentStatus::Unresolved { .. }
            | PaymentStatus::Paid(_) => None,
        });
        assert_eq!(stage, Some(Some(Stage::RequiresAction)));
    }

    #[test]
    fn what_costs_nothing_is_paid_though_nothing_of_it_is_kept() {
        let mut payment = off_session_payment();
        payment.amount.minor = 0;
        let settled = payment.clone().settle(succeeded(&payment), now());
        assert!(settled.is_some_and(|(_, facts)| matches!(facts[..], [Fact::Paid { .. }])));
    }

    #[test]
    fn money_that_a_bank_took_back_before_we_heard_of_it_grants_nothing() {
        let payment = off_session_payment();
        let facts = |standing| {
            let dispute = Some(Dispute { id: "dp_1".to_owned(), reason: "fraudulent".to_owned(), standing });
            let outcome = taken(payment.amount, Aftermath { returned: 0, dispute });
            payment.clone().settle(outcome, now()).map(|(_, facts)| facts).unwrap_or_default()
        };
        assert!(matches!(facts(DisputeStanding::Lost)[..], [Fact::Declined { .. }]));
        assert!(matches!(facts(DisputeStanding::Open)[..], [Fact::Paid { .. }, Fact::Disputed { .. }]));
        assert!(matches!(facts(DisputeStanding::Won)[..], [Fact::Paid { .. }, Fact::DisputeWon { .. }]));
    }

    #[test]
    fn a_charge_that_waited_for_the_customer_and_ended_is_looked_at_no_more() {
        let asked = Outcome::Declined(Decline::new("authentication_required", Remedy::AskCustomer));
        let waiting = after_outcomes(off_session_payment(), [asked]);
        let ended = waiting.settle(Outcome::Expired, now());
        assert_eq!(ended.map(|(payment, facts)| (payment.due_at(), facts)), Some((None, vec![])));
    }
}
