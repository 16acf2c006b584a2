//! What a customer asks to change: the one body of `POST /subscription/changes` and
//! `POST /subscription/preview`, and the wish or command that it is. Whether that
//! may be had, and what it costs, is the domain's to say.

use crate::http::Problem;
use crate::identity::Caller;
use crate::return_url;
use billing::calendar::Interval;
use billing::calendar::zone::Zone;
use billing::id::{AddonId, CouponCode, CustomerId, PlanId};
use billing::mail::Contact;
use billing::money::Currency;
use billing::payment::Gateway;
use billing::subscription::{Action, Command, Effective, PreviewId};
use billing::workflow::{Subscribe, Wish};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeRequest {
    action: Asked,
    plan: Option<PlanId>,
    addon: Option<AddonId>,
    /// Of add-ons, where one is named: none may be left.
    quantity: Option<u32>,
    interval: Option<Interval>,
    currency: Option<Currency>,
    effective: Option<Effective>,
    confirm: Option<bool>,
    preview: Option<PreviewId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coupon: Option<CouponCode>,
    /// Where the customer leaves a payment method, or pays, when they are asked to by mail.
    gateway: Option<Gateway>,
    return_url: Option<String>,
    /// A request that names none is what it was before there were any: its key has the same answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    time_zone: Option<Zone>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    Subscribe,
    Upgrade,
    Downgrade,
    ChangeSeats,
    ChangeInterval,
    AddAddon,
    RemoveAddon,
    Cancel,
    Resume,
    Pause,
    Unpause,
}

#[derive(Debug)]
pub enum Wanted {
    Subscribe(Box<Subscribe>),
    /// Another order, which may cost something.
    Change(Wish),
    /// What costs nothing, as it was shown, if it was.
    Command(Command, Option<PreviewId>),
}

impl ChangeRequest {
    /// What `caller` wants, if the request says all that its action takes, and nothing else.
    pub fn wanted(self, caller: Caller, return_urls: &[String]) -> Result<Wanted, Problem> {
        match self.action {
            Asked::Subscribe => self.subscribe(caller, return_urls),
            Asked::Upgrade => self.wish(Action::Upgrade, caller.customer),
            Asked::Downgrade => self.wish(Action::Downgrade, caller.customer),
            Asked::ChangeSeats => self.wish(Action::ChangeSeats, caller.customer),
            Asked::ChangeInterval => self.wish(Action::ChangeInterval, caller.customer),
            Asked::AddAddon => self.wish(Action::AddAddon, caller.customer),
            Asked::RemoveAddon => self.wish(Action::RemoveAddon, caller.customer),
            Asked::Cancel => self.command(Command::CancelNow, Command::CancelAtPeriodEnd),
            Asked::Pause => self.command(Command::Pause, Command::PauseAtPeriodEnd),
            Asked::Resume => {
                self.says(&[], &["preview"])?;
                Ok(Wanted::Command(Command::Resume, self.preview))
            }
            Asked::Unpause => {
                self.says(&[], &["effective", "preview"])?;
                self.not_later()?;
                Ok(Wanted::Command(Command::Unpause, self.preview))
            }
        }
    }

    fn command(self, now: Command, at_period_end: Command) -> Result<Wanted, Problem> {
        self.says(&["effective"], &["preview"])?;
        let command = match self.effective()? {
            Effective::Now => now,
            Effective::PeriodEnd => at_period_end,
        };
        Ok(Wanted::Command(command, self.preview))
    }

