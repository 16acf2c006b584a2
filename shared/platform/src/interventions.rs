//! What billing staff ask for on behalf of a customer: the body of `POST /admin/customers/{customer}/subscription/changes`, or
//! a row of `POST /admin/interventions`, which names the customer itself; and the intervention that it is. Whether that may
//! be had is the domain's to say.

use crate::http::Problem;
use billing::id::{BrandId, CustomerId};
use billing::subscription::Intervention;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use std::num::NonZeroU16;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InterventionRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<CustomerId>,
    action: Asked,
    days: Option<u16>,
    end: Option<Timestamp>,
    percent: Option<u8>,
    /// Null: all that come.
    #[serde(default, deserialize_with = "given")]
    periods: Option<Option<u32>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice_days: Option<u16>,
    /// The customer knows, and is told no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<bool>,
    /// Null: none any more.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    brand: Option<Option<BrandId>>,
}

/// Longer notice than anyone has to give, and shorter than what would be a mistake.
const LONGEST_NOTICE: u16 = 366;

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    Extend,
    ChangeDates,
    ResetTokens,
    Comp,
    ChangePrice,
    KeepPrice,
    Brand,
}

impl InterventionRequest {
    /// What is wanted for whom the row names.
    pub fn of_row(mut self) -> Result<(CustomerId, Intervention), Problem> {
        let customer = self.customer.take().ok_or_else(|| Problem::invalid("customer", "is needed in each row"))?;
        Ok((customer, self.wanted()?))
    }

    /// What is wanted for whom the path names.
    pub fn of_path(self) -> Result<Intervention, Problem> {
        match self.customer {
            None => self.wanted(),
            Some(_) => Err(Problem::invalid("customer", "is in the path, and not taken here")),
        }
    }

    /// It, if the request says all that its action takes, and nothing else.
    fn wanted(self) -> Result<Intervention, Problem> {
        self.says(match self.action {
            Asked::Extend => &["days"],
            Asked::ChangeDates => &["end"],
            Asked::ResetTokens => &[],
            Asked::Comp => &["percent", "periods"],
            Asked::ChangePrice => &["notice_days", "told"],
            Asked::KeepPrice => &[],
            Asked::Brand => &["brand"],
        })?;
        let missing = || Problem::invalid("action", "does not say all that it needs");
        match self.action {
            Asked::Extend => match self.days.ok_or_else(missing)? {
                0 => Err(Problem::invalid("days", "is at least 1")),
                days => Ok(Intervention::Extend { days }),
            },
            Asked::ChangeDates => Ok(Intervention::ChangeDates { end: self.end.ok_or_else(missing)? }),
            Asked::ResetTokens => Ok(Intervention::ResetTokens),
            Asked::Comp => {
                let (percent, periods) = self.percent.zip(self.periods).ok_or_else(missing)?;
                let (percent, periods) = comp(percent, periods, "")?;
                Ok(Intervention::Comp { percent, periods })
            }
            Asked::ChangePrice => {
                let (days, told) = self.notice_days.zip(self.told).ok_or_else(missing)?;
                let days = NonZeroU16::new(days).filter(|days| days.get() <= LONGEST_NOTICE);
                let notice_days = days.ok_or_else(|| Problem::invalid("notice_days", "is 1 to 366"))?;
                Ok(Intervention::ChangePrice { notice_days, told })
            }
            Asked::KeepPrice => Ok(Intervention::KeepPrice),
            Asked::Brand => Ok(Intervention::Brand { brand: self.brand.ok_or_else(missing)? }),
        }
    }

    /// Whether each of `needs` is there, and nothing besides.
    fn says(&self, needs: &[&str]) -> Result<(), Problem> {
        let given = [
            ("days", self.days.is_some()),
            ("end", self.end.is_some()),
            ("percent", self.percent.is_some()),
            ("periods", self.periods.is_some()),
            ("notice_days", self.notice_days.is_some()),
            ("told", self.told.is_some()),
            ("brand", self.brand.is_some()),
        ];
        for (field, given) in given {
            match (given, needs.contains(&field)) {
                (false, true) => return Err(Problem::invalid(field, "this action needs it")),
                (true, false) => return Err(Problem::invalid(field, "this action does not take it")),
                (true, true) | (false, false) => {}
            }
        }
        Ok(())
    }
}

/// What is taken off, if it makes sense; its fields are told `within` another.
pub(crate) fn comp(percent: u8, periods: Option<u32>, within: &str) -> Result<(u8, Option<u32>), Problem> {
    match (percent, periods) {
        (1..=100, None | Some(1..)) => Ok((percent, periods)),
        (1..=100, Some(0)) => {
            Err(Problem::invalid(format!("{within}periods"), "is at least 1, or null for all that come"))
        }
        (_, _) => Err(Problem::invalid(format!("{within}percent"), "is 1 to 100")),
    }
}

