//! What Stripe should have of a plan: a product that goes by the plan's own id,
//! and a price for each of the plan's that Stripe can take.

use crate::gateways::stripe::forms::{self, Form};
use crate::gateways::sync::Fields;
use billing::calendar::Interval;
use billing::catalog::{Plan, Price};
use billing::money::{Currency, Money};
use billing::ports::GatewayError;
use serde::Deserialize;

/// What of a price never changes at Stripe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// In lower case.
    pub(super) currency: String,
    /// In Stripe's units; none where the amount is not a plain one.
    pub(super) unit_amount: Option<i64>,
    /// None: it is paid once.
    pub(super) recurring: Option<Recurring>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Recurring {
    pub(super) interval: String,
    #[serde(default = "one")]
    pub(super) interval_count: u32,
    #[serde(default = "licensed")]
    pub(super) usage_type: String,
}

fn one() -> u32 {
    1
}

/// For so many, as opposed to what was used.
fn licensed() -> String {
    "licensed".to_owned()
}

/// A price that Stripe should have.
#[derive(Clone, Debug)]
pub(super) struct WantedPrice {
    /// By which whoever wants the plan's current price finds it.
    pub(super) lookup_key: String,
    pub(super) terms: Terms,
    /// What else there is to it, by the names of Stripe's form.
    pub(super) fields: Fields,
}

/// A price that Stripe cannot have, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unsupported {
    pub(super) lookup_key: String,
    pub(super) reason: String,
}

/// What a product of ours says, by the names of Stripe's form.
pub(super) fn product(plan: &Plan) -> Fields {
    // Stripe would trim them too, and the two would never be the same.
    let (name, description) = (plan.display_name.trim(), plan.description.trim());
    let mut fields = marked(plan, true);
    fields.extend([("name", name.to_owned()), ("description", description.to_owned())]);
    fields
}

/// What everything of ours carries: whether it is for sale, whose it is, and which version of the plan last touched it.
pub(super) fn marked(plan: &Plan, active: bool) -> Fields {
    Fields::from([
        ("active", active.to_string()),
        ("metadata[plan]", plan.id.to_string()),
        ("metadata[version]", plan.version.to_string()),
    ])
}

pub(super) fn price(plan: &Plan, price: &Price) -> Result<WantedPrice, Unsupported> {
    let lookup_key = lookup_key(plan, price);
    let terms = match terms(price) {
        Ok(terms) => terms,
        Err(reason) => return Err(Unsupported { lookup_key, reason }),
    };
    let mut fields = marked(plan, true);
    let interval = price.interval.to_string().replace('_', " ");
    fields.insert("nickname", format!("{}, {interval}", plan.display_name.trim()));
    fields.insert("lookup_key", lookup_key.clone());
    Ok(WantedPrice { lookup_key, terms, fields })
}

/// `estates-starter:ngn:month`
fn lookup_key(plan: &Plan, price: &Price) -> String {
    format!("{}:{}:{}", plan.id, price.amount.currency.code().to_ascii_lowercase(), price.interval)
}

fn terms(price: &Price) -> Result<Terms, String> {
    if !price.is_plain() {
        return Err("tiers, packages and minimums are reckoned here, and have no price at Stripe".to_owned());
    }
    forms::chargeable(price.amount).map_err(|error| match error {
        GatewayError::Unacceptable { problem, .. } => format!("{}: {problem}", price.amount),
        GatewayError::NoAnswer(_)
        | GatewayError::Rejected(_)
        | GatewayError::OpenedBefore
        | GatewayError::NotConfigured(_) => error.to_string(),
    })?;
    // Stripe's longest is three years, however they are counted.
    let (interval, count, most) = match price.interval {
        Interval::Days(days) => ("day", days, 1_095),
        Interval::Weeks(weeks) => ("week", weeks, 156),
        Interval::Months(months) => ("month", months, 36),
        Interval::Years(years) => ("year", years, 3),
    };
    if price.recurring && count > most {
        return Err(format!("{count} {interval}s are more than Stripe's longest interval, three years"));
    }
    let recurring = price.recurring.then(|| Recurring {
        interval: interval.to_owned(),
        interval_count: count.into(),
        usage_type: licensed(),
    });
    let currency = price.amount.currency.code().to_ascii_lowercase();
    Ok(Terms { currency, unit_amount: Some(price.amount.minor), recurring })
}

impl WantedPrice {
    /// All of it, for a product: what a new price is made of.
    pub(super) fn form(&self, product: &str) -> Form {
        let mut form: Form = self.fields.clone().into_iter().collect();
        form.push(("product", product.to_owned()));
        // Whoever has the key gives it up, in the same step.
        form.push(("transfer_lookup_key", "true".to_owned()));
        form.push(("currency", self.terms.currency.clone()));
        form.extend(self.terms.unit_amount.map(|amount| ("unit_amount", amount.to_string())));
        if let Some(recurring) = &self.terms.recurring {
            form.push(("recurring[interval]", recurring.interval.clone()));
            form.push(("recurring[interval_count]", recurring.interval_count.to_string()));
        }
        form
    }
}

