//! Stripe. <https://docs.stripe.com/api>, version 2026-10-28.endive.

mod catalogue;
mod declines;
mod driven;
mod forms;
mod outcome;
pub(super) mod webhook;
mod wire;

use super::access::{Access, Answer};
use super::keys::ApiKeys;
use super::{Received, WebhookError, coming_back, within};
use billing::delivery::Notice;
use billing::id::Reference;
use billing::money::{Currency, Money};
use billing::outcome::{Decline, Dispute, Outcome, RefundOutcome, Remedy, Sighting};
use billing::payment::{Address, CheckoutMethod, Collection, Opened, Payer, Payment, Refund};
use billing::ports::GatewayError;
use billing::wallet::Method;
use forms::Form;
use http::StatusCode;
use reqwest::{Method as Verb, RequestBuilder};
use serde::de::DeserializeOwned;
use wire::{Intent, List, Listed, Named, Refused, Session, WireError};

/// Always sent: without it the account's own version would apply.
const VERSION: &str = "2026-10-28.endive";

/// The most pages of a list that are looked through.
const MOST_PAGES: u32 = 20;

#[derive(Clone, Debug)]
pub(super) struct Stripe {
    access: Access<ApiKeys>,
}

impl Stripe {
    pub(super) fn new(access: Access<ApiKeys>) -> Self {
        Self { access }
    }

    pub(super) fn accepts(&self, payment: &Payment) -> Result<(), GatewayError> {
        let unacceptable =
            |field, problem: &str| Err(GatewayError::Unacceptable { field, problem: problem.to_owned() });
        match &payment.collection {
            Collection::Checkout { method: CheckoutMethod::Checkout, return_url: None, .. } => {
                unacceptable("return_url", "Stripe's page needs somewhere to send the customer back to")
            }
            Collection::Checkout { method: CheckoutMethod::BankTransfer | CheckoutMethod::VirtualAccount, .. } => {
                unacceptable("method", "Stripe offers `checkout` and `client_secret` only")
            }
            Collection::Checkout { method: CheckoutMethod::ClientSecret, .. } if payment.is_setup() => {
                unacceptable("method", "without buying, a card is left on Stripe's page only")
            }
            Collection::Checkout { method: CheckoutMethod::Checkout | CheckoutMethod::ClientSecret, .. }
            | Collection::OffSession { .. }
            | Collection::Transfer(_) => forms::chargeable(payment.amount),
        }
    }

    /// Stripe proves a card without charging it.
    pub(super) fn setup_amount(&self, currency: Currency) -> Result<Money, GatewayError> {
        let nothing = Money::new(0, currency);
        forms::chargeable(nothing).map(|()| nothing)
    }

    pub(super) async fn answers(&self) -> Result<(), GatewayError> {
        self.access.answers(self.request(Verb::GET, "/v1/payment_intents?limit=1").await?).await
    }

    pub(super) async fn open(&self, payment: &Payment) -> Result<Opened, GatewayError> {
        let Collection::Checkout { order, payer, method, return_url, .. } = &payment.collection else {
            return Err(GatewayError::Rejected("an off-session charge has no page".to_owned()));
        };
        let customer = self.customer(payment, payer).await?;
        let key = payment.reference.as_str();
        match method {
            CheckoutMethod::Checkout => {
                let Some(url) = return_url else {
                    return Err(GatewayError::Rejected("a page needs a return_url".to_owned()));
                };
                let back = coming_back(url, payment);
                let form = match order {
                    Some(order) => forms::session(payment, &order.plan.display_name, customer, &back),
                    None => forms::setup_session(payment, customer, &back),
                };
                let session: Session = self.post("/v1/checkout/sessions", Some(key), form).await?.read()?;
                let url = session.url.ok_or_else(|| GatewayError::NoAnswer("a session without an address".into()))?;
                Ok(Opened { id: session.id, at: Address::CheckoutUrl(url) })
            }
            CheckoutMethod::ClientSecret => {
                let form = forms::paid_by_script(payment, customer);
                let intent: Intent = self.post("/v1/payment_intents", Some(key), form).await?.read()?;
                let secret = intent.client_secret.clone();
                let secret = secret.ok_or_else(|| GatewayError::NoAnswer("an intent without a secret".into()))?;
                Ok(Opened { id: intent.id, at: Address::ClientSecret(secret) })
            }
            CheckoutMethod::BankTransfer | CheckoutMethod::VirtualAccount => {
                Err(GatewayError::Rejected("there are no transfers here".to_owned()))
            }
        }
    }

