//! Redeeming coupons. A coupon gives what it says to whoever was shown so: it is looked at when something is ordered, and
//! counted when a subscription begins with it, or when a charge is asked for by which one may. So of one that there are so
//! many of, a page that was open when the last was taken still gives it, and nobody who only looked takes one from somebody
//! who buys.

use super::Billing;
use crate::catalog::{Plan, Price};
use crate::discount::{Discount, NotRedeemed};
use crate::id::CouponCode;
use crate::order::Order;
use crate::payment::Payment;
use crate::ports::{Clock, Found, Gateways, Key, Record, Store, StoreError, StoredCoupon, Write};
use crate::subscription::{Event, Subscription};
use jiff::Timestamp;

/// Why a code gives nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CouponRefusal {
    /// Whether it is unknown, withdrawn or another family's is nobody's business.
    #[error("there is no coupon `{0}` for this plan")]
    Unknown(CouponCode),
    #[error(transparent)]
    NotRedeemed(#[from] NotRedeemed),
}

/// The discount that `code` gives on `plan` at `price` to who has `current`, the coupon being among what was `found`.
pub(super) fn redeem(
    found: &Found,
    code: Option<&CouponCode>,
    plan: &Plan,
    price: &Price,
    current: Option<&Subscription>,
    now: Timestamp,
) -> Result<Option<Discount>, CouponRefusal> {
    let Some(code) = code else { return Ok(None) };
    let mut coupons =
        found.records().iter().filter_map(|record| if let Record::Coupon(it) = record { Some(it) } else { None });
    let stored = coupons.find(|it| it.coupon.code == *code && !it.withdrawn && it.family == plan.family);
    let stored = stored.ok_or_else(|| CouponRefusal::Unknown(code.clone()))?;
    let before = current.and_then(|current| current.redeemed.get(code)).copied().unwrap_or(0);
    Ok(Some(stored.coupon.redeem(&plan.id, price.amount.currency, stored.redeemed, before, now)?))
}

/// The write that counts the redemption, if `events` redeem `coupon` and it is one of which there are so many.
pub(super) fn counted(coupon: Option<StoredCoupon>, events: &[Event]) -> Option<Write> {
    let begins_with = |event: &Event| {
        let (Event::Activated { order, .. } | Event::TrialStarted { order, .. }) = event else { return None };
        order.discount.as_ref().and_then(|discount| discount.coupon.clone())
    };
    let redeemed = events.iter().find_map(begins_with)?;
    let coupon = coupon.filter(|it| it.coupon.code == redeemed)?;
    Some(Write::next(Record::Coupon(once_more(coupon)?)))
}

/// The coupon of `order` when a charge for it is asked for: with that redemption, if it is one of which there are so many.
pub(super) fn held(coupon: Option<StoredCoupon>, order: &Order) -> Option<StoredCoupon> {
    let redeemed = order.discount.as_ref()?.coupon.as_ref()?;
    once_more(coupon.filter(|it| it.coupon.code == *redeemed)?)
}

/// What `payment` and its coupon become by `events`: one that it holds is given back if nothing began by it.
pub(super) fn settled(coupon: Option<StoredCoupon>, payment: Payment, events: &[Event]) -> (Payment, Option<Write>) {
    if !payment.holds_coupon {
        return (payment, counted(coupon, events));
    }
    if payment.is_in_flight() {
        return (payment, None);
    }
    let begun = events.iter().any(|event| matches!(event, Event::Activated { .. }));
    let less = |it: StoredCoupon| StoredCoupon { redeemed: it.redeemed.saturating_sub(1), ..it };
    let given_back = coupon.filter(|_| !begun).map(less).map(Record::Coupon).map(Write::next);
    (Payment { holds_coupon: false, ..payment }, given_back)
}

fn once_more(coupon: StoredCoupon) -> Option<StoredCoupon> {
    coupon.coupon.most_redemptions?;
    Some(StoredCoupon { redeemed: coupon.redeemed.saturating_add(1), ..coupon })
}

impl<S: Store, G: Gateways, C: Clock> Billing<S, G, C> {
    /// The coupon that `code` names, as it is counted now.
    pub(super) async fn coupon(&self, code: Option<&CouponCode>) -> Result<Option<StoredCoupon>, StoreError> {
        match code {
            None => Ok(None),
            Some(code) => Ok(self.store.get(vec![Key::Coupon(code.clone())]).await?.coupon()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Outcome, Stage};
    use crate::testing::{active, off_session_payment};
    use serde_json::json;

    #[test]
    fn a_charge_holds_its_coupon_while_the_bank_waits_for_its_customer() {
        let coupon = json!({"code": "HALF", "off": {"percent": "50"}, "lasts": "once", "most_redemptions": 1});
        let coupon = serde_json::from_value(coupon).unwrap_or_else(|error| panic!("{error}"));
        let family = active().order.plan.family;
        let coupon = StoredCoupon { coupon, family, withdrawn: false, redeemed: 1, version: 1 };
        let charge = Payment { holds_coupon: true, ..off_session_payment() };
        for (outcome, holds) in [(Outcome::Pending(Stage::RequiresAction), true), (Outcome::Expired, false)] {
            let news = charge.clone().settle(outcome, charge.created_at).unwrap_or_else(|| panic!("that is news"));
            let (charge, given_back) = settled(Some(coupon.clone()), news.0, &[]);
            assert_eq!((charge.holds_coupon, given_back.is_none()), (holds, holds));
        }
    }
}
