//! Whose rules a case is answered by, where billing systems differ.
//!
//! A case says so in its `policy`, by a name such as `stripe-like`; else the system that it was taken from does, and
//! else they are the product's own. By a name that is not listed here a case is skipped; a sentence that is not is a
//! remark, and names nobody.

use serde_json::Value;

/// The systems whose rules are told apart. Where an operation asks nothing of these, none is known to differ there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// The product's own.
    Ours,
    Autumn,
    Flexprice,
    /// Its billing by the calendar, which is beside that from an anchor.
    FlexpriceCalendar,
    GooglePlay,
    KillBill,
    Lago,
    Meteroid,
    OpenMeter,
    Polar,
    Samsung,
    Stripe,
}

/// What each is called before `-like`, and how the addresses begin that its cases are taken from.
const SYSTEMS: [(&str, Rules, &[&str]); 11] = [
    ("autumn", Rules::Autumn, &["useautumn/", "docs.useautumn.com", "useautumn.com"]),
    ("flexprice", Rules::Flexprice, &["flexprice/", "docs.flexprice.io", "flexprice.io"]),
    ("google-play", Rules::GooglePlay, &["developer.android.com/google/play", "support.google.com/googleplay"]),
    ("killbill", Rules::KillBill, &["killbill/", "docs.killbill.io", "killbill.io"]),
    ("lago", Rules::Lago, &["getlago/", "docs.getlago.com", "getlago.com"]),
    ("meteroid", Rules::Meteroid, &["meteroid-oss/", "docs.meteroid.com", "meteroid.com"]),
    ("openmeter", Rules::OpenMeter, &["openmeterio/", "docs.openmeter.io", "openmeter.io"]),
    ("perennial", Rules::Ours, &["perennial"]),
    ("polar", Rules::Polar, &["polarsource/", "docs.polar.sh", "polar.sh"]),
    ("samsung", Rules::Samsung, &["developer.samsung.com"]),
    ("stripe", Rules::Stripe, &["stripe/", "docs.stripe.com", "support.stripe.com", "stripe.com"]),
];

/// Words that name the rules of one operation, or of a few.
const RULES: [(&str, Rules, &[&str]); 7] = [
    (
        "calendar-aligned to bill_cycle_day; partial period = days / days-in-full-period; 9 dp HALF_UP",
        Rules::KillBill,
        &["billing_cycles_to_charge"],
    ),
    ("calendar-billing policy", Rules::FlexpriceCalendar, &["next_billing_date"]),
    ("inclusive day count, whole-period denominator", Rules::Lago, &["terminate_arrears"]),
    ("INSTANT_PRORATED_DATE", Rules::Samsung, &["convert_credit_to_days"]),
    ("Lago closed interval [from, to 23:59:59]", Rules::Lago, &["billing_period_bounds", "billing_period_bounds_list"]),
    ("period end INCLUSIVE", Rules::Flexprice, &["plan_change", "plan_change_inclusive_end"]),
    ("WITH_TIME_PRORATION", Rules::GooglePlay, &["convert_credit_to_days"]),
];

/// Names that tell no rules apart.
const REMARKS: [&str; 2] = ["acceptance", "universal"];

pub(crate) const UNKNOWN: &str = "no rules of this operation go by that name; systems are autumn-like, \
    flexprice-like, google-play-like, killbill-like, lago-like, meteroid-like, openmeter-like, perennial-like, \
    polar-like, samsung-like, stripe-like";

/// Whose rules are meant by a case of `op`. None: its policy is none that is known for that.
pub(crate) fn meant(policy: Option<&str>, source: &Value, op: &str) -> Option<Rules> {
    let Some(policy) = policy else { return Some(of_source(source)) };
    let words = without_explanation(policy);
    let is = |known: &str| words.eq_ignore_ascii_case(known);
    let system = || SYSTEMS.iter().find(|(name, ..)| is(&format!("{name}-like"))).map(|(_, rules, _)| *rules);
    let named = || RULES.iter().find(|(known, _, ops)| is(known) && ops.contains(&op)).map(|(_, rules, _)| *rules);
    // A sentence is for people, unless it names a system or the rules of another operation.
    let is_rules = || words.contains("-like") || RULES.iter().any(|(known, ..)| is(known));
    let is_remark = || REMARKS.iter().any(|known| is(known)) || (words.contains(' ') && !is_rules());
    let remark = || is_remark().then(|| of_source(source));
    system().or_else(named).or_else(remark)
}

