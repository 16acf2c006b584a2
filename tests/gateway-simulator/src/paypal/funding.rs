//! What a buyer pays with, what comes of it, and how PayPal words a decline.

use super::captures::Status;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const DAY: i64 = 86_400;

/// An account that someone can log in to on the approval page.
#[derive(Debug)]
pub(super) struct Buyer {
    pub(super) email: &'static str,
    pub(super) given_name: &'static str,
    pub(super) surname: &'static str,
    pub(super) payer_id: &'static str,
    country: &'static str,
}

pub(super) const BUYERS: [Buyer; 2] = [
    Buyer {
        email: "ada@personal.example",
        given_name: "Ada",
        surname: "Buyer",
        payer_id: "QYR5Z8XDVJNXQ",
        country: "US",
    },
    Buyer {
        email: "bruno@personal.example",
        given_name: "Bruno",
        surname: "Payer",
        payer_id: "VYYFH3WJ4JPJQ",
        country: "DE",
    },
];

/// A source of money in a buyer's wallet.
#[derive(Debug)]
pub(super) struct Funding {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) what: &'static str,
    comes_to: Comes,
}

#[derive(Debug, Clone, Copy)]
enum Comes {
    Through,
    Declined,
    /// Why it waits, for how many seconds, and for what.
    Later(&'static str, i64, Status),
}

const fn funding(name: &'static str, title: &'static str, what: &'static str, comes_to: Comes) -> Funding {
    Funding { name, title, what, comes_to }
}

pub(super) const FUNDINGS: [Funding; 5] = [
    funding("balance", "PayPal balance", "succeeds", Comes::Through),
    funding("declined", "Declined card", "can be approved and saved, but every charge is declined", Comes::Declined),
    funding(
        "echeck",
        "eCheck",
        "pending for three days, then succeeds",
        Comes::Later("ECHECK", 3 * DAY, Status::Completed),
    ),
    funding(
        "echeck-returned",
        "eCheck that is returned",
        "pending for three days, then denied",
        Comes::Later("ECHECK", 3 * DAY, Status::Declined),
    ),
    funding(
        "review",
        "Balance under review",
        "pending for a day while PayPal reviews it, then succeeds",
        Comes::Later("PENDING_REVIEW", DAY, Status::Completed),
    ),
];

/// What an approval names, and a payment token keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Instrument {
    /// An account's address, and the name of its funding.
    Wallet {
        email: String,
        funding: String,
    },
    Card {
        name: String,
        last_digits: String,
        expiry: String,
    },
}

/// What an instrument says when it is asked for money.
#[derive(Debug)]
pub(super) enum Verdict {
    Take,
    Wait { reason: &'static str, seconds: i64, becomes: Status },
    Decline(Decline),
}

#[derive(Debug, Clone)]
pub(super) enum Decline {
    /// The call is refused with this issue.
    Issue(String),
    /// The card's bank said no: there is a capture, and it is declined.
    Processor(Processor),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Processor {
    pub(super) response_code: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) payment_advice_code: Option<String>,
}

/// Reasons as all gateways' faults may name them, in a card processor's numbers.
const REASONS: [(&str, &str); 10] = [
    ("insufficient_funds", "5120"),
    ("expired_card", "5400"),
    ("do_not_honor", "0500"),
    ("card_declined", "0500"),
    ("declined", "0500"),
    ("generic_decline", "5100"),
    ("lost_card", "9520"),
    ("stolen_card", "9520"),
    ("fraudulent", "9500"),
    ("issuer_not_available", "5920"),
];

/// What the card networks advise where nothing else was ordered.
const ADVICE: [(&str, &str); 7] =
    [("1330", "01"), ("5400", "01"), ("5950", "01"), ("5140", "03"), ("5150", "03"), ("9500", "03"), ("9520", "03")];

/// The cardholders' names that PayPal's sandbox declines.
const REJECTED: [(&str, &str); 8] = [
    ("CCREJECT-REFUSED", "0500"),
    ("CCREJECT-SF", "9500"),
    ("CCREJECT-EC", "5400"),
    ("CCREJECT-IRC", "5180"),
    ("CCREJECT-IF", "5120"),
    ("CCREJECT-LS", "9520"),
    ("CCREJECT-IA", "1330"),
    ("CCREJECT-BANK_ERROR", "5100"),
];

fn look_up(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(known, _)| *known == name).map(|(_, found)| *found)
}

