//! A plan that billing staff give to a customer: the body of `POST /admin/customers/{customer}/subscription`, and a row of
//! `POST /admin/assignments`, which names the customer itself.

use crate::http::Problem;
use crate::imports::contact;
use crate::interventions::comp;
use billing::calendar::Interval;
use billing::calendar::zone::Zone;
use billing::discount::Discount;
use billing::id::{CustomerId, PlanId};
use billing::money::Currency;
use billing::payment::Gateway;
use billing::workflow::{Changed, Subscribe};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    customer: Option<CustomerId>,
    plan: PlanId,
    interval: Option<Interval>,
    currency: Option<Currency>,
    quantity: Option<u32>,
    time_zone: Option<Zone>,
    /// Where the customer is written to, and where they pay when they are asked to by mail.
    email: Option<String>,
    gateway: Option<Gateway>,
    comp: Option<Comp>,
}

/// What is taken off the periods to come, the first among them.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Comp {
    percent: u8,
    /// Null: all that come. It is to be said.
    #[serde(deserialize_with = "Option::deserialize")]
    periods: Option<u32>,
}

impl Assignment {
    /// What is to be done for the customer whom the row names.
    pub fn of_row(self, return_urls: &[String]) -> Result<Subscribe, Problem> {
        match self.customer.clone() {
            Some(customer) => self.wanted(customer, return_urls),
            None => Err(Problem::invalid("customer", "is needed in each row")),
        }
    }

    /// What is to be done for `customer`, whom the path names.
    pub fn of(self, customer: CustomerId, return_urls: &[String]) -> Result<Subscribe, Problem> {
        match self.customer {
            None => self.wanted(customer, return_urls),
            Some(_) => Err(Problem::invalid("customer", "is in the path, and not taken here")),
        }
    }

    fn wanted(self, customer: CustomerId, return_urls: &[String]) -> Result<Subscribe, Problem> {
        if self.quantity == Some(0) {
            return Err(Problem::invalid("quantity", "is at least 1"));
        }
        if self.gateway.is_some() && self.email.is_none() {
            return Err(Problem::invalid("gateway", "is only of use with `email`"));
        }
        let contact = contact(self.email, self.gateway, return_urls)?;
        let (plan, interval, currency, quantity) = (self.plan, self.interval, self.currency, self.quantity);
        let comp = match self.comp {
            None => None,
            Some(Comp { percent, periods }) => {
                let (percent, periods) = comp(percent, periods, "comp.")?;
                Some(Discount::comp(percent, periods))
            }
        };
        Ok(Subscribe {
            customer,
            contact,
            plan,
            interval,
            currency,
            quantity,
            coupon: None,
            comp,
            time_zone: self.time_zone,
            preview: None,
        })
    }
}

/// Whether what was to be paid at once has no outcome yet.
pub fn is_awaited(changed: &Changed) -> bool {
    changed.payment.as_ref().is_some_and(|payment| payment.paid().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::customer;

    fn read(text: &str) -> Assignment {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_row_names_its_customer_and_a_path_needs_no_row_to_do_so() {
        let field = |wanted: Result<Subscribe, Problem>| wanted.map(|it| it.customer).map_err(|problem| problem.field);
        let (with, without) = (r#"{"customer":"acme","plan":"crm-basic"}"#, r#"{"plan":"crm-basic"}"#);
        assert_eq!(field(read(with).of_row(&[])), Ok(customer()));
        assert_eq!(field(read(without).of(customer(), &[])), Ok(customer()));
        assert_eq!(field(read(without).of_row(&[])), Err(Some("customer".to_owned())));
        assert_eq!(field(read(with).of(customer(), &[])), Err(Some("customer".to_owned())));
    }

    #[test]
    fn for_how_long_something_is_given_is_not_left_open() {
        let read = |comp: &str| serde_json::from_str::<Assignment>(&format!(r#"{{"plan":"crm-basic","comp":{comp}}}"#));
        assert!(read(r#"{"percent":100,"periods":null}"#).is_ok() && read(r#"{"percent":100,"periods":3}"#).is_ok());
        assert!(read(r#"{"percent":100}"#).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_its_name() {
        let cases = [
            (r#"{"plan":"crm-basic","quantity":0}"#, "quantity"),
            (r#"{"plan":"crm-basic","gateway":"stripe"}"#, "gateway"),
            (r#"{"plan":"crm-basic","email":"billing@acme.example"}"#, "gateway"),
            (r#"{"plan":"crm-basic","email":"acme","gateway":"stripe"}"#, "email"),
            (r#"{"plan":"crm-basic","comp":{"percent":0,"periods":null}}"#, "comp.percent"),
            (r#"{"plan":"crm-basic","comp":{"percent":100,"periods":0}}"#, "comp.periods"),
        ];
        for (text, expected) in cases {
            let field = read(text).of(customer(), &[]).map_err(|problem| problem.field);
            assert_eq!(field.err().flatten().as_deref(), Some(expected), "{text}");
        }
    }
}
