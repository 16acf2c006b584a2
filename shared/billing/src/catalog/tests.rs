use super::*;
use serde_json::{Value, json};

/// The family that the README shows, as it is written there.
pub(super) fn written() -> Value {
    let readme = include_str!("../../../../README.md");
    let (_, below) = readme.split_once("## The catalogue").unwrap_or_else(|| panic!("no such section"));
    let text = below.split_once("```json\n").and_then(|(_, text)| text.split_once("```"));
    serde_json::from_str(text.map_or("", |(text, _)| text)).unwrap_or_else(|error| panic!("{error}"))
}

/// The plan that the README shows, with everything that a plan can have.
pub(crate) fn documented() -> Plan {
    documented_catalogue().into_plans().1.remove(0)
}

pub(crate) fn documented_family() -> Family {
    documented_catalogue().family
}

pub(crate) fn documented_catalogue() -> Catalogue {
    serde_json::from_value(written()).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn usd(minor: i64) -> Value {
    json!({"minor": minor, "currency": "USD"})
}

#[test]
fn what_was_forgotten_about_money_is_refused_when_it_is_read() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 6] = [
        (|it| _ = forget(&mut it["prices"][0], "amount"), "amount"),
        (|it| _ = forget(&mut it["prices"][0]["tiers"][2], "up_to"), "up_to"),
        (|it| _ = forget(&mut it["prices"][0]["tiers"][0], "amount"), "amount"),
        (|it| _ = forget(&mut it["addons"][0], "per_unit"), "per_unit"),
        (|it| _ = forget(&mut it["dunning"], "grace_days"), "grace_days"),
        (|it| it["prices"][0]["tiers"][0]["flatt"] = usd(1), "flatt"),
    ];
    for (change, field) in cases {
        let mut document = written();
        change(&mut document["plans"][0]);
        let told = serde_json::from_value::<Catalogue>(document).map_err(|error| error.to_string());
        assert!(told.as_ref().is_err_and(|told| told.contains(&format!("`{field}`"))), "{field}: {told:?}");
    }
}

pub(super) fn forget(of: &mut Value, field: &str) -> Option<Value> {
    of.as_object_mut()?.remove(field)
}

/// A price in dollars by the month, and what so many cost, in cents.
fn costs(model: PricingModel, price: Value, quantities: &[u32]) -> Vec<i64> {
    let mut price = price;
    price["interval"] = "month".into();
    price["recurring"] = true.into();
    let price: Price = serde_json::from_value(price).unwrap_or_else(|error| panic!("{error}"));
    let cost = |quantity| price.cost(model, quantity).unwrap_or_else(|error| panic!("{error}")).minor;
    quantities.iter().copied().map(cost).collect()
}

#[test]
fn every_model_costs_what_its_sellers_say() {
    use PricingModel::{Flat, Graduated, Package, PerSeat, Volume};
    let tiers = |tiers: &[(Option<u32>, i64, i64)]| {
        let tier = |(up_to, amount, flat): &(Option<u32>, i64, i64)| json!({"up_to": up_to, "amount": usd(*amount), "flat": usd(*flat)});
        json!({"amount": usd(0), "tiers": tiers.iter().map(tier).collect::<Vec<_>>()})
    };
    // docs.stripe.com/subscriptions/pricing-models/tiered-pricing: fonts at 7, from the 6th at 6.50, from the 11th at 6 dollars.
    let fonts = tiers(&[(Some(5), 700, 0), (Some(10), 650, 0), (None, 600, 0)]);
    assert_eq!(costs(Volume, fonts.clone(), &[1, 5, 6, 20, 25]), [700, 3_500, 3_900, 12_000, 15_000]);
    assert_eq!(costs(Graduated, fonts, &[1, 5, 6, 20, 25]), [700, 3_500, 4_150, 12_750, 15_750]);
    // Lago, graduated_service_spec.rb: a fee for each tier that is entered.
    let fees = tiers(&[(Some(10), 1_000, 200), (Some(20), 500, 300), (None, 500, 300)]);
    assert_eq!(costs(Graduated, fees, &[10, 12, 21]), [10_200, 11_500, 16_300]);
    // Lago, volume_service_spec.rb: the fee of the one tier.
    let fees = tiers(&[(Some(100), 200, 1_000), (Some(200), 100, 0), (None, 50, 5_000)]);
    assert_eq!(costs(Volume, fees, &[100, 101, 200, 210]), [21_000, 10_100, 20_000, 15_500]);
    // OpenMeter, tieredvolume_test.go: so much for up to 5, so much for up to 10; and a minimum.
    let mut steps = tiers(&[(Some(5), 0, 10_000), (Some(10), 0, 15_000), (Some(15), 1_000, 0), (None, 500, 0)]);
    assert_eq!(
        costs(Volume, steps.clone(), &[3, 5, 6, 10, 15, 16, 100]),
        [10_000, 10_000, 15_000, 15_000, 15_000, 8_000, 50_000]
    );
    steps["minimum"] = usd(15_000);
    assert_eq!(costs(Volume, steps, &[3, 5, 6, 16, 100]), [15_000, 15_000, 15_000, 15_000, 50_000]);
    // Lago, package_service_spec.rb: ten for 100, and one begun is paid whole.
    let package = json!({"amount": usd(10_000), "package_size": 10});
    assert_eq!(costs(Package, package, &[1, 10, 11, 121]), [10_000, 10_000, 20_000, 130_000]);
    let seats = json!({"amount": usd(1_500), "minimum": usd(5_000)});
    assert_eq!(costs(PerSeat, seats, &[1, 3, 4]), [5_000, 5_000, 6_000]);
    assert_eq!(costs(Flat, json!({"amount": usd(1_500)}), &[1]), [1_500]);
}

