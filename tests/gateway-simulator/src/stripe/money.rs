//! Which currencies Stripe takes, their decimals, and how little and how much of each.

use super::form::Params;
use super::refusal::{Refusal, Result};

const CURRENCIES: &str = "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bhd bif bmd bnd bob brl bsd bwp byn \
    bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl \
    htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk mnt \
    mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd \
    scr sek sgd shp sle sos srd std szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xof xpf \
    yer zar zmw";
const NO_DECIMALS: &str = "bif clp djf gnf jpy kmf krw mga pyg rwf ugx vnd vuv xaf xof xpf";
const THREE_DECIMALS: &str = "bhd jod kwd omr tnd";
const LARGEST: i64 = 99_999_999;
/// Where Stripe names a minimum. Elsewhere it is about half a dollar; the simulator asks for 50 units.
const MINIMUMS: [(&str, i64); 26] = [
    ("usd", 50),
    ("aed", 200),
    ("aud", 50),
    ("brl", 50),
    ("cad", 50),
    ("chf", 50),
    ("clp", 500),
    ("czk", 1500),
    ("dkk", 250),
    ("eur", 50),
    ("gbp", 30),
    ("gel", 140),
    ("hkd", 400),
    ("huf", 17_500),
    ("inr", 50),
    ("jpy", 50),
    ("mxn", 1000),
    ("myr", 200),
    ("ngn", 80_000),
    ("nok", 300),
    ("nzd", 50),
    ("pln", 200),
    ("ron", 200),
    ("sek", 300),
    ("sgd", 50),
    ("thb", 1000),
];

fn has(list: &str, currency: &str) -> bool {
    list.split_ascii_whitespace().any(|known| known == currency)
}

/// How many decimals amounts carry on the wire.
pub(super) fn decimals(currency: &str) -> usize {
    if has(THREE_DECIMALS, currency) {
        3
    } else if has(NO_DECIMALS, currency) && currency != "ugx" {
        0
    } else {
        2 // UGX has no decimals, but Stripe wants it times 100
    }
}

/// The amount as people write it.
pub(super) fn shown(minor: i64, currency: &str) -> String {
    crate::pages::money(minor, currency, decimals(currency))
}

pub(super) fn currency(params: &Params, name: &str) -> Result<String> {
    let currency = params.required(name)?;
    if has(CURRENCIES, currency) {
        return Ok(currency.to_owned());
    }
    let message = format!("Invalid currency: {currency}. Stripe takes three-letter ISO codes in lower case.");
    Err(Refusal::invalid(&message, Some(name), None))
}

/// Refuses what Stripe would not charge.
pub(super) fn check(amount: i64, currency: &str, param: &str) -> Result<()> {
    let least = MINIMUMS.iter().find(|(code, _)| *code == currency).map_or(50, |(_, least)| *least);
    if amount < 1 {
        let message = "This value must be greater than or equal to 1.";
        return Err(Refusal::invalid(message, Some(param), Some("parameter_invalid_integer")));
    }
    if amount < least {
        let message = format!("Amount must be at least {}.", shown(least, currency));
        return Err(Refusal::invalid(&message, Some(param), Some("amount_too_small")));
    }
    if amount > LARGEST {
        let message = format!("Amount must be no more than {}.", shown(LARGEST, currency));
        return Err(Refusal::invalid(&message, Some(param), Some("amount_too_large")));
    }
    let whole = if has(THREE_DECIMALS, currency) {
        10
    } else if matches!(currency, "isk" | "ugx") {
        100
    } else {
        1
    };
    if amount % whole != 0 {
        let message = format!("Invalid amount for {currency}: must be a multiple of {whole}.");
        return Err(Refusal::invalid(&message, Some(param), None));
    }
    Ok(())
}
