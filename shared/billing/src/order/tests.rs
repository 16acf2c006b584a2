use super::*;
use crate::catalog::PricingModel;
use crate::catalog::tests::documented;
use crate::dunning::ladder::DunningPolicy;
use crate::subscription::Action;
use crate::testing::{meter, order};
use crate::trial::TrialOffer;

fn addon(name: &str) -> AddonId {
    AddonId::try_from(name.to_owned()).unwrap_or_else(|error| panic!("{error}"))
}

fn with(order: Order, name: &str, quantity: u32) -> Result<Order, AddonRefusal> {
    order.with_addon(&addon(name), NonZeroU32::new(quantity))
}

/// So many seats of the README's plan, and nothing else.
fn seats(quantity: u32) -> Order {
    let plan = documented();
    Order { price: plan.prices[0].clone(), plan, quantity, addons: vec![], discount: None }
}

/// As the README has it: twelve seats, twice as much storage again, and the phone.
fn all() -> Order {
    let stored = with(seats(12), "storage", 2).unwrap_or_else(|error| panic!("{error}"));
    with(stored, "phone", 1).unwrap_or_else(|error| panic!("{error}"))
}

fn has(order: &Order) -> (Vec<bool>, Vec<Limit>) {
    (order.features().into_values().collect(), order.limits().into_values().collect())
}

#[test]
fn a_period_costs_what_its_lines_do() {
    let lines = all().lines().unwrap_or_else(|refusal| panic!("{refusal}"));
    let lines: Vec<(Item, i64)> = lines.into_iter().map(|(item, amount)| (item, amount.minor)).collect();
    // 20.00 + 5 × 7.00 + 5 × 6.50 + 2 × 6.00; 2 × 5.00; 15.00.
    let expected = [(Item::Plan, 9_950), (Item::Addon(addon("storage")), 1_000), (Item::Addon(addon("phone")), 1_500)];
    assert_eq!(lines, expected);
    assert_eq!(all().amount().map(|amount| amount.to_string()).as_deref(), Ok("USD 124.50"));
    // One seat comes to 27.00, and a period costs 30.00 at least; the add-ons are beside that.
    assert_eq!(seats(1).amount().map(|amount| amount.minor), Ok(3_000));
    assert_eq!(with(seats(1), "phone", 1).map(|it| it.amount().map(|amount| amount.minor)), Ok(Ok(4_500)));
}

/// The README's coupons, on what it has.
#[test]
fn a_discount_is_shared_by_the_lines_and_passes() {
    let coupons = crate::catalog::tests::documented_catalogue().coupons;
    let told = |coupon: usize| {
        let mut held = all();
        let currency = held.price.amount.currency;
        let discount = coupons[coupon].redeem(&held.plan.id, currency, 0, 0, jiff::Timestamp::UNIX_EPOCH);
        held.discount = Some(discount.unwrap_or_else(|error| panic!("{error}")));
        let mut months = vec![];
        for _ in 0..5 {
            held = held.in_next_period();
            let amount = held.amount().unwrap_or_else(|error| panic!("{error}"));
            months.push((amount.minor, held.discounted().map(|off| off.minor)));
        }
        months
    };
    // A fifth of 124.50 is 24.90, three times; then 5.00 for ever.
    let (off, whole) = ((9_960, Some(2_490)), (12_450, None));
    assert_eq!(told(0), [off, off, off, whole, whole]);
    assert_eq!(told(1), [(11_950, Some(500)); 5]);
}

#[test]
fn what_is_not_by_quantity_is_sold_once() {
    for name in ["crm-basic", "tokens-basic"] {
        let many = Order { quantity: 3, ..order(name) };
        assert_eq!(many.lines(), Err(Refusal::QuantityNotOne), "{name}");
    }
    let seats = Order { quantity: 3, ..order("crm-professional") };
    assert_eq!(seats.amount().map(|amount| amount.to_string()).as_deref(), Ok("GEL 45.00"));
}

#[test]
fn what_is_beyond_counting_is_refused() {
    let mut dear = all();
    dear.addons[0].price.minor = i64::MAX;
    assert_eq!(dear.amount(), Err(Refusal::TooExpensive));
    dear.addons[0].quantity = 1; // each line can be counted, and their sum cannot
    assert_eq!((dear.lines().is_ok(), dear.amount()), (true, Err(Refusal::TooExpensive)));
    let other = Order { plan: Plan { pricing_model: PricingModel::Package, ..documented() }, ..seats(1) };
    assert_eq!(other.amount(), Err(Refusal::TooExpensive));
}

