//! What a customer asks to change: the one body of `POST /subscription/changes` and
//! `POST /subscription/preview`, and the wish or command that it is. Whether that
//! may be had, and what it costs, is the domain's to say.

use crate::http::Problem;
use billing::calendar::Interval;
use billing::id::{CustomerId, PlanId};
use billing::subscription::{Action, Command, Effective, PreviewId};
use billing::workflow::Wish;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRequest {
    action: Asked,
    plan: Option<PlanId>,
    quantity: Option<NonZeroU32>,
    interval: Option<Interval>,
    effective: Option<Effective>,
    confirm: Option<bool>,
    preview: Option<PreviewId>,
}

/// Every action that the API has a name for, those that it does not offer yet among them.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    Upgrade,
    Downgrade,
    ChangeSeats,
    ChangeInterval,
    Cancel,
    Resume,
    Subscribe,
    Pause,
    Unpause,
    AddAddon,
    RemoveAddon,
}

#[derive(Debug)]
pub enum Wanted {
    /// Another order, which may cost something.
    Change(Wish),
    /// What costs nothing.
    Command(Command),
}

impl ChangeRequest {
    /// What `customer` wants, if the request says all that its action takes, and nothing else.
    pub fn wanted(self, customer: CustomerId) -> Result<Wanted, Problem> {
        match self.action {
            Asked::Upgrade => self.wish(Action::Upgrade, customer),
            Asked::Downgrade => self.wish(Action::Downgrade, customer),
            Asked::ChangeSeats => self.wish(Action::ChangeSeats, customer),
            Asked::ChangeInterval => self.wish(Action::ChangeInterval, customer),
            Asked::Cancel => {
                self.says(&["effective"], &[])?;
                Ok(Wanted::Command(match self.effective()? {
                    Effective::Now => Command::CancelNow,
                    Effective::PeriodEnd => Command::CancelAtPeriodEnd,
                }))
            }
            Asked::Resume => {
                self.says(&[], &[])?;
                Ok(Wanted::Command(Command::Resume))
            }
            Asked::Subscribe => Err(Problem::invalid("action", "who has no plan buys one: POST /payments")),
            Asked::Pause | Asked::Unpause | Asked::AddAddon | Asked::RemoveAddon => {
                Err(Problem::invalid("action", "this action is not offered yet"))
            }
        }
    }

    fn wish(self, action: Action, customer: CustomerId) -> Result<Wanted, Problem> {
        match action {
            Action::Upgrade => self.says(&["plan", "effective"], &["quantity", "interval", "preview"])?,
            Action::Downgrade => self.says(&["plan", "effective"], &["quantity", "interval", "confirm", "preview"])?,
            Action::ChangeSeats => self.says(&["quantity", "effective"], &["preview"])?,
            Action::ChangeInterval => self.says(&["interval", "effective"], &["quantity", "preview"])?,
        }
        Ok(Wanted::Change(Wish {
            customer,
            action,
            effective: self.effective()?,
            plan: self.plan,
            interval: self.interval,
            quantity: self.quantity.map(NonZeroU32::get),
            confirm: self.confirm.unwrap_or(false),
            preview: self.preview,
        }))
    }

    /// Whether all of `needs` is there, and nothing besides but what is in `takes`.
    fn says(&self, needs: &[&str], takes: &[&str]) -> Result<(), Problem> {
        let given = [
            ("plan", self.plan.is_some()),
            ("quantity", self.quantity.is_some()),
            ("interval", self.interval.is_some()),
            ("effective", self.effective.is_some()),
            ("confirm", self.confirm.is_some()),
            ("preview", self.preview.is_some()),
        ];
        for (field, given) in given {
            match given {
                false if needs.contains(&field) => return Err(needed(field)),
                true if !needs.contains(&field) && !takes.contains(&field) => {
                    return Err(Problem::invalid(field, "this action does not take it"));
                }
                true | false => {}
            }
        }
        Ok(())
    }

    fn effective(&self) -> Result<Effective, Problem> {
        self.effective.ok_or_else(|| needed("effective"))
    }
}

fn needed(field: &str) -> Problem {
    Problem::invalid(field, "this action needs it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::customer;

    fn wanted(text: &str) -> Result<Wanted, (u16, Option<String>)> {
        let request: ChangeRequest = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        request.wanted(customer()).map_err(|problem| (problem.status.as_u16(), problem.field))
    }

    #[test]
    fn each_action_takes_its_own_fields_and_no_others() {
        let cases = [
            (r#"{"action":"upgrade","effective":"now"}"#, "plan"),
            (r#"{"action":"upgrade","plan":"crm-basic"}"#, "effective"),
            (r#"{"action":"upgrade","plan":"crm-basic","effective":"now","confirm":true}"#, "confirm"),
            (r#"{"action":"downgrade","plan":"crm-basic","confirm":true}"#, "effective"),
            (r#"{"action":"change_seats","effective":"now"}"#, "quantity"),
            (r#"{"action":"change_seats","quantity":2,"effective":"now","plan":"crm-basic"}"#, "plan"),
            (r#"{"action":"change_seats","quantity":2,"effective":"now","interval":"year"}"#, "interval"),
            (r#"{"action":"change_interval","quantity":2,"effective":"now"}"#, "interval"),
            (r#"{"action":"change_interval","interval":"year","effective":"now","plan":"crm-basic"}"#, "plan"),
            (r#"{"action":"cancel"}"#, "effective"),
            (r#"{"action":"cancel","effective":"now","plan":"crm-basic"}"#, "plan"),
            (r#"{"action":"cancel","effective":"now","quantity":1}"#, "quantity"),
            (r#"{"action":"resume","effective":"now"}"#, "effective"),
            (r#"{"action":"resume","confirm":false}"#, "confirm"),
            (r#"{"action":"subscribe","plan":"crm-basic"}"#, "action"),
            (r#"{"action":"pause"}"#, "action"),
            (r#"{"action":"unpause"}"#, "action"),
            (r#"{"action":"add_addon"}"#, "action"),
            (r#"{"action":"remove_addon"}"#, "action"),
        ];
        for (text, field) in cases {
            match wanted(text) {
                Err(refused) => assert_eq!(refused, (422, Some(field.to_owned())), "{text}"),
                Ok(wanted) => panic!("{text}: {wanted:?}"),
            }
        }
    }

    #[test]
    fn what_is_not_named_is_left_to_stay_as_it_is_and_nothing_is_confirmed_by_silence() {
        let text = r#"{"action":"downgrade","plan":"crm-basic","effective":"period_end"}"#;
        let Ok(Wanted::Change(wish)) = wanted(text) else { panic!("a change") };
        assert_eq!((wish.action, wish.effective, wish.confirm), (Action::Downgrade, Effective::PeriodEnd, false));
        assert_eq!((wish.interval, wish.quantity, wish.preview), (None, None, None));
    }

    #[test]
    fn cancel_ends_when_it_says_and_resume_takes_back() {
        let command = |text| match wanted(text) {
            Ok(Wanted::Command(command)) => command,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(command(r#"{"action":"cancel","effective":"now"}"#), Command::CancelNow);
        assert_eq!(command(r#"{"action":"cancel","effective":"period_end"}"#), Command::CancelAtPeriodEnd);
        assert_eq!(command(r#"{"action":"resume"}"#), Command::Resume);
    }
}
