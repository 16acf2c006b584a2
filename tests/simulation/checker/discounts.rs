//! What must hold of discounts: they take off what they say, from as many periods as they say, and are redeemed as often as
//! is counted. Reckoned here from the catalogue's own figures, not by the domain.

use super::{Changes, Checked, check};
use crate::world::State;
use billing::calendar::Interval;
use billing::discount::{Discount, Lasts, Off};
use billing::id::{CouponCode, PlanId};
use billing::ports::{Key, Record, StoredCoupon};
use billing::subscription::{Event, Order, Subscription};

/// What staff gave, in which period, for what.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    in_period: u32,
    percent: u8,
    periods: Option<u32>,
    of: (PlanId, Interval),
}

impl Given {
    pub(super) fn now(to: &Subscription, discount: &Discount) -> Option<Self> {
        Some(Self {
            in_period: to.term()?.index,
            percent: hundredths(discount.off),
            periods: discount.left,
            of: terms(&to.order),
        })
    }
}

/// By the seat, so many times the price of one.
fn whole(order: &Order) -> i128 {
    i128::from(order.price.amount.minor) * i128::from(order.quantity)
}

fn terms(order: &Order) -> (PlanId, Interval) {
    (order.plan.id.clone(), order.price.interval)
}

impl State {
    /// A period of which something is taken off costs that much less (I-8), and there are no more of them than the coupon
    /// has (P-1).
    pub(super) fn discounted(&mut self, new: &Subscription) -> Checked {
        let Some(term) = new.term() else { return Ok(()) };
        let terms = terms(&new.order);
        let all = self.given.entry(new.id.clone()).or_default();
        // It goes along to nothing else.
        all.retain(|it| it.of == terms);
        // What was given last before the period began, if it lasts so long.
        let given = all.iter().rev().find(|it| it.in_period < term.index);
        let given = given.filter(|it| term.index - it.in_period <= it.periods.unwrap_or(u32::MAX));
        if let Some(percent) = given.map(|it| it.percent) {
            let (whole, amount) = (whole(&new.order), new.order.amount());
            let left = whole - (whole * i128::from(percent) + 50) / 100;
            let right = amount.is_ok_and(|amount| i128::from(amount.minor) == left);
            return check(right, "I-8", || format!("{} is comped by {percent} % and costs {amount:?}", new.id));
        }
        let Some((code, true)) = new.order.discount.as_ref().map(|it| (it.coupon.clone(), it.is_on)) else {
            let price = whole(&new.order);
            let amount = new.order.amount().map(|amount| i128::from(amount.minor));
            return check(amount == Ok(price), "I-8", || format!("{} is {price} and costs {amount:?}", new.id));
        };
        let Some(Record::Coupon(StoredCoupon { coupon, .. })) =
            code.clone().and_then(|it| self.records.get(&Key::Coupon(it)))
        else {
            return check(false, "I-8", || format!("{} is discounted by {code:?}, of which nothing is known", new.id));
        };
        let meant = coupon.plans.is_empty() || coupon.plans.contains(&new.order.plan.id);
        check(meant, "I-8", || format!("{} is not for {}, and taken off it", coupon.code, new.order.plan.id))?;
        let whole = whole(&new.order);
        let left = match coupon.off {
            // A third, and a hundredth of a hundredth: as the catalogue of these stories has them.
            Off::Percent(percent) if percent.to_string() == "33.33" => whole - (whole * 3_333 + 5_000) / 10_000,
            Off::Percent(_) => 0,
            Off::Amount(amount) => (whole - i128::from(amount.minor)).max(0),
        };
        let amount = new.order.amount().map(|amount| i128::from(amount.minor));
        check(amount == Ok(left), "I-8", || format!("{} costs {amount:?}, and {left} is left of {whole}", new.id))?;
        let periods = self.discounts.entry((new.id.clone(), coupon.code.clone())).or_default();
        periods.insert(term.index);
        let (had, most) = (periods.len(), most(coupon.lasts));
        check(had <= most, "P-1", || format!("{} is discounted {had} times by {}", new.id, coupon.code))
    }

    /// Each redemption of a coupon of which there are so many is counted as it is made. What needs no page is given no
    /// more often than it may be.
    pub(super) fn redemptions(&self, changes: &Changes) -> Checked {
        for code in changes.events().filter_map(redeemed) {
            let Some(Record::Coupon(stored)) = self.records.get(&Key::Coupon(code.clone())) else { continue };
            let by_customer = || self.redeemed.iter().filter(|((it, _), _)| it == code).map(|(_, times)| *times);
            if let (true, Some(most)) = (is_whole(stored.coupon.off), stored.coupon.most_per_customer) {
                let times = by_customer().max().unwrap_or(0);
                check(times <= most, "P-1", || format!("{code} was redeemed {times} times by one customer"))?;
            }
            let times: u32 = by_customer().sum();
            let counted = if stored.coupon.most_redemptions.is_some() { stored.redeemed } else { times };
            check(counted == times, "P-1", || format!("{code} was redeemed {times} times, and {counted} are counted"))?;
        }
        Ok(())
    }
}

pub(super) fn redeemed(event: &Event) -> Option<&CouponCode> {
    let (Event::Activated { order, .. } | Event::TrialStarted { order, .. }) = event else { return None };
    order.discount.as_ref()?.coupon.as_ref()
}

/// Whether nothing is left to pay: there is no page that may be paid later.
fn is_whole(off: Off) -> bool {
    matches!(off, Off::Percent(percent) if percent.to_string() == "100")
}

/// What staff give is a part.
pub(super) fn hundredths(off: Off) -> u8 {
    match off {
        Off::Percent(percent) => percent.to_string().parse().unwrap_or(u8::MAX),
        Off::Amount(_) => u8::MAX,
    }
}

fn most(lasts: Lasts) -> usize {
    match lasts {
        Lasts::Once => 1,
        Lasts::Periods(periods) => usize::try_from(periods).unwrap_or(usize::MAX),
        Lasts::Forever => usize::MAX,
    }
}
