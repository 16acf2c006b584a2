//! What must hold of discounts: they take off what they say, from as many periods as they say, and are redeemed as often as
//! is counted. Reckoned here from the catalogue's own figures, not by the domain.

use super::{Changes, Checked, check};
use crate::world::State;
use billing::calendar::Interval;
use billing::catalog::AddonPrice;
use billing::discount::{Lasts, Off};
use billing::id::{CouponCode, CustomerId, PlanId, SubscriptionId};
use billing::payment::{Collection, Payment};
use billing::ports::{Key, Record, StoredCoupon};
use billing::subscription::{Event, Order, Subscription};

/// What staff gave, from which period on, for what.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    from: u32,
    percent: u8,
    periods: Option<u32>,
    of: (PlanId, Interval),
}

impl Given {
    /// With what it begins with, or later from the next period on.
    fn by(event: &Event, to: &Subscription) -> Option<Self> {
        let (discount, from, order) = match event {
            Event::Discounted { discount } => (&**discount, to.term()?.index + 1, &to.order),
            Event::Activated { order, .. } => (order.discount.as_ref()?, 0, &**order),
            // That uses up none.
            Event::TrialStarted { order, .. } => (order.discount.as_ref()?, 1, &**order),
            _ => return None,
        };
        let is_given = discount.coupon.is_none();
        let periods = discount.left.map(|left| left + u32::from(discount.is_on));
        is_given.then(|| Self { from, percent: hundredths(discount.off), periods, of: terms(order) })
    }
}

/// By the seat, so many times the price of one; and so many times that of each add-on.
pub(super) fn whole(order: &Order) -> i128 {
    let times = |amount: i64, quantity: u32| i128::from(amount) * i128::from(quantity);
    let addons = order.addons.iter().map(|it| times(it.price.minor, it.quantity));
    times(order.price.amount.minor, order.quantity) + addons.sum::<i128>()
}

fn terms(order: &Order) -> (PlanId, Interval) {
    (order.plan.id.clone(), order.price.interval)
}

impl State {
    /// What is given is what somebody wanted to give.
    pub(super) fn gives(&mut self, customer: &CustomerId, to: &SubscriptionId, event: &Event) -> Checked {
        let Some(given) = self.subscription(customer).and_then(|it| Given::by(event, it)) else { return Ok(()) };
        let wanted = self.offered.contains(&(customer.clone(), given.percent, given.periods));
        check(wanted, "P-8", || format!("{customer} is given {given:?}, which nobody wanted to"))?;
        self.given.entry(to.clone()).or_default().push(given);
        Ok(())
    }

    /// A period of which something is taken off costs that much less (I-8), and there are no more of them than the coupon
    /// has (P-1).
    pub(super) fn discounted(&mut self, new: &Subscription) -> Checked {
        let Some(term) = new.term() else { return Ok(()) };
        for bought in &new.order.addons {
            let of = |it: &&AddonPrice| {
                it.interval == new.order.price.interval && it.amount.currency == bought.price.currency
            };
            let offered = new.order.plan.addons.iter().find(|it| it.id == bought.addon.id);
            let price = offered.and_then(|it| it.prices.iter().find(of)).map(|it| it.amount);
            check(price == Some(bought.price), "P-13", || format!("{} has {bought:?}, which is {price:?}", new.id))?;
        }
        let terms = terms(&new.order);
        let all = self.given.entry(new.id.clone()).or_default();
        // It goes along to nothing else.
        all.retain(|it| it.of == terms);
        // What was given last before the period began, if it lasts so long.
        let given = all.iter().rev().find(|it| it.from <= term.index);
        let given = given.filter(|it| it.periods.is_none_or(|periods| term.index - it.from < periods));
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

    /// Each redemption of a coupon of which there are so many is counted as it is made, or as the charge is asked for by which
    /// it may be, and no longer than that is on its way. What needs no page is given no more often than it may be.
    pub(super) fn redemptions(&self, changes: &Changes) -> Checked {
        for charge in changes.list.iter().filter(|(before, _)| before.is_none()).filter_map(|(_, new)| charged(new)) {
            let Some(code) = charge.redeems() else { continue };
            let Some(Record::Coupon(stored)) = self.records.get(&Key::Coupon(code.clone())) else { continue };
            let taken = stored.coupon.most_redemptions.is_none() || charge.holds_coupon;
            check(taken, "P-1", || format!("{} is asked for, and {code} is there for others", charge.id))?;
        }
        let held_before = changes.list.iter().filter_map(|(before, _)| held(before.as_ref()?));
        let touched = changes.list.iter().filter_map(|(_, new)| match new {
            Record::Coupon(it) => Some(&it.coupon.code),
            _ => None,
        });
        for code in changes.events().filter_map(redeemed).chain(held_before).chain(touched) {
            let Some(Record::Coupon(stored)) = self.records.get(&Key::Coupon(code.clone())) else { continue };
            let by_customer = || self.redeemed.iter().filter(|((it, _), _)| it == code).map(|(_, times)| *times);
            if let (true, Some(most)) = (is_whole(stored.coupon.off), stored.coupon.most_per_customer) {
                let times = by_customer().max().unwrap_or(0);
                check(times <= most, "P-1", || format!("{code} was redeemed {times} times by one customer"))?;
            }
            let times: u32 = by_customer().sum();
            let Some(most) = stored.coupon.most_redemptions else { continue };
            let on_their_way = self.records.values().filter_map(held).filter(|it| *it == code).count();
            check(
                usize::try_from(stored.redeemed.abs_diff(times)) == Ok(on_their_way) && stored.redeemed >= times,
                "P-1",
                || {
                    format!(
                        "{code} was redeemed {times} times, and may be {on_their_way} more: {} are counted",
                        stored.redeemed
                    )
                },
            )?;
            let more = changes.list.iter().any(|(before, new)| match (before, new) {
                (Some(Record::Coupon(before)), Record::Coupon(new)) => new.redeemed > before.redeemed,
                _ => false,
            });
            // A page that was open, or a charge that was declined, is paid after all.
            let is_late = |(before, new): &(Option<&Record>, &Record)| match (before, new) {
                (_, Record::Payment(it)) if matches!(it.collection, Collection::Checkout { .. }) => true,
                (Some(Record::Payment(before)), Record::Payment(_)) => !before.holds_coupon,
                _ => false,
            };
            let may = !more || stored.redeemed <= most || changes.list.iter().any(is_late);
            check(may, "P-1", || format!("{code} is redeemed by a charge when there is none left"))?;
        }
        Ok(())
    }
}

/// A payment that is made without a page.
fn charged(record: &Record) -> Option<&Payment> {
    match record {
        Record::Payment(it) if matches!(it.collection, Collection::OffSession { .. }) => Some(it),
        _ => None,
    }
}

/// The coupon that is counted for a payment that is on its way.
fn held(record: &Record) -> Option<&CouponCode> {
    match record {
        Record::Payment(it) if it.holds_coupon => it.redeems(),
        _ => None,
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