    fn subscribe(self, caller: Caller, return_urls: &[String]) -> Result<Wanted, Problem> {
        self.says(
            &["plan"],
            &[
                "interval",
                "currency",
                "quantity",
                "coupon",
                "effective",
                "gateway",
                "return_url",
                "time_zone",
                "preview",
            ],
        )?;
        self.not_later()?;
        let quantity = self.quantity()?;
        let return_url = return_url::choose(return_urls, self.return_url)?;
        let contact = caller.email.zip(self.gateway).map(|(email, gateway)| Contact { email, gateway, return_url });
        let (customer, plan) = (caller.customer, self.plan.ok_or_else(|| needed("plan"))?);
        let (interval, currency, coupon) = (self.interval, self.currency, self.coupon);
        let time_zone = self.time_zone.or(caller.time_zone);
        Ok(Wanted::Subscribe(Box::new(Subscribe {
            customer,
            contact,
            plan,
            interval,
            currency,
            quantity,
            coupon,
            comp: None,
            time_zone,
            preview: self.preview,
        })))
    }

    fn wish(self, action: Action, customer: CustomerId) -> Result<Wanted, Problem> {
        match action {
            Action::Upgrade | Action::Downgrade => {
                self.says(&["plan", "effective"], &["quantity", "interval", "confirm", "preview"])?;
            }
            Action::ChangeSeats => self.says(&["quantity", "effective"], &["preview"])?,
            Action::ChangeInterval => self.says(&["interval", "effective"], &["quantity", "confirm", "preview"])?,
            Action::AddAddon => self.says(&["addon", "effective"], &["quantity", "preview"])?,
            Action::RemoveAddon => self.says(&["addon", "effective"], &["quantity", "confirm", "preview"])?,
        }
        let quantity = if action == Action::RemoveAddon { self.quantity } else { self.quantity()? };
        Ok(Wanted::Change(Wish {
            customer,
            action,
            effective: self.effective()?,
            plan: self.plan,
            addon: self.addon,
            interval: self.interval,
            quantity,
            confirm: self.confirm.unwrap_or(false),
            preview: self.preview,
        }))
    }