    pub(super) async fn charge(&self, payment: &Payment) -> Result<Outcome, GatewayError> {
        let Collection::OffSession { method, .. } = &payment.collection else {
            return Err(GatewayError::Rejected("a checkout is paid by the customer".to_owned()));
        };
        let form = forms::off_session(payment, method);
        let answer = self.send(Verb::POST, "/v1/payment_intents", Some(payment.reference.as_str()), &form).await?;
        if answer.status.is_success() {
            // A moment ago: nothing has become of the money yet.
            return Ok(answer.read::<Intent>()?.outcome(None));
        }
        let Refused { error } = answer.read()?;
        match error.kind.as_str() {
            "card_error" => Ok(Outcome::Declined(declines::decline(&error))),
            // The method is gone, or not this customer's: nothing was charged, and with it nothing will be.
            "invalid_request_error" if error.is_about_method() => {
                let code = error.code.unwrap_or_else(|| "payment_method_unusable".to_owned());
                Ok(Outcome::Declined(Decline::new(code, Remedy::NewMethod)))
            }
            // An amount that Stripe takes nothing of: it was not charged and will not be, and that is for us to mend.
            "invalid_request_error" if error.is_about_amount() => {
                Ok(Outcome::Declined(Decline::new(error.code.unwrap_or_default(), Remedy::OurFault)))
            }
            _ => Err(rejected(error)),
        }
    }

    pub(super) async fn find(&self, payment: &Payment) -> Result<Sighting, GatewayError> {
        match (&payment.collection, payment.opened()) {
            (Collection::Checkout { .. }, Some(opened)) if opened.id.starts_with("cs_") => {
                self.find_session(payment, &opened.id).await
            }
            (Collection::Checkout { .. }, Some(opened)) => self.find_intent(&opened.id).await,
            // Whatever was opened, nobody was told where: it cannot have been paid.
            (Collection::Checkout { .. }, None) | (Collection::Transfer(_), _) => Ok(Sighting::NeverHeard),
            (Collection::OffSession { method, .. }, _) => match payment.paid() {
                Some(paid) => self.find_intent(&paid.receipt.id).await,
                None => self.search(payment, &method.payer).await,
            },
        }
    }

    pub(super) async fn close(&self, payment: &Payment) -> Result<Sighting, GatewayError> {
        let Some(opened) = payment.opened() else { return self.find(payment).await };
        let (path, form) = match opened.id.starts_with("cs_") {
            true => (format!("/v1/checkout/sessions/{}/expire", opened.id), vec![]),
            false => {
                let form = vec![("cancellation_reason", "abandoned".to_owned())];
                (format!("/v1/payment_intents/{}/cancel", opened.id), form)
            }
        };
        // Refused if it is over already: what it ended as is read either way.
        self.send(Verb::POST, &path, None, &form).await?;
        self.find(payment).await
    }

    /// Looks first: Stripe forgets keys, and a refund must not be made again.
    pub(super) async fn refund(&self, payment: &Payment, refund: &Refund) -> Result<RefundOutcome, GatewayError> {
        let Some(paid) = payment.paid() else {
            return Err(GatewayError::Rejected("nothing was taken".to_owned()));
        };
        let name = payment.refund_reference(refund);
        let path = format!("/v1/refunds?payment_intent={}", paid.receipt.id);
        let ours = |made: &wire::Refund| made.metadata.refund.as_deref() == Some(name.as_str());
        if let Some(made) = self.first(&path, ours).await? {
            return Ok(made.outcome());
        }
        let form = forms::refund(payment, &paid.receipt, refund, &name);
        let answer = self.send(Verb::POST, "/v1/refunds", Some(&name), &form).await?;
        if answer.status.is_success() {
            return Ok(answer.read::<wire::Refund>()?.outcome());
        }
        let Refused { error } = answer.read()?;
        match answer.status {
            // Already given back, disputed, or more than is left: not by this request, and not later.
            StatusCode::BAD_REQUEST if error.kind == "invalid_request_error" => {
                Ok(RefundOutcome::Failed { code: error.code.or(error.param).unwrap_or(error.kind) })
            }
            _ => Err(rejected(error)),
        }
    }

    pub(super) async fn forget(&self, method: &Method) -> Result<(), GatewayError> {
        let path = format!("/v1/payment_methods/{}/detach", method.token);
        let answer = self.send(Verb::POST, &path, None, &[]).await?;
        if answer.status.is_success() {
            return answer.read::<Named>().map(|_| ());
        }
        let Refused { error } = answer.read()?;
        if error.says_detached() { Ok(()) } else { Err(rejected(error)) }
    }

    pub(super) async fn receive(&self, delivery: &Received<'_>) -> Result<Notice, WebhookError> {
        let keys = self.access.keys.get().await?;
        webhook::verify(&keys.webhook_secrets, delivery)?;
        let notice = webhook::notice(delivery, keys.secret_key.expose().contains("_live_"))?;
        match &notice.object {
            Some(intent) if notice.reference.is_none() => {
                Ok(Notice { reference: within(self.reference(intent)).await?, ..notice })
            }
            Some(_) | None => Ok(notice),
        }
    }

    /// The payment that an intent was for. What is made on Stripe's own pages does not say.
    async fn reference(&self, intent: &str) -> Result<Option<Reference>, GatewayError> {
        let intent: Option<Intent> = self.get(&format!("/v1/payment_intents/{intent}")).await?;
        let reference = intent.and_then(|intent| intent.metadata.reference);
        Ok(reference.and_then(|reference| Reference::try_from(reference).ok()))
    }

