//! When what was not paid is asked for again.

use super::amounts::unnamed;
use super::interval::midnight;
use super::{Answer, Op};
use crate::cases::{Case, Refusal};
use crate::policy::Rules;
use billing::dunning::campaign::{Attempt, Campaign, Owed, due};
use billing::dunning::ladder::{AfterLast, DunningPolicy, Ladder};
use billing::dunning::{Dunning, Failure};
use billing::money::{Currency, Money};
use billing::outcome::{Decline, Remedy};
use billing::testing::{method, off_session_payment};
use billing::trial;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(crate) const OPS: &[(&str, Op)] = &[
    ("defaults", defaults),
    ("dunning_campaign", dunning_campaign),
    ("dunning_campaign_multi", dunning_campaign_multi),
    ("retry_policy_default", retry_policy_default),
    ("retry_schedule", retry_schedule),
    ("should_retry", should_retry),
];

fn defaults(_: &Case) -> Answer {
    let ladder = Ladder::default();
    let grace_h = match ladder.then {
        AfterLast::Grace { hours } => hours,
        AfterLast::Stop | AfterLast::Revoke => 0,
    };
    Ok(json!({
        "TRIAL_PERIOD_DAYS": trial::DEFAULT_DAYS,
        "GRACE_PERIOD_DAYS": grace_h / 24,
        "MAX_PAYMENT_RETRIES": ladder.retries(),
    }))
}

fn retry_policy_default(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        provider: Provider,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Provider {
        StripeSmart,
        Perennial,
    }
    let Input { provider } = case.input()?;
    let ladder = match provider {
        Provider::StripeSmart => Ladder::stripe_like(),
        Provider::Perennial => Ladder::default(),
    };
    Ok(json!({ "max_retries": ladder.retries(), "window_days": ladder.window().as_hours() / 24 }))
}

fn retry_schedule(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        failed_at: Date,
        ladder_days: Vec<u8>,
    }
    let Input { failed_at, ladder_days } = case.input()?;
    let ours = Ladder::default().then;
    let then = match case.rules() {
        Rules::Ours => Some(ours),
        Rules::Polar => Some(AfterLast::Revoke),
        // A campaign of Lago's ends with its last attempt, and nothing follows from it.
        Rules::Lago | Rules::Meteroid => Some(AfterLast::Stop),
        Rules::Stripe => Some(Ladder::stripe_like().then),
        Rules::Autumn
        | Rules::Flexprice
        | Rules::FlexpriceCalendar
        | Rules::GooglePlay
        | Rules::KillBill
        | Rules::OpenMeter
        | Rules::Samsung => None,
    };
    let date = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    let times = Ladder::of_days(&ladder_days, then.unwrap_or(ours)).times(midnight("failed_at", failed_at)?);
    let attempts: Vec<_> = times.into_iter().map(date).collect();
    let then = match then {
        Some(AfterLast::Grace { .. }) => "grace",
        Some(AfterLast::Stop) => "stop",
        Some(AfterLast::Revoke) => "revoke",
        None => {
            let reason =
                "what this system does after the last retry is not known here (`then`); the rest is as expected";
            return Err(Refusal::untold_beside(json!({ "attempts": attempts }), reason));
        }
    };
    Ok(json!({ "attempts": attempts, "then": then }))
}

/// Whether anything is charged again after a charge that failed for any of these reasons.
fn should_retry(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        reasons: Vec<Reason>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Reason {
        #[serde(alias = "detached_account")]
        NoPaymentMethod,
        HardDecline,
        #[serde(alias = "insufficient_funds")]
        SoftDecline,
        AuthenticationRequired,
    }
    let Input { reasons } = case.input()?;
    let method = method("pm_1").id();
    let left = match reasons.iter().any(|reason| matches!(reason, Reason::NoPaymentMethod)) {
        true => vec![],
        false => vec![method.clone()],
    };
    let remedy = |reason: &Reason| match reason {
        Reason::NoPaymentMethod => None,
        Reason::HardDecline => Some(Remedy::NewMethod),
        Reason::SoftDecline => Some(Remedy::RetryLater),
        Reason::AuthenticationRequired => Some(Remedy::AskCustomer),
    };
    let (payment, now, policy) = (off_session_payment().id, Timestamp::UNIX_EPOCH, DunningPolicy::default());
    let failure = |(earlier, remedy)| {
        Failure::new(payment.clone(), Some(method.clone()), Decline::new("declined", remedy), earlier, &policy, now)
    };
    let failures: Vec<Failure> = reasons.iter().filter_map(remedy).enumerate().map(failure).collect();
    let retry = matches!(Dunning::after(&failures, &left, &policy, now), Dunning::Retry { .. });
    Ok(json!({ "retry": retry }))
}