#[test]
fn addons_switch_features_on_and_raise_limits() {
    // The phone, and reports; storage.
    assert_eq!(has(&seats(1)), (vec![false, true], vec![Limit::AtMost(50)]));
    assert_eq!(has(&all()), (vec![true, true], vec![Limit::AtMost(150)]));
    let mut unlimited = all();
    unlimited.plan.limits.insert(meter("storage"), Limit::Unlimited);
    assert_eq!(unlimited.limits()[&meter("storage")], Limit::Unlimited);
    let mut huge = all();
    huge.addons[0].addon.limits.insert(meter("storage"), u64::MAX);
    assert_eq!(huge.limits()[&meter("storage")], Limit::AtMost(u64::MAX));
}

#[test]
fn an_addon_is_bought_once_a_line_and_as_often_as_its_plan_says() {
    let more = with(all(), "storage", 5).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(more.addons.iter().map(|it| it.quantity).collect::<Vec<_>>(), [5, 1]);
    assert_eq!(with(all(), "phone", 2), Err(AddonRefusal::QuantityNotOne(addon("phone"))));
    assert_eq!(with(all(), "fax", 1), Err(AddonRefusal::NotOffered(addon("fax"))));
    let mut yearly = seats(1);
    yearly.price.interval = crate::calendar::Interval::Year;
    assert_eq!(with(yearly, "phone", 1), Err(AddonRefusal::NotOffered(addon("phone"))));
}

/// As they were stored before a plan could say more.
#[test]
fn a_trial_of_long_ago_is_one_of_so_many_days() {
    let read = |trial: serde_json::Value| {
        let mut stored = serde_json::to_value(order("tokens-basic")).unwrap_or_else(|error| panic!("{error}"));
        stored["plan"]["trial_days"] = trial;
        serde_json::from_value::<Order>(stored).map(|it| it.plan.trial).ok()
    };
    let days = |days| Some(TrialOffer { days, method_required: false });
    assert_eq!([7.into(), serde_json::Value::Null].map(read), [Some(days(7)), Some(None)]);
}

#[test]
fn an_order_of_long_ago_is_read_as_it_was_meant() {
    let stored = r#"{"plan": {"id": "tokens-basic", "family": "tokens", "version": 1, "name": "Basic",
        "display_name": "Basic", "description": "Perfect for small teams", "tier": 1, "pricing_model": "tokens",
        "prices": [{"interval": "30_days", "amount": {"minor": 1500, "currency": "USD"}, "recurring": true}],
        "features": {}, "limits": {}, "tokens_included": 1000, "recommended": false, "popular": false, "active": true},
        "price": {"interval": "30_days", "amount": {"minor": 1500, "currency": "USD"}, "recurring": true},
        "quantity": 1}"#;
    let read: Order = serde_json::from_str(stored).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read, order("tokens-basic"));
    assert_eq!((&read.plan.dunning, read.plan.trial), (&DunningPolicy::default(), None));
    // Nor does what has none of it say more of its price than it did.
    let written = serde_json::to_value(&read).unwrap_or_else(|error| panic!("{error}"));
    let before: serde_json::Value = serde_json::from_str(stored).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((&written["price"], &written["quantity"]), (&before["price"], &before["quantity"]));
    assert_eq!(written.get("addons"), None);
}

