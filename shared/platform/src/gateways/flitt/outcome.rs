//! What an order's status means for the payment that it is.

use super::declines;
use super::wire::{Order, Reversal};
use billing::money::{Currency, Money};
use billing::outcome::{Aftermath, Outcome, Receipt, RefundOutcome, Stage};
use billing::payment::{Collection, Gateway, Payment, PaymentStatus};
use billing::wallet::{Card, Expiry, Instrument, Method};
use jiff::ToSpan;
use jiff::civil::DateTime;

impl Order {
    pub(super) fn outcome(self, payment: &Payment) -> Outcome {
        let code = self.response_code.as_deref();
        match (self.order_status.as_str(), &payment.collection) {
            ("approved" | "reversed", _) => self.succeeded(payment),
            ("expired", _) => Outcome::Expired,
            ("declined", _) if self.is_unsure() && !was_looked_up(payment) => Outcome::Pending(Stage::Processing),
            ("declined", _) => Outcome::Declined(declines::decline(code)),
            ("created", _) => Outcome::Pending(Stage::Pending),
            ("processing", Collection::Checkout { .. }) => match code {
                // A try failed, and the page is still open for another.
                Some(code) if !declines::is_unsure(code) => Outcome::Declined(declines::decline(Some(code))),
                Some(_) => Outcome::Pending(Stage::Processing),
                None => Outcome::Pending(Stage::RequiresAction),
            },
            _ => Outcome::Pending(Stage::Processing),
        }
    }

    /// Whether it was declined, and Flitt does not know what the bank did.
    pub(super) fn is_unsure(&self) -> bool {
        self.order_status == "declined" && self.response_code.as_deref().is_some_and(declines::is_unsure)
    }

    fn succeeded(self, payment: &Payment) -> Outcome {
        let known_kind = match self.tran_type.as_deref() {
            None | Some("purchase" | "reverse") => true,
            // Held and let go: that proves a card and pays for nothing.
            Some("verification") => payment.is_setup(),
            Some(_) => false,
        };
        let (true, Some(taken), Some(reversed)) = (known_kind, self.taken(), self.reversed()) else {
            return Outcome::Pending(Stage::Processing); // a success that does not say of what
        };
        let whole = payment.is_setup() || self.order_status == "reversed";
        let returned = if whole { reversed.max(taken.minor) } else { reversed };
        let id = self.payment_id.clone().unwrap_or_else(|| payment.reference.to_string());
        Outcome::Succeeded {
            receipt: Receipt { id, amount: taken },
            aftermath: Aftermath { returned, dispute: None },
            method: self.method(),
        }
    }

    /// Who pays for paying pays more than was asked; what we asked for is what
    /// we were paid. Less, or other money, is told as it is.
    fn taken(&self) -> Option<Money> {
        let asked = money(self.amount.as_deref()?, self.currency.as_deref()?)?;
        let Some(actual) = self.actual_amount.as_deref() else { return Some(asked) };
        let currency = self.actual_currency.as_deref().unwrap_or(asked.currency.code());
        let actual = money(actual, currency)?;
        Some(if actual.currency == asked.currency && actual.minor > asked.minor { asked } else { actual })
    }

    fn reversed(&self) -> Option<i64> {
        self.reversal_amount.as_deref().map_or(Some(0), minor)
    }

    fn method(self) -> Option<Method> {
        let token = self.rectoken?;
        let shown = self.masked_card.unwrap_or_default();
        let last4 = shown.get(shown.len().saturating_sub(4)..).filter(|end| end.bytes().all(|b| b.is_ascii_digit()));
        let card = Card {
            brand: self.card_type.map_or_else(|| "card".to_owned(), |kind| kind.to_lowercase()),
            last4: last4.unwrap_or_default().to_owned(),
            expires: self.rectoken_lifetime.as_deref().and_then(last_month),
            fingerprint: fingerprint(&shown),
        };
        // Flitt knows no customers: a token is charged by whoever holds it.
        Some(Method { gateway: Gateway::Flitt, token, payer: String::new(), instrument: Instrument::Card(card) })
    }
}

impl Reversal {
    /// `name`: what we call it, if Flitt does not say what it does.
    pub(super) fn outcome(self, name: String) -> RefundOutcome {
        match self.reverse_status.as_str() {
            "approved" | "reversed" => RefundOutcome::Done { id: self.transaction_id.unwrap_or(name) },
            "declined" | "expired" => match self.response_code {
                Some(code) if declines::is_unsure(&code) => RefundOutcome::Pending,
                code => RefundOutcome::Failed { code: code.unwrap_or(self.reverse_status) },
            },
            _ => RefundOutcome::Pending,
        }
    }
}

/// Whether the status was asked for before: what an order still says at a later
/// look than the first, it will say for ever.
fn was_looked_up(payment: &Payment) -> bool {
    !matches!(payment.status, PaymentStatus::Pending { tries: 0, .. })
}

fn money(amount: &str, currency: &str) -> Option<Money> {
    Some(Money::new(minor(amount)?, Currency::from_code(currency)?))
}

