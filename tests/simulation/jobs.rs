//! What processes are started for: one invocation of one of the functions.

use crate::ports::Port;
use billing::delivery::Notice;
use billing::entitlement::Standing;
use billing::id::{CustomerId, IdempotencyKey, MailId, MeterId, MethodId, PaymentId};
use billing::money::Money;
use billing::payment::Payment;
use billing::ports::{Record, StoreError, Wanted};
use billing::subscription::{Command, Intervention, Outlook, PreviewId, Subscription};
use billing::token::Consumption;
use billing::wallet::Wallet;
use billing::workflow::{
    Billing, ChangeError, Changed, Checkout, CheckoutError, Consume, ConsumeError, FollowError, MethodError,
    NotCounted, Previewed, Rebuild, RebuildError, Rebuilt, Recovery, RefundError, RefundRequest, RequestError,
    SendError, Setup, Subscribe, SweepError, TakeOver, TakeOverError, TakenOver, UsageError, Use, VerifyError,
    WakeError, Wish,
};
use jiff::Timestamp;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;

#[derive(Clone, Debug)]
pub(crate) enum Job {
    Sweep,
    Wake { wanted: Wanted, received: u32 },
    Webhook { notice: Notice, tries: u32 },
    Open { page: Box<Page>, tries: u32 },
    Verify { customer: CustomerId, payment: PaymentId },
    Request { customer: CustomerId, command: Command, shown: Option<PreviewId>, key: IdempotencyKey },
    Intervene { customer: CustomerId, intervention: Intervention, key: IdempotencyKey },
    TakeOver { wanted: Box<TakeOver>, tries: u32 },
    Preview { of: Looked, key: IdempotencyKey },
    Change { wish: Box<Wish>, key: IdempotencyKey, tries: u32 },
    Subscribe { wanted: Box<Subscribe>, key: IdempotencyKey, tries: u32 },
    Prefer { customer: CustomerId, method: MethodId },
    Remove { customer: CustomerId, method: MethodId },
    Refund { request: Box<RefundRequest>, tries: u32 },
    Consume { wanted: Box<Consume>, tries: u32 },
    Report { customer: CustomerId, uses: Vec<Use>, tries: u32 },
    SetUsage { customer: CustomerId, meter: MeterId, value: u64, tries: u32 },
    Acknowledge { customer: CustomerId, meter: MeterId },
    Rebuild { wanted: Rebuild },
}

/// What a customer looks at before they want it.
#[derive(Clone, Debug)]
pub(crate) enum Looked {
    Change(Box<Wish>),
    Subscribe(Box<Subscribe>),
    Request(CustomerId, Command),
}

/// What they are shown: under which name, what it costs at once, and when it takes effect.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) id: PreviewId,
    pub(crate) due_now: Money,
    pub(crate) at: Timestamp,
}

impl From<Outlook> for Shown {
    fn from(it: Outlook) -> Self {
        Self { id: it.id, due_now: it.due_now, at: it.takes_effect_at }
    }
}

/// What a customer wants a page for.
#[derive(Clone, Debug)]
pub(crate) enum Page {
    /// To buy something.
    Checkout(Checkout),
    /// To leave a method.
    Setup(Setup),
    /// To pay what is owed.
    Recovery(Recovery),
    /// The same, from the link in a mail.
    Mail(MailId, IdempotencyKey),
}

impl Page {
    /// Who asks under which key, where that key always means the same payment:
    /// who owes is shown the page that is open, whatever their key.
    pub(crate) fn asked(&self) -> Option<(CustomerId, IdempotencyKey)> {
        match self {
            Self::Checkout(it) => Some((it.customer.clone(), it.key.clone())),
            Self::Setup(it) => Some((it.customer.clone(), it.key.clone())),
            Self::Recovery(_) | Self::Mail(..) => None,
        }
    }
}

#[derive(Debug)]
pub(crate) enum Done {
    Swept(Result<usize, SweepError>),
    Woken(Result<(), WakeError>),
    Mailed(Result<(), SendError>),
    Received(Result<(), StoreError>),
    Opened(Result<Box<Payment>, CheckoutError>),
    Verified(Result<Box<(Payment, Option<Subscription>)>, VerifyError>),
    Requested(Result<Box<Subscription>, RequestError>),
    Arranged(Result<Box<Wallet>, MethodError>),
    Refunded(Result<Box<Payment>, RefundError>),
    Previewed(Result<Box<Shown>, Box<dyn Error>>),
    Changed(Result<Box<Changed>, ChangeError>),
    TakenOver(Result<Box<TakenOver>, TakeOverError>),
    Consumed(Result<Box<Consumption>, ConsumeError>),
    Reported(Result<Vec<Result<Standing, NotCounted>>, StoreError>),
    Set(Result<u64, UsageError>),
    Acknowledged(Result<usize, UsageError>),
    Rebuilt(Result<Rebuilt, RebuildError>),
}

