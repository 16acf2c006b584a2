//! API Gateway's question before a route of the SaaS, and our answer: the Lambda authorizer of an HTTP API, with payload
//! format 2.0 and simple responses.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html>
//!
//! A route *asks* for a feature or a limit. It says so in a stage variable of its API, which its authorizer names among the
//! identity sources beside the `Authorization` header: no request can say another thing, and API Gateway never gives one
//! customer the answer that it remembers of another.

use crate::identity::{Caller, Unverified};
use crate::sqs::chain;
use crate::view;
use billing::entitlement::Reason;
use billing::id::{CustomerId, FeatureId, PlanId};
use billing::ports::StoreError;
use billing::workflow::Entitled;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

/// A request for a route, as far as we read it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    #[serde(rename = "routeKey")]
    key: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The values of the sources, which are also what answers are remembered by.
    identity_source: Option<Vec<String>>,
    stage_variables: Option<BTreeMap<String, String>>,
    query_string_parameters: Option<BTreeMap<String, String>>,
}

/// Why a route is not opened.
#[derive(Debug)]
pub enum Closed {
    /// For the log alone: whoever called is told 403 by API Gateway and nothing else.
    Denied(String),
    /// Nobody knows: API Gateway answers 500 and does not remember it.
    Failed(Box<dyn Error + Send + Sync>),
}

/// What API Gateway is told: the context of a route that is opened, or that it stays closed.
pub fn answer(route: &Route, opened: Result<Value, Closed>) -> Result<Value, Box<dyn Error + Send + Sync>> {
    match opened {
        Ok(context) => Ok(json!({ "isAuthorized": true, "context": context })),
        Err(Closed::Denied(why)) => {
            tracing::info!(route = route.key, why, "route stays closed");
            Ok(json!({ "isAuthorized": false }))
        }
        Err(Closed::Failed(error)) => {
            tracing::error!(route = route.key, cause = chain(&*error), "nobody can tell whether a route is open");
            Err(error)
        }
    }
}

/// What a route asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    name: FeatureId,
    /// What is not metered at all is no limit that something is left of.
    metered: bool,
}

impl Route {
    /// The one value of the `Authorization` header.
    pub fn authorization(&self) -> Result<&str, Closed> {
        let mut values = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Ok(value),
            (Some(_), Some(_)) | (None, _) => Err(denied("there is no token, or more than one")),
        }
    }

    pub fn asked(&self) -> Result<Asked, Closed> {
        let authorization = self.authorization()?;
        let sources = self.identity_source.as_deref().unwrap_or_default();
        if !sources.iter().any(|it| it == authorization) {
            return Err(denied("the Authorization header is not among the authorizer's identity sources"));
        }
        let mut rest = sources.iter().filter(|it| *it != authorization && **it != self.key);
        let (Some(source), None) = (rest.next(), rest.next()) else {
            return Err(denied("the authorizer's identity sources are not a token and one stage variable"));
        };
        // Said by the request as well, it may be the request's word that API Gateway passes on.
        let mut said = self.headers.values().chain(self.query_string_parameters.iter().flat_map(BTreeMap::values));
        if said.any(|value| value == source) {
            return Err(denied("the request says itself what it asks for"));
        }
        let declared = self.stage_variables.as_ref().is_some_and(|it| it.values().any(|value| value == source));
        let asked = Asked::read(source).filter(|_| declared);
        asked.ok_or_else(|| denied("the stage variable is not feature= or limit= and the id of one"))
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").field("key", &self.key).finish_non_exhaustive() // the rest has the token
    }
}

impl Asked {
    fn read(text: &str) -> Option<Self> {
        let (word, name) = text.split_once('=')?;
        let metered = match word {
            "feature" => false,
            "limit" => true,
            _ => return None,
        };
        Some(Self { name: FeatureId::try_from(name.to_owned()).ok()?, metered })
    }

    /// What the code behind the route reads, if `found` is enough to open it. What does not apply is left out.
    pub fn context(&self, caller: &Caller, found: Option<Entitled>) -> Result<Value, Closed> {
        let Entitled { subscription, entitlements, .. } = found.ok_or_else(|| not_entitled(Reason::NoSubscription))?;
        let asked = entitlements.get(&self.name).filter(|it| !self.metered || it.standing.is_some());
        let asked = asked.ok_or_else(|| not_entitled(Reason::NotInPlan))?;
        if let Some(reason) = asked.reason {
            return Err(not_entitled(reason));
        }
        let on = |name: &FeatureId| entitlements.get(name).is_some_and(|it| it.reason.is_none());
        let standing = asked.standing.as_ref();
        let context = Context {
            customer: &caller.customer,
            plan: &subscription.order.plan.id,
            status: view::status(&subscription),
            features: subscription.order.features().into_keys().filter(on).collect(),
            used: standing.map(|it| it.used),
            reserved: standing.map(|it| it.reserved).filter(|reserved| *reserved > 0),
            limit: standing.and_then(|it| it.limit.into()),
            remaining: standing.and_then(|it| it.remaining),
        };
        serde_json::to_value(context).map_err(|error| Closed::Failed(error.into()))
    }
}