/// What follows a colon, or stands in brackets, is for people.
fn without_explanation(policy: &str) -> &str {
    policy.split(" (").next().and_then(|words| words.split(": ").next()).unwrap_or(policy).trim()
}

fn of_source(source: &Value) -> Rules {
    let told = ["repo", "url"].iter().filter_map(|at| source.get(at)).filter_map(Value::as_str);
    let mut addresses = told.map(|address| {
        let address = address.trim_start_matches("https://").trim_start_matches("http://").trim_start_matches("www.");
        address.trim_start_matches("github.com/").to_ascii_lowercase()
    });
    let system = |address: String| {
        SYSTEMS
            .iter()
            .find(|(.., begin)| begin.iter().any(|begin| address.starts_with(begin)))
            .map(|(_, rules, _)| *rules)
    };
    addresses.find_map(system).unwrap_or(Rules::Ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_system_is_named_by_the_policy_or_by_where_the_case_was_taken_from() {
        let cases = [
            (None, json!(null), Some(Rules::Ours)),
            (None, json!({ "seed": 4 }), Some(Rules::Ours)),
            (None, json!({ "repo": "polarsource/polar" }), Some(Rules::Polar)),
            (None, json!({ "url": "https://docs.stripe.com/currencies" }), Some(Rules::Stripe)),
            (None, json!({ "url": "https://github.com/killbill/killbill/issues/127" }), Some(Rules::KillBill)),
            // Someone else, about them.
            (None, json!({ "url": "https://dev.to/shannonllc/stripe-webhooks-retries" }), Some(Rules::Ours)),
            (None, json!({ "url": "https://hexdocs.pm/tiger_stripe/webhooks.html" }), Some(Rules::Ours)),
            (Some("universal"), json!({ "repo": "polarsource/polar" }), Some(Rules::Polar)),
            (Some("stripe-like"), json!({ "repo": "polarsource/polar" }), Some(Rules::Stripe)),
            (Some("Stripe-like (its default)"), json!(null), Some(Rules::Stripe)),
            (Some("killbill-like: counted back from 28 February"), json!(null), Some(Rules::KillBill)),
            (Some("perennial-like"), json!({ "repo": "polarsource/polar" }), Some(Rules::Ours)),
            (Some("bogus-like"), json!({ "repo": "polarsource/polar" }), None),
            (Some("stripe"), json!(null), None),
            (Some("not stripe-like"), json!(null), None),
            (Some(""), json!(null), None),
            (Some("WITH_TIME_PRORATION"), json!(null), None),
            (Some("calendar-billing policy (vendor-specific)"), json!(null), None),
            (Some("half-up to the minor unit"), json!({ "repo": "polarsource/polar" }), Some(Rules::Polar)),
            (Some("as bogus-like systems do"), json!({ "repo": "polarsource/polar" }), None),
        ];
        for (policy, source, rules) in cases {
            assert_eq!(meant(policy, &source, "retry_schedule"), rules, "{policy:?} {source}");
        }
        let ours = json!({ "repo": "perennial" });
        assert_eq!(meant(Some("with_time_proration"), &ours, "convert_credit_to_days"), Some(Rules::GooglePlay));
    }

    #[test]
    fn whoever_names_an_unknown_one_is_told_all_that_there_are() {
        for (name, ..) in SYSTEMS {
            assert!(UNKNOWN.contains(&format!(" {name}-like")), "{name}");
        }
        assert_eq!(UNKNOWN.matches("-like").count(), SYSTEMS.len());
    }
}