    /// The payer as Stripe knows them: one of its customers for one of ours.
    async fn customer(&self, payment: &Payment, payer: &Payer) -> Result<String, GatewayError> {
        if let Some(known) = &payer.known_as {
            return Ok(known.clone());
        }
        let (key, form) = forms::customer(payment, payer);
        Ok(self.post("/v1/customers", Some(&key), form).await?.read::<Named>()?.id)
    }

    async fn find_session(&self, payment: &Payment, id: &str) -> Result<Sighting, GatewayError> {
        let expand = if payment.is_setup() { "setup_intent.payment_method" } else { "payment_intent.latest_charge" };
        let session = self.get::<Session>(&format!("/v1/checkout/sessions/{id}?expand[]={expand}")).await?;
        let Some(session) = session else { return Ok(Sighting::NeverHeard) };
        let dispute = match session.disputed() {
            Some(intent) => self.dispute(intent).await?,
            None => None,
        };
        Ok(Sighting::Known(session.outcome(payment, dispute)))
    }

    async fn find_intent(&self, id: &str) -> Result<Sighting, GatewayError> {
        let intent = self.get::<Intent>(&format!("/v1/payment_intents/{id}?expand[]=latest_charge")).await?;
        let Some(intent) = intent else { return Ok(Sighting::NeverHeard) };
        let dispute = match intent.disputed() {
            Some(intent) => self.dispute(intent).await?,
            None => None,
        };
        Ok(Sighting::Known(intent.outcome(dispute)))
    }

    /// The payment's intent among the customer's, newest first. Not by Stripe's
    /// search, which may not know yet what was written a moment ago.
    async fn search(&self, payment: &Payment, customer: &str) -> Result<Sighting, GatewayError> {
        let path = format!("/v1/payment_intents?customer={customer}");
        let ours = |intent: &Intent| intent.metadata.reference.as_deref() == Some(payment.reference.as_str());
        match self.first(&path, ours).await? {
            Some(intent) => self.find_intent(&intent.id).await,
            None => Ok(Sighting::NeverHeard),
        }
    }

    /// The newest dispute of an intent. A bank that only asks disputes nothing yet.
    async fn dispute(&self, intent: &str) -> Result<Option<Dispute>, GatewayError> {
        let path = format!("/v1/disputes?payment_intent={intent}");
        let dispute = self.first(&path, |dispute: &wire::Dispute| dispute.standing().is_some()).await?;
        Ok(dispute.and_then(wire::Dispute::told))
    }

    /// The first of a list that is `wanted`, however many pages the list has.
    async fn first<T: Listed>(
        &self,
        path: &str,
        wanted: impl Fn(&T) -> bool + Send,
    ) -> Result<Option<T>, GatewayError> {
        let mut after = String::new();
        for _ in 0..MOST_PAGES {
            let page: List<T> = self.get(&format!("{path}&limit=100{after}")).await?.unwrap_or_default();
            let last = page.data.last().map(|it| it.id().to_owned());
            if let Some(found) = page.data.into_iter().find(&wanted) {
                return Ok(Some(found));
            }
            match last.filter(|_| page.has_more) {
                Some(last) => after = format!("&starting_after={last}"),
                None => return Ok(None),
            }
        }
        Err(GatewayError::NoAnswer("a longer list than can be looked through".into()))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, GatewayError> {
        let answer = self.send(Verb::GET, path, None, &[]).await?;
        if answer.status.is_success() {
            return answer.read().map(Some);
        }
        let Refused { error } = answer.read()?;
        // Only in Stripe's own words: a 404 may also be somebody's on the way.
        match error.code.as_deref() {
            Some("resource_missing") => Ok(None),
            Some(_) | None => Err(rejected(error)),
        }
    }

    async fn post(&self, path: &str, key: Option<&str>, form: Form) -> Result<Answer, GatewayError> {
        let answer = self.send(Verb::POST, path, key, &form).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(rejected(answer.read::<Refused>()?.error)) }
    }

    async fn send(
        &self,
        verb: Verb,
        path: &str,
        key: Option<&str>,
        form: &[(&'static str, String)],
    ) -> Result<Answer, GatewayError> {
        let posts = verb == Verb::POST;
        let request = self.request(verb, path).await?;
        let request = match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        };
        self.access.send(if posts { request.form(form) } else { request }).await
    }

    async fn request(&self, verb: Verb, path: &str) -> Result<RequestBuilder, GatewayError> {
        let keys = self.access.keys.get().await?;
        let request = self.access.http.request(verb, self.access.url(path)).bearer_auth(keys.secret_key.expose());
        Ok(request.header("stripe-version", VERSION))
    }
}

fn rejected(error: WireError) -> GatewayError {
    // The message may repeat what we sent; code and field say enough.
    let part = |part: Option<String>| part.unwrap_or_default();
    GatewayError::Rejected(format!("{} {} {}", error.kind, part(error.code), part(error.param)).trim().to_owned())
}
