//! A payment once it is recorded: charged, asked about, sent again, given up, given back.

use super::refund::returned;
use super::settle::{Scene, credit_by};
use super::{Billing, MOST_RACES, WakeError};
use crate::id::{CustomerId, PaymentId};
use crate::outcome::{Outcome, RefundOutcome, Remedy, Sighting};
use crate::payment::{Collection, Payment, PaymentStatus};
use crate::ports::{Clock, Found, GatewayError, Gateways, Key, Record, Referred, Store, StoreError, Write};
use jiff::Timestamp;

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// The attempt is recorded, and the subscription is waiting for it, before
    /// the gateway hears of it. From then on the payment is what is due: a
    /// crash below leaves it to [`check`](Self::check).
    pub(super) async fn collect(&self, scene: Scene, now: Timestamp) -> Result<(), WakeError> {
        self.collect_with(vec![], scene, now).await
    }

    /// The same, with `more` recorded in the same transaction.
    pub(super) async fn collect_with(
        &self,
        more: Vec<Write>,
        mut scene: Scene,
        now: Timestamp,
    ) -> Result<(), WakeError> {
        let mut writes = vec![
            Write::next(Record::Payment(scene.payment.clone())),
            Write::Create(Record::Reference(Referred::to(&scene.payment))),
        ];
        writes.extend(scene.subscription.clone().map(|it| Write::next(Record::Subscription(it))));
        writes.extend(more);
        self.store.commit(writes).await?;
        scene.payment.version += 1;
        if let Some(subscription) = &mut scene.subscription {
            subscription.version += 1;
        }
        self.charge(scene, now).await
    }

    /// When it was sent last is recorded before: that is when it begins to be late.
    async fn send_again(&self, mut scene: Scene, now: Timestamp) -> Result<(), WakeError> {
        scene.payment = scene.payment.sending_again(now);
        self.replace(scene.payment.clone()).await?;
        scene.payment.version += 1;
        self.charge(scene, now).await
    }

    async fn charge(&self, scene: Scene, now: Timestamp) -> Result<(), WakeError> {
        match self.gateways.charge(&scene.payment).await {
            Ok(outcome) => self.answered(scene, outcome, now).await,
            Err(error) => self.ask_later(scene.payment.unanswered(now), now, error).await,
        }
    }

    /// Takes the gateway's answer in. Where that was nothing final, the payment is looked at again later.
    async fn answered(&self, scene: Scene, outcome: Outcome, now: Timestamp) -> Result<(), WakeError> {
        let blame = ours_to_mend(&scene.payment, &outcome);
        let was_settled = scene.payment.is_settled();
        let payment = self.settle(scene, outcome, None, now).await?.payment;
        match payment.is_settled() != was_settled || payment.due_at().is_none_or(|due_at| now < due_at) {
            true => blame.map_or(Ok(()), Err),
            false => self.replace(payment.undecided(now)).await,
        }
    }

    /// Asks what became of a payment, sends it again if the gateway never heard
    /// of it and it is still wanted, or gives back what is owed.
    pub(super) async fn check(&self, customer: &CustomerId, id: &PaymentId) -> Result<(), WakeError> {
        let Some(scene) = self.scene(customer, id).await? else { return Ok(()) };
        let now = self.clock.now(Some(customer)).await?;
        if scene.payment.due_at().is_none_or(|due_at| now < due_at) {
            return Ok(());
        }
        if scene.payment.is_paid_by_transfer() {
            return self.await_transfer(scene, now).await;
        }
        if let Some(refund) = scene.payment.paid().and_then(|paid| paid.due_refund(now)) {
            let number = refund.number;
            return self.give_back(scene.payment, number, now).await.map(|_| ());
        }
        let closing = !scene.payment.is_settled() && (scene.payment.is_closing(now) || scene.is_overtaken());
        let answer = match closing {
            true => self.see_ended(&scene).await,
            false => self.gateways.find(&scene.payment, None).await,
        };
        let next = match answer {
            Ok(Sighting::Known(outcome)) => {
                let outcome = if scene.payment.is_closing(now) { outcome.at_the_end() } else { outcome };
                return self.answered(scene, outcome, now).await;
            }
            Err(error) => return self.ask_later(scene.payment.unanswered(now), now, error).await,
            Ok(Sighting::NeverHeard | Sighting::CannotTell) if scene.payment.is_settled() => {
                scene.payment.undecided(now)
            }
            Ok(unknown @ (Sighting::NeverHeard | Sighting::CannotTell)) => match &scene.payment.collection {
                // Nobody was ever given an address to pay at. Where somebody was, "never heard of" is no answer:
                // if the address is recorded just now, this is not.
                Collection::Checkout { opened: None, .. } if closing => {
                    let (_, writes) = self.settled(scene, Outcome::Expired, now);
                    return Ok(self.store.commit(writes).await?);
                }
                Collection::OffSession { .. } if scene.wants_charge() && scene.payment.may_be_sent_again(now) => {
                    return self.send_again(scene, now).await;
                }
                // Sent or not, nobody can say: it is neither repeated nor given up.
                Collection::OffSession { .. } if unknown == Sighting::CannotTell => scene.payment.undecided(now),
                // It may be on its way, and is wanted: given up is only what a person has heard of and never came.
                Collection::OffSession { .. } if scene.wants_charge() && !scene.payment.is_unresolved() => {
                    scene.payment.undecided(now)
                }
                Collection::OffSession { .. } => return self.abandon(scene, now).await,
                Collection::Checkout { .. } | Collection::Transfer(_) => scene.payment.undecided(now),
            },
        };
        self.replace(next).await
    }

    /// How a page stands whose time is over, or that is not wanted any more, and that is closed where it can be. What
    /// the customer agreed to in time is taken first: some gateways take nothing before they are asked how it stands.
    async fn see_ended(&self, scene: &Scene) -> Result<Sighting, GatewayError> {
        if !scene.is_overtaken()
            && let found @ Sighting::Known(Outcome::Succeeded { .. }) = self.gateways.find(&scene.payment, None).await?
        {
            return Ok(found);
        }
        self.gateways.close(&scene.payment).await
    }

    /// The gateway never heard of a charge that is not wanted any more.
    async fn abandon(&self, scene: Scene, now: Timestamp) -> Result<(), WakeError> {
        let (payment, fact) = scene.payment.clone().abandoned(now);
        let Some(fact) = fact else { return self.replace(payment).await };
        let (_, writes) = self.told(Scene { payment, ..scene }, vec![fact], None, now);
        Ok(self.store.commit(writes).await?)
    }

    /// The next look is put off before the gateway is asked: of two workers on
    /// one payment only one goes on, because not every gateway knows a refund
    /// by a key, and two requests would be two refunds.
    pub(super) async fn give_back(&self, payment: Payment, number: u32, now: Timestamp) -> Result<Payment, WakeError> {
        let mut payment = payment.asking_for_refund(number, now);
        self.replace(payment.clone()).await?;
        payment.version += 1;
        let asked = payment.paid().and_then(|paid| paid.refunds.iter().find(|refund| refund.number == number));
        let Some(refund) = asked.filter(|refund| refund.is_due()).cloned() else { return Ok(payment) };
        let (id, stuck) = (payment.id.clone(), refund.is_stuck());
        match self.gateways.refund(&payment, &refund).await? {
            RefundOutcome::Done { id } => {
                let done = payment.clone().refunded(number, id, now);
                Ok(self.refund_ended(payment, done, now).await?)
            }
            RefundOutcome::Failed { code } => {
                let failed = payment.clone().refund_failed(number, code.clone(), now);
                self.refund_ended(payment, failed, now).await?;
                Err(WakeError::RefundFailed(id, code))
            }
            RefundOutcome::Pending if stuck => Err(WakeError::RefundStuck(id)),
            RefundOutcome::Pending => Ok(payment),
        }
    }

    /// What was to go back and does not is the customer's credit again, if it came by transfer, and pays again for
    /// what it was paid for. So does what was counted twice while the gateway knew more of a refund than we did. Whoever uses
    /// tokens or credit at the same moment makes it read again.
    async fn refund_ended(&self, before: Payment, after: Payment, now: Timestamp) -> Result<Payment, StoreError> {
        let more = credit_by(&before, &after);
        let moves_tokens = after.moves_tokens();
        let mut keys = vec![];
        if more.minor != 0 || moves_tokens || after.clone().telling_returned().1.is_some() {
            keys = vec![Key::Account(after.customer.clone()), Key::Subscription(after.customer.clone())];
        }
        keys.extend(moves_tokens.then(|| Key::Tokens(after.customer.clone())));
        for _ in 0..MOST_RACES {
            let mut found = if keys.is_empty() { Found::default() } else { self.store.get(keys.clone()).await? };
            let (after, mut writes) = returned(after.clone(), found.subscription(), found.tokens(), now);
            let account = found.account().filter(|account| account.currency == more.currency && more.minor != 0);
            writes.extend(account.map(|account| Write::next(Record::Account(account.credited(more.minor)))));
            writes.push(Write::next(Record::Payment(after.clone())));
            match self.store.commit(writes).await {
                Err(StoreError::Conflict) => {}
                done => return done.map(|()| Payment { version: after.version + 1, ..after }),
            }
        }
        Err(StoreError::Conflict)
    }

    /// Not hearing back is expected, and asked about again. A request that the
    /// gateway calls wrong is asked about too, but someone must hear of it.
    async fn ask_later(&self, payment: Payment, now: Timestamp, error: GatewayError) -> Result<(), WakeError> {
        let silent_for_days = payment.due_at().is_some() && !payment.is_settled() && payment.was_asked_enough(now);
        let id = payment.id.clone();
        self.replace(payment).await?;
        match error {
            GatewayError::NoAnswer(_) if silent_for_days => Err(WakeError::Unresolved(id)),
            GatewayError::NoAnswer(_) => Ok(()),
            GatewayError::Unacceptable { .. }
            | GatewayError::Rejected(_)
            | GatewayError::OpenedBefore
            | GatewayError::NotConfigured(_) => Err(error.into()),
        }
    }

    async fn replace(&self, payment: Payment) -> Result<(), WakeError> {
        let unresolved = matches!(payment.status, PaymentStatus::Unresolved { .. }).then(|| payment.id.clone());
        self.store.commit(vec![Write::next(Record::Payment(payment))]).await?;
        unresolved.map_or(Ok(()), |id| Err(WakeError::Unresolved(id)))
    }
}

/// A decline that no customer can mend is for us to hear of.
fn ours_to_mend(payment: &Payment, outcome: &Outcome) -> Option<WakeError> {
    match outcome {
        Outcome::Declined(decline) if decline.remedy == Remedy::OurFault && !payment.is_settled() => {
            Some(WakeError::OurFault(payment.id.clone(), decline.code.clone()))
        }
        Outcome::Declined(_) | Outcome::Pending(_) | Outcome::Succeeded { .. } | Outcome::Expired => None,
    }
}
