//! A customer asks for what is another's, by the right name of it: they are answered as if it were nobody's (I-21).

use crate::checker::EVERY;
use crate::onlooker::Onlooker;
use crate::world::State;
use billing::id::{CustomerId, MethodId, PaymentId, SubscriptionId};
use billing::payment::{AskedBecause, Payment, Portion};
use billing::testing::{idempotency_key, method};
use billing::workflow::{Billing, RefundRequest};

type Workflows<'a> = Billing<Onlooker<'a>, Onlooker<'a>, Onlooker<'a>>;

impl State {
    /// The customer of `payment` has just seen it. Somebody else would see it too.
    pub(crate) fn is_asked_for_by_others(&mut self, payment: &Payment) {
        if !self.step.is_multiple_of(EVERY) {
            return;
        }
        let Some(other) = self.homes.keys().find(|it| **it != payment.customer).cloned() else { return };
        let nobodys = PaymentId { subscription: SubscriptionId::nth(&other, 999), period: 9, attempt: 9 };
        let theirs = payment.charged_method().map_or_else(|| method("nobody's").id(), billing::wallet::Method::id);
        let (told, wrong) = self.ask_as(&other, async |billing| asked(billing, &other, &payment.id, &theirs).await);
        let (expected, _) =
            self.ask_as(&other, async |billing| asked(billing, &other, &nobodys, &method("nobody's").id()).await);
        if let Some(wrong) = wrong {
            self.breach("I-21", format!("{other} asks for {}: {wrong}", payment.id));
        }
        if told != expected {
            self.breach("I-21", format!("{other} asks for {} and is told {told:?}, not {expected:?}", payment.id));
        }
        self.happened.insert("asked for what is another's");
    }
}

/// What is answered to whoever looks at a payment, has it given back, and removes or prefers a method.
async fn asked(billing: &Workflows<'_>, who: &CustomerId, payment: &PaymentId, method: &MethodId) -> [String; 4] {
    let refund = RefundRequest {
        customer: who.clone(),
        payment: payment.clone(),
        portion: Portion::All,
        because: AskedBecause::RequestedByCustomer,
        key: idempotency_key("stranger"),
        fingerprint: String::new(),
    };
    [
        format!("{:?}", billing.verify(who, payment).await),
        format!("{:?}", billing.refund(refund).await),
        format!("{:?}", billing.remove_method(who, method).await),
        format!("{:?}", billing.prefer_method(who, method).await),
    ]
}