/// What is said to be null is said.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::testing::{brand, customer, instant};

    fn wanted(text: &str) -> Result<Intervention, Option<String>> {
        let request: InterventionRequest = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        request.of_path().map_err(|problem| problem.field)
    }

    #[test]
    fn a_row_names_its_customer_and_a_path_needs_no_row_to_do_so() {
        let read = |text| serde_json::from_str::<InterventionRequest>(text).unwrap_or_else(|error| panic!("{error}"));
        let (with, without) = (r#"{"customer":"acme","action":"keep_price"}"#, r#"{"action":"keep_price"}"#);
        assert_eq!(read(with).of_row().map_err(|it| it.field), Ok((customer(), Intervention::KeepPrice)));
        assert_eq!(read(without).of_row().map_err(|it| it.field), Err(Some("customer".to_owned())));
        assert_eq!(read(with).of_path().map_err(|it| it.field), Err(Some("customer".to_owned())));
    }

    /// Else a key that was used before would be refused after an upgrade, as one of another request.
    #[test]
    fn a_request_of_before_is_written_as_it_always_was() {
        let request: Result<InterventionRequest, _> = serde_json::from_str(r#"{"action":"extend","days":14}"#);
        let written =
            request.and_then(|request| serde_json::to_string(&request)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(written, r#"{"action":"extend","days":14,"end":null,"percent":null,"periods":null}"#);
    }

    #[test]
    fn each_action_takes_its_own_fields_and_no_others() {
        let end = instant("2026-03-31T00:00:00Z");
        let cases = [
            (r#"{"action":"extend","days":14}"#, Ok(Intervention::Extend { days: 14 })),
            (r#"{"action":"extend","days":0}"#, Err("days")),
            (r#"{"action":"extend"}"#, Err("days")),
            (r#"{"action":"extend","days":14,"end":"2026-03-31T00:00:00Z"}"#, Err("end")),
            (r#"{"action":"extend","end":"2026-03-31T00:00:00Z"}"#, Err("days")),
            (r#"{"action":"change_dates","end":"2026-03-31T02:00:00+02:00"}"#, Ok(Intervention::ChangeDates { end })),
            (r#"{"action":"change_dates"}"#, Err("end")),
            (r#"{"action":"change_dates","days":1}"#, Err("days")),
            (r#"{"action":"change_dates","days":1,"end":"2026-03-31T00:00:00Z"}"#, Err("days")),
            (r#"{"action":"reset_tokens"}"#, Ok(Intervention::ResetTokens)),
            (r#"{"action":"reset_tokens","days":1}"#, Err("days")),
            (r#"{"action":"reset_tokens","end":"2026-03-31T00:00:00Z"}"#, Err("end")),
            (
                r#"{"action":"comp","percent":100,"periods":3}"#,
                Ok(Intervention::Comp { percent: 100, periods: Some(3) }),
            ),
            (r#"{"action":"comp","percent":50,"periods":null}"#, Ok(Intervention::Comp { percent: 50, periods: None })),
            (r#"{"action":"comp","percent":100}"#, Err("periods")),
            (r#"{"action":"comp","periods":3}"#, Err("percent")),
            (r#"{"action":"comp","percent":0,"periods":3}"#, Err("percent")),
            (r#"{"action":"comp","percent":101,"periods":3}"#, Err("percent")),
            (r#"{"action":"comp","percent":100,"periods":0}"#, Err("periods")),
            (r#"{"action":"extend","days":1,"periods":null}"#, Err("periods")),
            (
                r#"{"action":"change_price","notice_days":30,"told":false}"#,
                Ok(Intervention::ChangePrice { notice_days: NonZeroU16::MIN.saturating_add(29), told: false }),
            ),
            (r#"{"action":"change_price","notice_days":30}"#, Err("told")),
            (r#"{"action":"change_price","told":true}"#, Err("notice_days")),
            (r#"{"action":"change_price","notice_days":0,"told":true}"#, Err("notice_days")),
            (r#"{"action":"change_price","notice_days":367,"told":true}"#, Err("notice_days")),
            (r#"{"action":"keep_price"}"#, Ok(Intervention::KeepPrice)),
            (r#"{"action":"keep_price","told":true}"#, Err("told")),
            (
                r#"{"action":"brand","brand":"acme-telecom"}"#,
                Ok(Intervention::Brand { brand: Some(brand("acme-telecom").id) }),
            ),
            (r#"{"action":"brand","brand":null}"#, Ok(Intervention::Brand { brand: None })),
            (r#"{"action":"brand"}"#, Err("brand")),
            (r#"{"action":"brand","brand":null,"days":1}"#, Err("days")),
            (r#"{"action":"keep_price","brand":null}"#, Err("brand")),
        ];
        for (text, expected) in cases {
            assert_eq!(wanted(text), expected.map_err(|field| Some(field.to_owned())), "{text}");
        }
    }
}
