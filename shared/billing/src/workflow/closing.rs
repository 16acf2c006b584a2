//! What was used in a period beyond its limits is put on the invoice, and its meters are closed with it, in one
//! transaction: what is counted from then on is of no period that is billed.

use crate::ports::{Found, Key, Write};
use crate::subscription::{Event, Subscription};
use crate::usage::MeterUsage;
use jiff::Timestamp;

/// Where the meters are that `subscription` has to be billed for.
pub(super) fn meters_of(subscription: &Subscription) -> Vec<Key> {
    let meters = subscription.meters_to_bill().unwrap_or_default();
    meters.into_iter().map(|meter| Key::Usage(subscription.customer.clone(), meter)).collect()
}

/// `events` of `subscription`, and what else is written with them: if they leave the period at hand, it is billed before
/// them, and its meters are closed.
pub(super) fn leaving(
    subscription: &Subscription,
    events: Vec<Event>,
    found: &mut Found,
    now: Timestamp,
) -> (Vec<Event>, Vec<Write>) {
    if !subscription.is_left_by(&events) {
        return (events, vec![]);
    }
    let (billed, closed) = closing(subscription, found, now);
    (billed.into_iter().chain(events).collect(), closed)
}

/// What bills `subscription` for its meters, as they were `found`, and what closes them. Of a meter that was not found
/// nothing was counted: if it was not looked for, there is a record in the way.
pub(super) fn closing(subscription: &Subscription, found: &mut Found, now: Timestamp) -> (Option<Event>, Vec<Write>) {
    let Some(meters) = subscription.meters_to_bill() else { return (None, vec![]) };
    let found = std::iter::from_fn(|| found.usage()).filter(|it| meters.contains(&it.meter));
    let mut counted: Vec<MeterUsage> = found.collect();
    for meter in meters {
        if !counted.iter().any(|it| it.meter == meter) {
            counted.push(MeterUsage::none(subscription.customer.clone(), meter, now));
        }
    }
    let billed = subscription.bill(&counted);
    let closed = counted.iter().filter_map(|it| subscription.closed(it, now));
    (billed, closed.flat_map(MeterUsage::writes).collect())
}