/// For people: `NGN 3000.00 a month`, `USD 15.00 every 30 days`, `USD 15.00 once`.
impl std::fmt::Display for Terms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.currency.to_ascii_uppercase();
        match (self.unit_amount, Currency::from_code(&code)) {
            (Some(minor), Some(currency)) => write!(f, "{}", Money::new(minor, currency))?,
            (Some(minor), None) => write!(f, "{minor} {code}")?,
            (None, _) => write!(f, "{code} of no single amount")?,
        }
        let Some(Recurring { interval, interval_count, usage_type }) = &self.recurring else {
            return f.write_str(" once");
        };
        match interval_count {
            1 => write!(f, " a {interval}")?,
            count => write!(f, " every {count} {interval}s")?,
        }
        if *usage_type == licensed() { Ok(()) } else { write!(f, ", {usage_type}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::plan;

    fn made(minor: i64, code: &str, interval: Interval, recurring: bool) -> Result<WantedPrice, Unsupported> {
        let currency = Currency::from_code(code).unwrap_or_else(|| panic!("{code}"));
        price(&plan("estates-starter"), &Price::plain(interval, Money::new(minor, currency), recurring))
    }

    #[test]
    fn what_is_more_than_one_amount_is_no_price_of_stripes() {
        let currency = Currency::from_code("USD").unwrap_or_else(|| panic!("USD"));
        let plain = Price::plain(Interval::Month, Money::new(1_000, currency), true);
        let tier = billing::catalog::PriceTier { up_to: None, amount: plain.amount, flat: None };
        let more = [
            Price { tiers: vec![tier], ..plain.clone() },
            Price { package_size: Some(5), ..plain.clone() },
            Price { minimum: Some(plain.amount), ..plain.clone() },
        ];
        assert!(price(&plan("estates-starter"), &plain).is_ok());
        assert!(more.iter().all(|it| price(&plan("estates-starter"), it).is_err()));
    }

    #[test]
    fn a_price_is_a_price_of_stripes() {
        let cases = [
            (300_000, "NGN", Interval::Month, true, "estates-starter:ngn:month", "NGN 3000.00 a month"),
            (2_900, "USD", Interval::Year, true, "estates-starter:usd:year", "USD 29.00 a year"),
            (1_500, "USD", Interval::Days(30), true, "estates-starter:usd:30_days", "USD 15.00 every 30 days"),
            (1_500, "USD", Interval::Days(1), true, "estates-starter:usd:1_days", "USD 15.00 a day"),
            (1_500, "USD", Interval::Weeks(1), true, "estates-starter:usd:week", "USD 15.00 a week"),
            (1_500, "USD", Interval::Months(3), true, "estates-starter:usd:3_months", "USD 15.00 every 3 months"),
            (1_500, "USD", Interval::Days(30), false, "estates-starter:usd:30_days", "USD 15.00 once"),
            (1_500, "USD", Interval::Days(3_660), false, "estates-starter:usd:3660_days", "USD 15.00 once"),
            (500, "JPY", Interval::Month, true, "estates-starter:jpy:month", "JPY 500 a month"),
            (1_250, "KWD", Interval::Month, true, "estates-starter:kwd:month", "KWD 1.250 a month"),
        ];
        for (minor, code, interval, recurring, key, shown) in cases {
            let wanted = made(minor, code, interval, recurring).unwrap_or_else(|error| panic!("{error:?}"));
            assert_eq!((wanted.lookup_key.as_str(), wanted.terms.to_string().as_str()), (key, shown));
            assert_eq!(wanted.terms.unit_amount, Some(minor));
        }
    }

    #[test]
    fn what_stripe_cannot_take_is_told_with_the_reason() {
        let cases = [
            (500_000, "UGX", Interval::Month, "UGX 500000: UGX cannot be charged through Stripe"),
            (1_251, "KWD", Interval::Month, "KWD 1.251: Stripe takes KWD only to two decimals"),
            (100_000_000, "USD", Interval::Month, "USD 1000000.00: is more than Stripe charges at once"),
            (100, "USD", Interval::Days(1_096), "1096 days are more than Stripe's longest interval, three years"),
            (100, "USD", Interval::Weeks(157), "157 weeks are more than Stripe's longest interval, three years"),
            (100, "USD", Interval::Months(37), "37 months are more than Stripe's longest interval, three years"),
            (100, "USD", Interval::Years(4), "4 years are more than Stripe's longest interval, three years"),
        ];
        for (minor, code, interval, reason) in cases {
            let unsupported = made(minor, code, interval, true).err();
            assert_eq!(unsupported.as_ref().map(|it| it.reason.as_str()), Some(reason));
        }
    }

    #[test]
    fn a_new_price_says_all_that_it_is() {
        let wanted = made(1_500, "USD", Interval::Days(30), true).unwrap_or_else(|error| panic!("{error:?}"));
        let form = wanted.form("estates-starter");
        let expected = [
            ("active", "true"),
            ("lookup_key", "estates-starter:usd:30_days"),
            ("metadata[plan]", "estates-starter"),
            ("metadata[version]", "1"),
            ("nickname", "Starter, 30 days"),
            ("product", "estates-starter"),
            ("transfer_lookup_key", "true"),
            ("currency", "usd"),
            ("unit_amount", "1500"),
            ("recurring[interval]", "day"),
            ("recurring[interval_count]", "30"),
        ];
        assert_eq!(form.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>(), expected);
        let once = made(1_500, "USD", Interval::Days(30), false).unwrap_or_else(|error| panic!("{error:?}"));
        assert!(once.form("estates-starter").iter().all(|(name, _)| !name.starts_with("recurring")));
    }
}