fn minor(text: &str) -> Option<i64> {
    text.parse().ok().filter(|minor| *minor >= 0)
}

/// The last month in which a token can be charged throughout or in part.
fn last_month(lifetime: &str) -> Option<Expiry> {
    let ends = DateTime::strptime("%d.%m.%Y %H:%M:%S", lifetime).ok()?;
    let last = ends.checked_sub(1.second()).ok()?; // midnight of the first ends the month before
    Expiry::new(u16::try_from(last.year()).ok()?, u8::try_from(last.month()).ok()?)
}

/// Flitt names no card, and may issue another token each time one is used. The
/// first six and the last four digits tell the cards of one customer apart; a
/// mask that shows fewer does not.
fn fingerprint(masked_card: &str) -> Option<String> {
    let digits = masked_card.bytes().filter(u8::is_ascii_digit).count();
    (digits >= 10).then(|| masked_card.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateways::flitt::params::Params;
    use billing::outcome::{Decline, Remedy};
    use billing::testing::{checkout_payment, instant, off_session_payment};

    fn lari(minor: i64) -> Money {
        Money::new(minor, Currency::from_code("GEL").unwrap_or_else(|| panic!("GEL")))
    }

    fn renewal() -> Payment {
        Payment { gateway: Gateway::Flitt, amount: lari(1_399), ..off_session_payment() }
    }

    fn checkout() -> Payment {
        Payment { gateway: Gateway::Flitt, amount: lari(1_399), ..checkout_payment() }
    }

    fn setup() -> Payment {
        Payment { bought: None, amount: lari(100), ..checkout() }
    }

    fn looked_up(payment: Payment) -> Payment {
        let check_at = instant("2025-02-28T10:05:00Z");
        Payment { status: PaymentStatus::Pending { stage: Stage::Processing, check_at, tries: 1 }, ..payment }
    }

    /// What an approved order means to `payment`, with these fields changed.
    fn heard(payment: &Payment, changed: &[(&str, &str)]) -> Outcome {
        let approved = r#"{"order_status":"approved","tran_type":"purchase","response_code":"","payment_id":900000001,
            "amount":"1399","currency":"GEL","actual_amount":"1399","actual_currency":"GEL","reversal_amount":"0",
            "rectoken":"RECTOKEN1","rectoken_lifetime":"01.01.2030 00:00:00","masked_card":"444455XXXXXX1111",
            "card_type":"VISA"}"#;
        let approved = Params::from_json(approved.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        let order = changed.iter().fold(approved, |order, (name, value)| order.with(name, (*value).to_owned()));
        order.read::<Order>().unwrap_or_else(|error| panic!("{error}")).outcome(payment)
    }

    /// What was taken, and what of it went back.
    fn books(outcome: Outcome) -> Option<(Money, i64)> {
        match outcome {
            Outcome::Succeeded { receipt, aftermath, .. } => Some((receipt.amount, aftermath.returned)),
            Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired => None,
        }
    }

    fn method(outcome: Outcome) -> Option<Method> {
        match outcome {
            Outcome::Succeeded { method, .. } => method,
            Outcome::Pending(_) | Outcome::Declined(_) | Outcome::Expired => None,
        }
    }

    #[test]
    fn every_status_has_a_meaning() {
        let pending = Outcome::Pending;
        let declined = |code: &str, remedy| Outcome::Declined(Decline::new(code, remedy));
        let few = declined("1000", Remedy::FewTries);
        let cases = [
            ("created", "", pending(Stage::Pending), pending(Stage::Pending)),
            ("processing", "", pending(Stage::RequiresAction), pending(Stage::Processing)),
            // On the page another card may be tried; nobody tries another for us.
            ("processing", "1000", few.clone(), pending(Stage::Processing)),
            ("processing", "1089", pending(Stage::Processing), pending(Stage::Processing)),
            ("declined", "1000", few.clone(), few.clone()),
            ("declined", "", few.clone(), few),
            ("expired", "", Outcome::Expired, Outcome::Expired),
            ("something new", "", pending(Stage::Processing), pending(Stage::Processing)),
        ];
        for (status, code, on_page, off_session) in cases {
            let changed = [("order_status", status), ("response_code", code)];
            assert_eq!(heard(&checkout(), &changed), on_page, "{status} {code}");
            assert_eq!(heard(&renewal(), &changed), off_session, "{status} {code}");
        }
    }

    #[test]
    fn a_bank_that_timed_out_has_not_declined_before_a_second_look_says_so() {
        for code in ["1002", "1089", "1122"] {
            let changed = [("order_status", "declined"), ("response_code", code)];
            assert_eq!(heard(&renewal(), &changed), Outcome::Pending(Stage::Processing));
            let declined = Outcome::Declined(Decline::new(code, Remedy::RetryLater));
            assert_eq!(heard(&looked_up(renewal()), &changed), declined);
        }
    }

    #[test]
    fn what_went_back_is_told_and_is_no_decline() {
        let cases: [(&[(&str, &str)], i64); 4] = [
            (&[], 0),
            (&[("reversal_amount", "399")], 399),
            (&[("reversal_amount", "1399"), ("tran_type", "reverse")], 1_399),
            (&[("order_status", "reversed"), ("reversal_amount", "")], 1_399),
        ];
        for (changed, returned) in cases {
            assert_eq!(books(heard(&renewal(), changed)), Some((lari(1_399), returned)), "{changed:?}");
        }
    }

    #[test]
    fn another_amount_than_asked_for_is_told_as_it_is() {
        let taken = |changed: &[(&str, &str)]| books(heard(&renewal(), changed)).map(|(taken, _)| taken);
        assert_eq!(taken(&[("amount", "1"), ("actual_amount", "1")]), Some(lari(1)));
        assert_eq!(taken(&[("actual_amount", "1000")]), Some(lari(1_000)));
        let dollars = Currency::from_code("USD").map(|currency| Money::new(1_399, currency));
        assert_eq!(taken(&[("actual_currency", "USD")]), dollars);
        assert_eq!(taken(&[("actual_amount", ""), ("actual_currency", "")]), Some(lari(1_399)));
    }

    #[test]
    fn fees_that_the_customer_bears_are_not_a_wrong_amount() {
        assert_eq!(books(heard(&renewal(), &[("actual_amount", "1440")])), Some((lari(1_399), 0)));
    }

    #[test]
    fn a_success_that_does_not_say_of_what_is_none() {
        for changed in [
            ("amount", ""),
            ("amount", "13.99"),
            ("amount", "-1399"),
            ("currency", "XXX"),
            ("actual_amount", "1e3"),
            ("reversal_amount", "all"),
            ("tran_type", "p2p credit"),
            ("tran_type", "verification"),
        ] {
            assert_eq!(heard(&renewal(), &[changed]), Outcome::Pending(Stage::Processing), "{changed:?}");
        }
    }

    #[test]
    fn a_verified_card_has_cost_nothing() {
        let verified = [("tran_type", "verification"), ("amount", "100"), ("actual_amount", "100")];
        assert_eq!(books(heard(&setup(), &verified)), Some((lari(100), 100)));
        assert!(method(heard(&setup(), &verified)).is_some());
    }

    #[test]
    fn a_card_is_shown_as_a_person_knows_it() {
        let Some(kept) = method(heard(&checkout(), &[])) else { panic!("kept") };
        assert_eq!((kept.token.as_str(), kept.payer.as_str()), ("RECTOKEN1", ""));
        let Some(card) = kept.card() else { panic!("a card") };
        assert_eq!((card.brand.as_str(), card.last4.as_str()), ("visa", "1111"));
        assert_eq!(card.expires, Expiry::new(2029, 12));
        assert_eq!(method(heard(&checkout(), &[("rectoken", "")])), None);
    }

    #[test]
    fn one_card_is_one_method_whatever_its_token() {
        let id = |changed: &[(&str, &str)]| method(heard(&checkout(), changed)).map(|method| method.id());
        assert_eq!(id(&[]), id(&[("rectoken", "RECTOKEN2")]));
        assert_ne!(id(&[]), id(&[("masked_card", "444455XXXXXX1112")]));
        // A mask that shows four digits is the mask of many cards.
        let short = ("masked_card", "XXXXXXXXXXXX1111");
        assert_ne!(id(&[short]), id(&[short, ("rectoken", "RECTOKEN2")]));
    }

    #[test]
    fn a_token_is_good_until_the_moment_it_ends() {
        let cases = [
            ("31.12.2029 23:59:59", Expiry::new(2029, 12)),
            ("01.01.2030 00:00:00", Expiry::new(2029, 12)),
            ("01.01.2030 00:00:01", Expiry::new(2030, 1)),
            ("2030-01-01", None),
        ];
        for (lifetime, expected) in cases {
            assert_eq!(last_month(lifetime), expected, "{lifetime}");
        }
    }

    #[test]
    fn a_reversal_is_done_under_way_or_off() {
        let outcome = |status: &str, code: &str| {
            let said = Params::from_iter([
                ("reverse_status", status.to_owned()),
                ("response_code", code.to_owned()),
                ("transaction_id", "1500000001".to_owned()),
            ]);
            said.read::<Reversal>().unwrap_or_else(|error| panic!("{error}")).outcome("r1x1".to_owned())
        };
        assert_eq!(outcome("approved", ""), RefundOutcome::Done { id: "1500000001".to_owned() });
        assert_eq!(outcome("reversed", ""), RefundOutcome::Done { id: "1500000001".to_owned() });
        assert_eq!(outcome("created", ""), RefundOutcome::Pending);
        assert_eq!(outcome("processing", ""), RefundOutcome::Pending);
        assert_eq!(outcome("declined", "1000"), RefundOutcome::Failed { code: "1000".to_owned() });
        assert_eq!(outcome("declined", ""), RefundOutcome::Failed { code: "declined".to_owned() });
        assert_eq!(outcome("declined", "1089"), RefundOutcome::Pending);
    }
}