#[test]
fn what_is_charged_besides_the_tiers_is_charged_once_in_every_tier() {
    let price = || {
        let tiers =
            [json!({"up_to": 5, "amount": usd(100), "flat": usd(10)}), json!({"up_to": null, "amount": usd(50)})];
        json!({"amount": usd(2_000), "tiers": tiers})
    };
    assert_eq!(costs(PricingModel::Graduated, price(), &[1, 5, 6]), [2_110, 2_510, 2_560]);
    assert_eq!(costs(PricingModel::Volume, price(), &[1, 5, 6]), [2_110, 2_510, 2_300]);
}

#[test]
fn a_price_of_another_model_or_currency_costs_nobody_anything() {
    use PricingModel::{Flat, Graduated, Package, PerSeat, Tokens, Volume};
    let plan = documented();
    let (tiered, plain) = (&plan.prices[0], Price::plain(Interval::Month, plan.prices[0].amount, true));
    let models = [Flat, PerSeat, Tokens, Graduated, Volume, Package];
    assert_eq!(models.map(|model| tiered.cost(model, 1).is_ok()), [false, false, false, true, true, false]);
    assert_eq!(models.map(|model| plain.cost(model, 1).is_ok()), [true, true, true, false, false, false]);
    let euros = Currency::from_code("EUR").unwrap_or_else(|| panic!("EUR"));
    let mut mixed = tiered.clone();
    mixed.tiers[2].amount.currency = euros;
    assert!(mixed.cost(Graduated, 1).is_err());
    assert!(Price { minimum: Some(crate::money::Money::new(1, euros)), ..plain }.cost(Flat, 1).is_err());
}

#[test]
fn a_plan_that_says_the_same_has_no_new_version_and_another_has_the_next() {
    let seventh = Plan { version: 7, ..documented() };
    assert_eq!(documented().succeeding(&seventh), None);
    let dearer = Plan { tier: seventh.tier + 1, ..documented() };
    assert_eq!(dearer.succeeding(&seventh).map(|it| (it.version, it.tier)), Some((8, seventh.tier + 1)));
}

#[test]
fn what_has_no_meaning_is_refused_when_read() {
    let cases: [fn(&mut Value); 5] = [
        |it| it["prise"] = 1.into(),
        |it| it["limits"]["storage"] = (-1).into(),
        |it| it["limits"]["storage"] = "lots".into(),
        |it| it["prices"][0]["amount"]["currency"] = "NGX".into(),
        |it| it["pricing_model"] = "free".into(),
    ];
    for change in cases {
        let mut document = written();
        change(&mut document["plans"][0]);
        assert!(serde_json::from_value::<Catalogue>(document.clone()).is_err(), "{document}");
    }
}

#[test]
fn unlimited_is_null_or_a_word_and_never_minus_one() {
    let read = |text| serde_json::from_str::<Limit>(text).ok();
    assert_eq!(read("null"), Some(Limit::Unlimited));
    assert_eq!(read("\"unlimited\""), Some(Limit::Unlimited));
    assert_eq!(read("0"), Some(Limit::AtMost(0)));
    assert_eq!(read("-1"), None);
    assert_eq!(serde_json::to_string(&Limit::Unlimited).ok().as_deref(), Some("null"));
}

#[test]
fn a_change_makes_a_new_version_and_no_change_makes_none() {
    let plan = crate::testing::plan("estates-starter");
    assert_eq!(plan.clone().succeeding(&plan), None);
    let dearer = Plan { tier: 2, ..plan.clone() };
    assert_eq!(dearer.succeeding(&plan).map(|it| it.version), Some(plan.version + 1));
}

#[test]
fn a_price_is_plain_if_there_is_nothing_to_it_but_its_amount() {
    let plain = crate::testing::plan("estates-starter").prices.remove(0);
    let tiered = documented().prices.remove(0);
    let minimum = Price { minimum: Some(plain.amount), ..plain.clone() };
    let package = Price { package_size: Some(5), ..plain.clone() };
    let once = Price { recurring: false, ..plain.clone() };
    assert_eq!([plain, once, tiered, minimum, package].map(|it| it.is_plain()), [true, true, false, false, false]);
}