fn dunning_campaign(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        max_attempts: u32,
        days_between: u16,
        threshold: i64,
        net_term_days: u16,
        invoices: Vec<Invoice>,
        run_days: Vec<Date>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Invoice {
        at: Date,
        amount: i64,
    }
    let Input { max_attempts, days_between, threshold, net_term_days, invoices, run_days } = case.input()?;
    let currency = unnamed();
    let thresholds = vec![Money::new(threshold, currency)];
    let campaign = Campaign { most_attempts: max_attempts, days_between, thresholds };
    let owed = |it: &Invoice| Owed { due: due(it.at, net_term_days), amount: Money::new(it.amount, currency) };
    let owed: Vec<Owed> = invoices.iter().map(owed).collect();
    let mut made = vec![];
    for today in run_days {
        made.extend(attempts(&campaign, &owed, &made, today)?);
    }
    let asked = made.first().map(|first| first.amount.minor);
    let same = asked.filter(|asked| made.iter().all(|attempt| attempt.amount.minor == *asked));
    Ok(json!({
        "due_dates": owed.iter().map(|it| it.due).collect::<Vec<_>>(),
        "overdue_from": owed.iter().map(|it| it.overdue_from()).collect::<Vec<_>>(),
        "attempts": made.iter().map(|attempt| attempt.on).collect::<Vec<_>>(),
        "requested_each": same,
    }))
}

fn dunning_campaign_multi(case: &Case) -> Answer {
    #[derive(Deserialize)]
    struct Input {
        max_attempts: u32,
        days_between: u16,
        thresholds: BTreeMap<String, i64>,
        overdue: Vec<Overdue>,
        run_days: Vec<Date>,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Overdue {
        at: Date,
        cur: Currency,
        amount: i64,
    }
    let Input { max_attempts, days_between, thresholds, overdue, run_days } = case.input()?;
    let threshold = |(code, minor): (String, i64)| {
        let currency = Currency::try_from(code).map_err(|error| Refusal::of("thresholds", error))?;
        Ok(Money::new(minor, currency))
    };
    let thresholds: Vec<Money> = thresholds.into_iter().map(threshold).collect::<Result<_, Refusal>>()?;
    let campaign = Campaign { most_attempts: max_attempts, days_between, thresholds };
    let owed = |it: &Overdue| Owed { due: it.at, amount: Money::new(it.amount, it.cur) };
    let owed: Vec<Owed> = overdue.iter().map(owed).collect();
    let (mut made, mut after, mut finished, mut events) = (vec![], Map::new(), false, 0);
    for today in run_days {
        made.extend(attempts(&campaign, &owed, &made, today)?);
        after.insert(today.to_string(), counts(&made));
        let now = campaign.is_finished(&owed, &made, today).ok_or_else(|| Refusal::of("overdue", "beyond counting"))?;
        events += u32::from(now && !finished);
        finished = now;
    }
    Ok(json!({ "attempts_after": after, "finished_events": events }))
}

fn attempts(campaign: &Campaign, owed: &[Owed], made: &[Attempt], today: Date) -> Result<Vec<Attempt>, Refusal> {
    campaign.attempts(owed, made, today).ok_or_else(|| Refusal::of("amount", "beyond counting"))
}

/// How many there were for each currency.
fn counts(made: &[Attempt]) -> Value {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for attempt in made {
        *counts.entry(attempt.amount.currency.code()).or_default() += 1;
    }
    json!(counts)
}