impl Decline {
    /// An issue, a reason, or a processor's response code, which `/` and a payment advice code may follow.
    pub(super) fn read(code: &str, instrument: &Instrument) -> Self {
        let code = look_up(&REASONS, code).unwrap_or(code);
        if !code.starts_with(|first: char| first.is_ascii_digit()) {
            return Self::Issue(code.to_owned());
        }
        match instrument {
            // Of the card behind a wallet the merchant hears nothing.
            Instrument::Wallet { .. } => Self::Issue("INSTRUMENT_DECLINED".to_owned()),
            Instrument::Card { .. } => {
                let (response, advice) = code.split_once('/').map_or((code, None), |(r, a)| (r, Some(a)));
                Self::Processor(Processor {
                    response_code: response.to_owned(),
                    payment_advice_code: advice.or_else(|| look_up(&ADVICE, response)).map(str::to_owned),
                })
            }
        }
    }

    /// Can the buyer mend it on the approval page?
    pub(super) fn is_the_buyers_to_mend(issue: &str) -> bool {
        matches!(issue, "INSTRUMENT_DECLINED" | "PAYER_ACTION_REQUIRED" | "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING")
    }
}

impl Instrument {
    /// As `payment_source` names it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Wallet { .. } => "paypal",
            Self::Card { .. } => "card",
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        match self {
            Self::Wallet { funding, .. } => {
                match FUNDINGS.iter().find(|known| known.name == funding).map(|known| known.comes_to) {
                    Some(Comes::Through) => Verdict::Take,
                    Some(Comes::Later(reason, seconds, becomes)) => Verdict::Wait { reason, seconds, becomes },
                    Some(Comes::Declined) | None => Verdict::Decline(Decline::Issue("INSTRUMENT_DECLINED".to_owned())),
                }
            }
            Self::Card { name, .. } => match look_up(&REJECTED, name) {
                Some(code) => Verdict::Decline(Decline::read(code, self)),
                None => Verdict::Take,
            },
        }
    }

    /// Is a refund to it as slow as a payment from it?
    pub(super) fn is_slow(&self) -> bool {
        matches!(self.verdict(), Verdict::Wait { reason: "ECHECK", .. })
    }

    fn buyer(&self) -> Option<&'static Buyer> {
        match self {
            Self::Wallet { email, .. } => BUYERS.iter().find(|buyer| buyer.email == email),
            Self::Card { .. } => None,
        }
    }

    pub(super) fn payer_id(&self) -> &'static str {
        self.buyer().map_or("", |buyer| buyer.payer_id)
    }

    /// What stands under its kind in a `payment_source`.
    pub(super) fn json(&self) -> Value {
        match (self, self.buyer()) {
            (Self::Card { name, last_digits, expiry }, _) => {
                json!({"name": name, "last_digits": last_digits, "brand": "VISA", "expiry": expiry, "type": "CREDIT"})
            }
            (Self::Wallet { .. }, Some(buyer)) => json!({
                "email_address": buyer.email, "account_id": buyer.payer_id, "account_status": "VERIFIED",
                "name": {"given_name": buyer.given_name, "surname": buyer.surname},
                "address": {"country_code": buyer.country},
            }),
            (Self::Wallet { email, .. }, None) => json!({ "email_address": email }),
        }
    }

    pub(super) fn payer(&self) -> Value {
        match self.buyer() {
            Some(buyer) => json!({
                "name": {"given_name": buyer.given_name, "surname": buyer.surname}, "email_address": buyer.email,
                "payer_id": buyer.payer_id, "address": {"country_code": buyer.country},
            }),
            None => Value::Null,
        }
    }
}