#[derive(Serialize)]
struct Context<'a> {
    customer: &'a CustomerId,
    plan: &'a PlanId,
    status: &'static str,
    /// Those that are on.
    features: Vec<FeatureId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
}

fn not_entitled(reason: Reason) -> Closed {
    denied(format!("not entitled: {}", json!(reason).as_str().unwrap_or_default()))
}

fn denied(why: impl Into<String>) -> Closed {
    Closed::Denied(why.into())
}

impl From<Unverified> for Closed {
    fn from(unverified: Unverified) -> Self {
        match unverified {
            Unverified::Refused(problem) => denied(problem.detail()),
            Unverified::NoKeys(error) => Self::Failed(error.into()),
        }
    }
}

impl From<StoreError> for Closed {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::entitlement::{Usage, entitlements};
    use billing::subscription::{CancelReason, Event, Subscription};
    use billing::testing::{active, customer, instant, meter, order};

    const TOKEN: &str = "Bearer a.b.c";

    /// A request for `POST /calls`, whose authorizer has these sources.
    fn route(sources: &[&str]) -> Route {
        let event = json!({
            "version": "2.0", "type": "REQUEST", "routeKey": "POST /calls", "identitySource": sources,
            "headers": {"authorization": TOKEN, "x-feature": "feature=free"},
            "stageVariables": {"sip_calling": "feature=sip_calling", "users": "limit=users", "api": "https://example.com"},
        });
        serde_json::from_value(event).unwrap_or_else(|error| panic!("{error}"))
    }