    /// Whether all of `needs` is there, and nothing besides but what is in `takes`.
    fn says(&self, needs: &[&str], takes: &[&str]) -> Result<(), Problem> {
        let given = [
            ("plan", self.plan.is_some()),
            ("addon", self.addon.is_some()),
            ("quantity", self.quantity.is_some()),
            ("interval", self.interval.is_some()),
            ("currency", self.currency.is_some()),
            ("effective", self.effective.is_some()),
            ("confirm", self.confirm.is_some()),
            ("preview", self.preview.is_some()),
            ("coupon", self.coupon.is_some()),
            ("gateway", self.gateway.is_some()),
            ("return_url", self.return_url.is_some()),
            ("time_zone", self.time_zone.is_some()),
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

    fn quantity(&self) -> Result<Option<u32>, Problem> {
        match self.quantity {
            Some(0) => Err(Problem::invalid("quantity", "is at least 1")),
            quantity => Ok(quantity),
        }
    }

    fn effective(&self) -> Result<Effective, Problem> {
        self.effective.ok_or_else(|| needed("effective"))
    }

    fn not_later(&self) -> Result<(), Problem> {
        match self.effective {
            Some(Effective::PeriodEnd) => Err(Problem::invalid("effective", "this action is done now")),
            Some(Effective::Now) | None => Ok(()),
        }
    }
}

fn needed(field: &str) -> Problem {
    Problem::invalid(field, "this action needs it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::{customer, zone};

    fn wanted(text: &str) -> Result<Wanted, (u16, Option<String>)> {
        let email = Some("billing@acme.example".to_owned());
        let caller = Caller { customer: customer(), email, time_zone: Some(zone("Africa/Lagos")) };
        let request: ChangeRequest = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        request.wanted(caller, &[]).map_err(|problem| (problem.status.as_u16(), problem.field))
    }

    #[test]
    fn each_action_takes_its_own_fields_and_no_others() {
        let cases = [
            (r#"{"action":"upgrade","effective":"now"}"#, "plan"),
            (r#"{"action":"upgrade","plan":"crm-basic"}"#, "effective"),
            (r#"{"action":"change_seats","quantity":2,"effective":"now","confirm":true}"#, "confirm"),
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
            (r#"{"action":"subscribe"}"#, "plan"),
            (r#"{"action":"subscribe","plan":"crm-basic","effective":"period_end"}"#, "effective"),
            (r#"{"action":"subscribe","plan":"crm-basic","quantity":0}"#, "quantity"),
            (r#"{"action":"subscribe","plan":"crm-basic","confirm":true}"#, "confirm"),
            (r#"{"action":"subscribe","plan":"crm-basic","return_url":"https://evil.example"}"#, "return_url"),
            (r#"{"action":"change_seats","quantity":0,"effective":"now"}"#, "quantity"),
            (r#"{"action":"upgrade","plan":"crm-basic","effective":"now","time_zone":"UTC"}"#, "time_zone"),
            (r#"{"action":"upgrade","plan":"crm-basic","effective":"now","gateway":"stripe"}"#, "gateway"),
            (r#"{"action":"pause"}"#, "effective"),
            (r#"{"action":"pause","effective":"now","plan":"crm-basic"}"#, "plan"),
            (r#"{"action":"unpause","effective":"period_end"}"#, "effective"),
            (r#"{"action":"unpause","quantity":1}"#, "quantity"),
            (r#"{"action":"upgrade","plan":"crm-basic","effective":"now","coupon":"WELCOME"}"#, "coupon"),
            (r#"{"action":"add_addon","effective":"now"}"#, "addon"),
            (r#"{"action":"add_addon","addon":"phone","quantity":0,"effective":"now"}"#, "quantity"),
            (r#"{"action":"add_addon","addon":"phone","effective":"now","confirm":true}"#, "confirm"),
            (r#"{"action":"remove_addon","addon":"phone"}"#, "effective"),
            (r#"{"action":"remove_addon","addon":"phone","effective":"now","plan":"crm-basic"}"#, "plan"),
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
        // What may leave an add-on behind can be confirmed too.
        for (action, what) in [("upgrade", r#""plan":"crm-basic""#), ("change_interval", r#""interval":"year""#)] {
            let text = format!(r#"{{"action":"{action}",{what},"effective":"now","confirm":true}}"#);
            assert!(matches!(wanted(&text), Ok(Wanted::Change(Wish { confirm: true, .. }))), "{text}");
        }
    }

    #[test]
    fn a_subscription_begins_in_the_zone_that_is_named_or_in_the_callers() {
        let subscribed_in =
            |named: &str| match wanted(&format!(r#"{{"action":"subscribe","plan":"crm-basic"{named}}}"#)) {
                Ok(Wanted::Subscribe(wanted)) => wanted.time_zone,
                other => panic!("{named}: {other:?}"),
            };
        assert_eq!(subscribed_in(r#","time_zone":"Asia/Tbilisi""#), Some(zone("Asia/Tbilisi")));
        assert_eq!(subscribed_in(""), Some(zone("Africa/Lagos")));
        let unknown = r#"{"action":"subscribe","plan":"crm-basic","time_zone":"Mars/Olympus"}"#;
        assert!(serde_json::from_str::<ChangeRequest>(unknown).is_err());
    }

    /// Else a key that was used before would be refused after an upgrade, as one of another request.
    #[test]
    fn a_request_without_a_zone_is_written_as_it_always_was() {
        let request: Result<ChangeRequest, _> = serde_json::from_str(r#"{"action":"resume"}"#);
        let written = request.and_then(serde_json::to_value).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(written.get("time_zone"), None);
    }

    #[test]
    fn cancel_ends_when_it_says_and_resume_takes_back() {
        let command = |text| match wanted(text) {
            Ok(Wanted::Command(command, None)) => command,
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(command(r#"{"action":"cancel","effective":"now"}"#), Command::CancelNow);
        assert_eq!(command(r#"{"action":"cancel","effective":"period_end"}"#), Command::CancelAtPeriodEnd);
        assert_eq!(command(r#"{"action":"resume"}"#), Command::Resume);
    }
}