#[test]
fn an_order_with_everything_is_read_as_it_was_written() {
    let written = serde_json::to_string(&all()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(serde_json::from_str::<Order>(&written).ok(), Some(all()));
}

#[test]
fn what_is_sold_by_the_unit_needs_a_number_and_what_is_sold_once_does_not() {
    let of = |name: &str| seats(1).with_addon(&addon(name), None).map(|it| it.addon_quantity(&addon(name)));
    assert_eq!([of("phone"), of("storage")], [Ok(1), Err(AddonRefusal::QuantityMissing(addon("storage")))]);
}

/// The storage of it, and the phone: how many, at what price.
fn held(order: &Order) -> Vec<(&str, u32, i64)> {
    order.addons.iter().map(|it| (it.addon.id.as_str(), it.quantity, it.price.minor)).collect()
}

#[test]
fn so_many_of_an_addon_are_kept_at_the_price_they_were_bought_at() {
    let mut bought = all();
    bought.addons[0].price.minor = 499;
    assert_eq!(["storage", "phone", "fax"].map(|name| bought.addon_quantity(&addon(name))), [2, 1, 0]);
    let keeping = |name: &str, quantity| bought.clone().keeping_of_addon(&addon(name), quantity);
    assert_eq!(keeping("storage", 1).as_ref().map(held), Some(vec![("storage", 1, 499), ("phone", 1, 1_500)]));
    assert_eq!(keeping("storage", 0).as_ref().map(held), Some(vec![("phone", 1, 1_500)]));
    assert_eq!(keeping("phone", 0).as_ref().map(held), Some(vec![("storage", 2, 499)]));
    for (name, quantity) in [("storage", 2), ("storage", 3), ("phone", 1), ("fax", 0)] {
        assert_eq!(keeping(name, quantity), None, "{quantity} of {name}");
    }
}

#[test]
fn another_order_brings_its_addons_along_and_no_others_stay() {
    let phone = with(seats(1), "phone", 1).unwrap_or_else(|error| panic!("{error}"));
    let stored = with(seats(1), "storage", 3).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(held(&phone.clone().with_addons_of(&stored)), [("storage", 3, 500)]);
    assert_eq!(held(&order("crm-basic").with_addons_of(&all())), [], "it offers none of them");
}

#[test]
fn a_year_of_it_is_compared_without_what_is_taken_off() {
    let coupons = crate::catalog::tests::documented_catalogue().coupons;
    let mut discounted = seats(1);
    let currency = discounted.price.amount.currency;
    let discount = coupons[0].redeem(&discounted.plan.id, currency, 0, 0, jiff::Timestamp::UNIX_EPOCH);
    discounted.discount = Some(discount.unwrap_or_else(|error| panic!("{error}")));
    let discounted = discounted.in_next_period();
    assert_eq!(discounted.amount().map(|amount| amount.minor), Ok(2_400));
    let cases = [
        (Interval::Month, Ratio::new(36_000, 1)),
        (Interval::Months(3), Ratio::new(12_000, 1)),
        (Interval::Year, Ratio::new(3_000, 1)),
        (Interval::Years(2), Ratio::new(1_500, 1)),
        (Interval::Weeks(2), Ratio::new(78_000, 1)),
        (Interval::Days(30), Ratio::new(36_500, 1)),
    ];
    for (interval, year) in cases {
        for mut order in [seats(1), discounted.clone()] {
            order.price.interval = interval;
            assert_eq!(order.yearly(), year, "{interval}");
        }
    }
}

#[test]
fn a_change_is_called_by_which_way_it_goes() {
    use Action::{AddAddon, ChangeInterval, ChangeSeats, Downgrade, RemoveAddon, Upgrade};
    let other = |tier: u32, minor: i64| {
        let mut other = all();
        other.plan.id = crate::testing::plan("crm-basic").id;
        (other.plan.tier, other.price.amount.minor) = (tier, minor);
        other
    };
    let (tier, minor) = (all().plan.tier, all().price.amount.minor);
    let yearly = {
        let mut yearly = all();
        yearly.price.interval = Interval::Year;
        yearly
    };
    let one_less = all().keeping_of_addon(&addon("storage"), 1).unwrap_or_else(|| panic!("it has two"));
    let another = with(one_less.clone(), "storage", 2).unwrap_or_else(|error| panic!("{error}"));
    let cases = [
        (all(), all(), None),
        (all(), another, None),
        (all(), other(tier + 1, 0), Some(Upgrade)),
        (all(), other(tier - 1, i64::from(u32::MAX)), Some(Downgrade)),
        // Of one tier, what a year of it costs decides.
        (all(), other(tier, minor + 1), Some(Upgrade)),
        (all(), other(tier, minor), Some(Upgrade)),
        (all(), other(tier, minor - 1), Some(Downgrade)),
        (all(), yearly, Some(ChangeInterval)),
        (all(), Order { quantity: 13, ..all() }, Some(ChangeSeats)),
        (all(), one_less.clone(), Some(RemoveAddon)),
        (one_less, all(), Some(AddAddon)),
        (with(seats(12), "storage", 2).unwrap_or_else(|error| panic!("{error}")), all(), Some(AddAddon)),
        (all(), Order { addons: vec![], ..all() }, Some(RemoveAddon)),
    ];
    for (from, to, expected) in cases {
        assert_eq!(Action::of(&from, &to), expected, "{:?} to {:?}", held(&from), held(&to));
    }
}