    fn asked(route: &Route) -> Result<String, String> {
        match route.asked() {
            Ok(asked) => Ok(format!("{} {}", asked.name, asked.metered)),
            Err(Closed::Denied(why)) => Err(why),
            Err(Closed::Failed(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn a_route_asks_for_what_its_stage_variable_says() {
        assert_eq!(asked(&route(&[TOKEN, "feature=sip_calling", "POST /calls"])).as_deref(), Ok("sip_calling false"));
        assert_eq!(asked(&route(&["POST /calls", "limit=users", TOKEN])).as_deref(), Ok("users true"));
        // The feature is among what answers are remembered by, so the route need not be.
        assert_eq!(asked(&route(&[TOKEN, "limit=users"])).as_deref(), Ok("users true"));
    }

    #[test]
    fn a_route_that_asks_for_nothing_or_for_what_a_request_could_say_stays_closed() {
        for sources in [
            &[][..],
            &[TOKEN],
            &[TOKEN, "POST /calls"],
            // Answers would be remembered for everyone.
            &["feature=sip_calling", "POST /calls"],
            &["Bearer x.y.z", "feature=sip_calling", "POST /calls"],
            // Not a stage variable's: of a header or a query.
            &[TOKEN, "feature=free", "POST /calls"],
            &[TOKEN, "feature=free", "feature=sip_calling", "POST /calls"],
            &[TOKEN, "feature=sip_calling", "limit=users", "POST /calls"],
            &[TOKEN, "https://example.com", "POST /calls"],
        ] {
            assert!(asked(&route(sources)).is_err(), "{sources:?}");
        }
        let mut silent = route(&[TOKEN, "feature=sip_calling"]);
        silent.stage_variables = None;
        assert!(asked(&silent).is_err());
        silent.identity_source = None;
        assert!(asked(&silent).is_err());
    }

    #[test]
    fn a_request_that_says_itself_what_it_asks_for_opens_nothing() {
        // Declared for another route of the same API, and passed on by an authorizer that reads a header.
        let mut chosen = route(&[TOKEN, "limit=users"]);
        assert!(asked(&chosen).is_ok());
        chosen.headers.insert("x-feature".to_owned(), "limit=users".to_owned());
        assert!(asked(&chosen).is_err());
        chosen.headers.remove("x-feature");
        chosen.query_string_parameters = Some([("feature".to_owned(), "limit=users".to_owned())].into());
        assert!(asked(&chosen).is_err());
    }

    #[test]
    fn what_is_asked_for_is_a_word_and_the_name_of_something() {
        for text in [
            "sip_calling",
            "plan=pro",
            "feature=",
            "feature",
            "feature=Sip",
            "feature=a=b",
            "feature=a,b",
            "=a",
            "Feature=a",
        ] {
            assert_eq!(Asked::read(text), None, "{text}");
        }
    }

    #[test]
    fn s16_exactly_one_header_has_the_token() {
        let mut route = route(&[TOKEN, "limit=users"]);
        route.headers.insert("Authorization".to_owned(), "Bearer x.y.z".to_owned());
        assert!(route.authorization().is_err() && asked(&route).is_err());
        route.headers.clear();
        assert!(route.authorization().is_err() && asked(&route).is_err());
    }

    /// What the code behind a route that asks so sees, or why it is not called: of a customer of minutes-pro.
    fn seen(subscription: Subscription, text: &str, used: u64) -> Result<Value, String> {
        seen_holding(subscription, text, used, 0)
    }

    fn seen_holding(subscription: Subscription, text: &str, used: u64, reserved: u64) -> Result<Value, String> {
        let asked = Asked::read(text).unwrap_or_else(|| panic!("{text}"));
        let [usage, reserved]: [Usage; 2] = [used, reserved].map(|value| [(meter("minutes"), value)].into());
        let entitlements = entitlements(&subscription, &usage, &reserved, 0, instant("2025-02-01T10:00:00Z"));
        told(&asked, Some(Entitled { subscription, entitlements, holds_for: None }))
    }

    fn told(asked: &Asked, found: Option<Entitled>) -> Result<Value, String> {
        match asked.context(&Caller { customer: customer(), email: None, time_zone: None }, found) {
            Ok(context) => Ok(context),
            Err(Closed::Denied(why)) => Err(why),
            Err(Closed::Failed(error)) => panic!("{error}"),
        }
    }

    fn pro() -> Subscription {
        Subscription { order: order("minutes-pro"), ..active() }
    }

    #[test]
    fn the_code_behind_a_route_reads_whose_plan_it_is_and_what_is_left() {
        let shown =
            json!({"customer": customer(), "plan": "minutes-pro", "status": "active", "features": ["analytics"]});
        assert_eq!(seen(pro(), "feature=analytics", 0), Ok(shown.clone()));
        let mut metered = shown;
        (metered["used"], metered["limit"], metered["remaining"]) = (json!(150), json!(3_000), json!(2_850));
        assert_eq!(seen(pro(), "limit=minutes", 150), Ok(metered.clone()));
        assert_eq!(seen(pro(), "feature=minutes", 150), Ok(metered.clone()));
        (metered["reserved"], metered["remaining"]) = (json!(2_849), json!(1));
        assert_eq!(seen_holding(pro(), "limit=minutes", 150, 2_849), Ok(metered));
        assert_eq!(seen_holding(pro(), "limit=minutes", 150, 2_850), Err("not entitled: limit_reached".to_owned()));
        let unlimited = Subscription { order: order("estates-enterprise"), ..active() };
        let context = seen(unlimited, "limit=estates", 0).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!((&context["used"], context.get("limit"), context.get("remaining")), (&json!(0), None, None));
    }

    #[test]
    fn a_plan_that_brings_tokens_opens_routes_while_there_are_some() {
        let mut prepaid = pro();
        prepaid.order.plan.tokens_included = Some(1_000);
        let seen = |tokens| {
            let now = instant("2025-02-01T10:00:00Z");
            let entitlements = entitlements(&prepaid, &Usage::new(), &Usage::new(), tokens, now);
            let found = Entitled { subscription: prepaid.clone(), entitlements, holds_for: None };
            ["feature=analytics", "limit=minutes"].map(|text| {
                let asked = Asked::read(text).unwrap_or_else(|| panic!("{text}"));
                told(&asked, Some(found.clone())).err()
            })
        };
        assert_eq!(seen(1), [None, None]);
        assert_eq!(seen(0), [const { Some("not entitled: out_of_tokens") }; 2].map(|why| why.map(str::to_owned)));
    }

    #[test]
    fn only_an_answer_opens_a_route_and_what_is_not_known_is_none() {
        let route = route(&[TOKEN, "limit=users"]);
        let said = |opened| answer(&route, opened).map_err(|error| error.to_string());
        assert_eq!(said(Ok(json!({"plan": "p"}))), Ok(json!({"isAuthorized": true, "context": {"plan": "p"}})));
        assert_eq!(said(Err(denied("it is closed"))), Ok(json!({"isAuthorized": false})));
        let down = StoreError::Unavailable("no connection".into());
        assert!(said(Err(down.into())).is_err_and(|error| error.contains("the store is unavailable")));
    }

    #[test]
    fn a_route_stays_closed_to_whoever_is_not_entitled() {
        let canceled = Event::Canceled { at: instant("2025-02-01T09:00:00Z"), reason: CancelReason::Requested };
        for (subscription, text, used, reason) in [
            (pro(), "feature=api_access", 0, "not_in_plan"),
            (pro(), "feature=never-heard-of", 0, "not_in_plan"),
            (pro(), "limit=analytics", 0, "not_in_plan"),
            (pro(), "limit=minutes", 3_000, "limit_reached"),
            (pro().apply(&Event::Paused { at: instant("2025-02-01T09:00:00Z") }), "feature=analytics", 0, "suspended"),
            (pro().apply(&canceled), "feature=analytics", 0, "no_subscription"),
        ] {
            assert_eq!(seen(subscription, text, used), Err(format!("not entitled: {reason}")), "{text}");
        }
        let asked = Asked::read("feature=analytics").unwrap_or_else(|| panic!("none"));
        assert_eq!(told(&asked, None), Err("not entitled: no_subscription".to_owned()));
    }
}