fn failed<T, E: Error + 'static>(done: &Result<T, E>) -> Vec<&(dyn Error + 'static)> {
    done.as_ref().err().map(|error| -> &(dyn Error + 'static) { error }).into_iter().collect()
}

impl Done {
    /// What went wrong, or was refused.
    pub(crate) fn errors(&self) -> Vec<&(dyn Error + 'static)> {
        match self {
            Self::Swept(it) => failed(it),
            Self::Woken(it) => failed(it),
            Self::Mailed(it) => failed(it),
            Self::Received(it) => failed(it),
            Self::Opened(it) => failed(it),
            Self::Verified(it) => failed(it),
            Self::Requested(it) => failed(it),
            Self::Arranged(it) => failed(it),
            Self::Refunded(it) => failed(it),
            Self::Previewed(it) => it.as_ref().err().map(|error| &**error).into_iter().collect(),
            Self::Changed(it) => failed(it),
            Self::TakenOver(it) => failed(it),
            Self::Consumed(it) => failed(it),
            Self::Reported(Ok(answers)) => answers.iter().flat_map(failed).collect(),
            Self::Reported(it) => failed(it),
            Self::Set(it) => failed(it),
            Self::Acknowledged(it) => failed(it),
            Self::Rebuilt(it) => failed(it),
        }
    }

    pub(crate) fn told(&self) -> String {
        match self {
            Self::Swept(it) => format!("{it:?}"),
            Self::Woken(it) => format!("{it:?}"),
            Self::Mailed(it) => format!("{it:?}"),
            Self::Received(it) => format!("{it:?}"),
            Self::Opened(it) => format!("{:?}", it.as_ref().map(|it| (&it.id, &it.status))),
            Self::Verified(it) => format!("{:?}", it.as_ref().map(|it| (&it.0.id, &it.0.status))),
            Self::Requested(it) => format!("{:?}", it.as_ref().map(|it| &it.status)),
            Self::Arranged(it) => format!("{:?}", it.as_ref().map(|it| it.methods.len())),
            Self::Previewed(it) => format!("{it:?}"),
            Self::Rebuilt(it) => format!("{it:?}"),
            Self::Changed(it) => {
                format!("{:?}", it.as_ref().map(|it| it.payment.as_ref().map(|it| (&it.id, &it.status))))
            }
            Self::TakenOver(it) => format!("{it:?}"),
            Self::Consumed(it) => format!("{it:?}"),
            Self::Reported(it) => format!("{it:?}"),
            Self::Set(it) => format!("{it:?}"),
            Self::Acknowledged(it) => format!("{it:?}"),
            Self::Refunded(it) => format!("{:?}", it.as_ref().map(|it| &it.status)),
        }
    }
}

impl Job {
    pub(crate) fn future(self, port: Port) -> Pin<Box<dyn Future<Output = Done>>> {
        let billing = Billing::new(port.clone(), port.clone(), port.clone());
        match self {
            Self::Sweep => Box::pin(async move { Done::Swept(billing.sweep(&port, || true).await) }),
            Self::Wake { wanted: Wanted::Mail { mail }, .. } => {
                Box::pin(async move { Done::Mailed(billing.send_mail(&mail, &port).await) })
            }
            Self::Wake { wanted, .. } => Box::pin(async move { Done::Woken(billing.wake(wanted).await) }),
            Self::Webhook { notice, .. } => Box::pin(async move { Done::Received(billing.receive(notice).await) }),
            Self::Open { page, .. } => Box::pin(async move {
                let opened = match *page {
                    Page::Checkout(wanted) => billing.checkout(wanted).await,
                    Page::Setup(wanted) => billing.set_up(wanted).await,
                    Page::Recovery(wanted) => billing.recover(wanted).await,
                    Page::Mail(mail, key) => billing.follow_mail(&mail, key).await.map_err(|error| match error {
                        FollowError::Checkout(error) => error,
                        FollowError::NoSuchMail => CheckoutError::NoSubscription,
                    }),
                };
                Done::Opened(opened.map(Box::new))
            }),
            Self::Verify { customer, payment } => {
                Box::pin(async move { Done::Verified(billing.verify(&customer, &payment).await.map(Box::new)) })
            }
            Self::Request { customer, command, shown, key } => Box::pin(async move {
                let fingerprint = format!("{command:?}");
                let done = billing.request(&customer, command, shown.as_ref(), &key, &fingerprint).await;
                Done::Requested(done.map(Box::new))
            }),
            Self::Intervene { customer, intervention, key } => Box::pin(async move {
                let fingerprint = format!("{intervention:?}");
                let done = billing.intervene(&customer, &intervention, &key, &fingerprint).await;
                Done::Requested(done.map(Box::new))
            }),
            Self::TakeOver { wanted, .. } => {
                Box::pin(async move { Done::TakenOver(billing.take_over(&wanted, false).await.map(Box::new)) })
            }
            Self::Preview { of, .. } => Box::pin(async move {
                let shown = match of {
                    Looked::Change(wish) => match billing.preview_change(&wish).await {
                        Ok(Previewed { preview: it, .. }) => {
                            Ok(Shown { id: it.id, due_now: it.due_now, at: it.takes_effect_at })
                        }
                        Err(error) => Err(error.into()),
                    },
                    Looked::Subscribe(wanted) => {
                        let shown = billing.preview_subscription(&wanted).await;
                        shown.map(Shown::from).map_err(Into::into)
                    }
                    Looked::Request(customer, command) => {
                        let shown = billing.preview_request(&customer, command).await;
                        shown.map(Shown::from).map_err(Into::into)
                    }
                };
                Done::Previewed(shown.map(Box::new))
            }),
            Self::Rebuild { wanted } => Box::pin(async move { Done::Rebuilt(billing.rebuild(&wanted).await) }),
            Self::Change { wish, key, .. } => Box::pin(async move {
                let fingerprint = fingerprint(&wish);
                Done::Changed(billing.change(&wish, &key, &fingerprint).await.map(Box::new))
            }),
            Self::Subscribe { wanted, key, .. } => Box::pin(async move {
                let fingerprint = format!("{wanted:?}");
                Done::Changed(billing.subscribe(&wanted, &key, &fingerprint).await.map(Box::new))
            }),
            Self::Prefer { customer, method } => {
                Box::pin(async move { Done::Arranged(billing.prefer_method(&customer, &method).await.map(Box::new)) })
            }
            Self::Remove { customer, method } => {
                Box::pin(async move { Done::Arranged(billing.remove_method(&customer, &method).await.map(Box::new)) })
            }
            Self::Refund { request, .. } => {
                Box::pin(async move { Done::Refunded(billing.refund(*request).await.map(Box::new)) })
            }
            Self::Consume { wanted, .. } => {
                Box::pin(async move { Done::Consumed(billing.consume(&wanted).await.map(Box::new)) })
            }
            Self::Report { customer, uses, .. } => {
                Box::pin(async move { Done::Reported(billing.report(&customer, &uses).await) })
            }
            Self::SetUsage { customer, meter, value, .. } => Box::pin(async move {
                let set = billing.set_usage(&customer, &meter, value).await;
                Done::Set(set.map(|(usage, _)| usage.value))
            }),
            Self::Acknowledge { customer, meter } => Box::pin(async move {
                let open = billing.acknowledge(&customer, &meter, true).await;
                Done::Acknowledged(open.map(|open| open.len()))
            }),
        }
    }

    /// Whether asking once more, under the same key, may be answered otherwise.
    pub(crate) fn may_help(error: &CheckoutError) -> bool {
        match error {
            CheckoutError::InProgress | CheckoutError::Gateway(_) | CheckoutError::Store(_) => true,
            CheckoutError::NotForSale(_)
            | CheckoutError::Coupon(_)
            | CheckoutError::NoSubscription
            | CheckoutError::Refused(_)
            | CheckoutError::KeyReused => false,
        }
    }
}

/// What is for sale, as records.
pub(crate) fn catalogue() -> Vec<Record> {
    use billing::catalog::Catalogue;
    use billing::ports::{MeterName, StoredCoupon, StoredFamily, StoredPlan};
    let mut records = Vec::new();
    for text in [include_str!("catalogue/estates.json"), include_str!("catalogue/tokens.json")] {
        let catalogue: Catalogue = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(catalogue.problems(), []);
        let coupons = catalogue.coupons.clone();
        let (family, plans) = catalogue.into_plans();
        let codes = coupons.iter().map(|coupon| coupon.code.clone()).collect();
        records.extend(coupons.into_iter().map(|coupon| {
            let family = family.id.clone();
            Record::Coupon(StoredCoupon { coupon, family, withdrawn: false, redeemed: 0, version: 1 })
        }));
        for meter in &family.meters {
            records.extend([&meter.id].into_iter().chain(&meter.aliases).map(|name| {
                let families = [(family.id.clone(), meter.clone())].into();
                Record::Meter(MeterName { name: name.clone(), families, version: 1 })
            }));
        }
        records.push(Record::Family(StoredFamily { family, coupons: codes, version: 1 }));
        records.extend(plans.into_iter().map(|plan| Record::Plan(StoredPlan { plan, revision: 1 })));
    }
    records
}

/// Of a wish: the same key for another is a mistake.
pub(crate) fn fingerprint(wish: &Wish) -> String {
    format!("{wish:?}")
}
