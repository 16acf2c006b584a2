//! The payment pages: plain HTML that a person can use and a script can post to.

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

/// A page on which a customer pays, or declines to.
#[derive(Debug)]
pub(crate) struct Checkout<'a> {
    pub(crate) gateway: &'a str,
    /// What is to be paid; none when a card is only saved.
    pub(crate) amount: Option<String>,
    pub(crate) about: &'a str,
    pub(crate) reference: &'a str,
    /// Number, and what it does.
    pub(crate) cards: Vec<(&'a str, &'a str)>,
    /// What happened just now.
    pub(crate) notice: Option<String>,
    /// Where the customer came from.
    pub(crate) back: Option<&'a str>,
}

impl Checkout<'_> {
    pub(crate) fn html(&self) -> String {
        let verb = if self.amount.is_some() { "Pay" } else { "Save card" };
        let title = match &self.amount {
            Some(amount) => format!("Pay {amount}"),
            None => "Save a card".to_owned(),
        };
        let notice = match &self.notice {
            Some(notice) => format!("<p class=\"notice\" role=\"alert\">{}</p>", escape(notice)),
            None => String::new(),
        };
        let cards: String = self
            .cards
            .iter()
            .enumerate()
            .map(|(place, (number, what))| {
                let checked = if place == 0 { " checked" } else { "" };
                format!(
                    "<label><input type=\"radio\" name=\"card\" value=\"{0}\"{checked}> <span><b>{1}</b> {2}</span></label>",
                    escape(number),
                    escape(&grouped(number)),
                    escape(what),
                )
            })
            .collect();
        let back = match self.back {
            Some(address) => format!("<p><a href=\"{}\">Back to the merchant</a></p>", escape(address)),
            None => String::new(),
        };
        let body = format!(
            "<h1>{title}</h1><p>{about}<br><small>Reference <code>{reference}</code></small></p>{notice}\
             <form method=\"post\"><fieldset><legend>Test card</legend>{cards}</fieldset>\
             <p class=\"buttons\"><button name=\"action\" value=\"pay\">{verb}</button> \
             <button class=\"quiet\" name=\"action\" value=\"decline\">Decline</button></p></form>{back}",
            title = escape(&title),
            about = escape(self.about),
            reference = escape(self.reference),
        );
        layout(self.gateway, &title, &body)
    }
}

/// The question that a customer's bank asks before it pays.
pub(crate) fn bank(gateway: &str, amount: &str, reference: &str) -> String {
    let body = format!(
        "<h1>Your bank asks</h1><p>Do you confirm {}?<br><small>Reference <code>{}</code></small></p>\
         <form method=\"post\"><p class=\"buttons\"><button name=\"action\" value=\"confirm\">Confirm</button> \
         <button class=\"quiet\" name=\"action\" value=\"fail\">Fail</button></p></form>",
        escape(amount),
        escape(reference)
    );
    layout(gateway, "Your bank asks", &body)
}

/// A page that says how it ended and carries fields back to the merchant by POST: at once where scripts run, by a
/// button where they do not; or, without the POST, by a link.
#[derive(Debug)]
pub(crate) struct Carried<'a> {
    pub(crate) gateway: &'a str,
    pub(crate) title: &'a str,
    pub(crate) text: &'a str,
    pub(crate) reference: &'a str,
    pub(crate) address: &'a str,
    pub(crate) fields: &'a [(&'a str, String)],
}

impl Carried<'_> {
    const SCRIPT: &'static str = "document.forms[0].submit()";

    /// The policy under which its one script runs.
    pub(crate) fn policy() -> String {
        let hash = BASE64.encode(&Sha256::digest(Self::SCRIPT));
        format!(
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{hash}'; base-uri 'none'; frame-ancestors 'none'"
        )
    }

    pub(crate) fn html(&self) -> String {
        let hidden = self.fields.iter().map(|(name, value)| {
            format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escape(name), escape(value))
        });
        let query: Vec<_> = self.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = format!(
            "<h1>{title}</h1><p role=\"status\">{text}<br><small>Reference <code>{reference}</code></small></p>\
             <form method=\"post\" action=\"{address}\">{hidden}<p class=\"buttons\"><button>Back to the merchant</button></p>\
             </form><p><a href=\"{link}\">Back by link</a></p><script>{script}</script>",
            title = escape(self.title),
            text = escape(self.text),
            reference = escape(self.reference),
            address = escape(self.address),
            hidden = hidden.collect::<String>(),
            link = escape(&with_query(self.address, &query)),
            script = Self::SCRIPT,
        );
        layout(self.gateway, self.title, &body)
    }
}

/// A page that says how it ended.
pub(crate) fn outcome(gateway: &str, title: &str, text: &str, reference: &str) -> String {
    let body = format!(
        "<h1>{}</h1><p role=\"status\">{}</p><p><small>Reference <code>{}</code></small></p>",
        escape(title),
        escape(text),
        escape(reference)
    );
    layout(gateway, title, &body)
}

pub(crate) fn layout(gateway: &str, title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} · {gateway} simulator</title><style>{STYLE}</style></head>\
         <body><main><header>{gateway} simulator <span>no real money</span></header>{body}</main></body></html>",
        title = escape(title),
        gateway = escape(gateway),
    )
}

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#c5cad3;--soft:#f3f5f8;--ink:#14213d;--go:#1d4ed8;--bad:#8f1d1d;--badsoft:#fdecec}\
@media(prefers-color-scheme:dark){:root{--line:#475063;--soft:#161b26;--ink:#e8ecf4;--go:#2f5fe0;--bad:#ffb4b4;--badsoft:#3a1a1d}}\
*{box-sizing:border-box}body{margin:0;background:var(--soft);color:var(--ink);font:16px/1.5 system-ui,sans-serif}\
main{max-width:36rem;margin:2rem auto;padding:1.5rem;background:Canvas;border:1px solid var(--line);border-radius:12px}\
header{display:flex;justify-content:space-between;font-weight:600;border-bottom:1px solid var(--line);padding-bottom:.6rem}\
header span{font-weight:400}h1{font-size:1.7rem;margin:1.2rem 0 .4rem}p{margin:.6rem 0}code{overflow-wrap:anywhere}\
fieldset{border:1px solid var(--line);border-radius:8px;padding:.4rem .8rem;margin:1rem 0}legend{padding:0 .4rem}\
label{display:flex;gap:.6rem;align-items:baseline;padding:.35rem 0}label b{font-variant-numeric:tabular-nums;margin-right:.4rem}\
input:not([type=radio]){font:inherit;flex:1;min-width:0;padding:.4rem .6rem;border:1px solid var(--line);border-radius:6px;\
background:Field;color:FieldText}.buttons{display:flex;gap:.8rem}button{font:inherit;font-weight:600;padding:.7rem 1.4rem;border-radius:8px;cursor:pointer;\
border:1px solid var(--go);background:var(--go);color:#fff}button.quiet{background:none;color:var(--ink);border-color:var(--line)}\
:focus-visible{outline:3px solid #f59e0b;outline-offset:2px}a{color:inherit}\
.notice{background:var(--badsoft);color:var(--bad);border:1px solid;border-radius:8px;padding:.6rem .9rem}";

pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(letter),
        }
    }
    safe
}

/// `700000`, `NGN`, 2 → `NGN 7,000.00`
pub(crate) fn money(minor: i64, currency: &str, decimals: usize) -> String {
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    let mut thousands = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            thousands.push(',');
        }
        thousands.push(digit);
    }
    let sign = if minor < 0 { "-" } else { "" };
    let point = if decimals > 0 { "." } else { "" };
    format!("{} {sign}{thousands}{point}{fraction}", currency.to_ascii_uppercase())
}

fn grouped(number: &str) -> String {
    let digits: Vec<char> = number.chars().collect();
    digits.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

/// The fields of a form or a query, in order. None if they cannot be decoded.
pub(crate) fn fields(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// For the query of an address.
pub(crate) fn encode(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
    }
    safe
}

/// The address with fields added to its query.
pub(crate) fn with_query(address: &str, added: &[(&str, &str)]) -> String {
    let (address, fragment) = address.split_once('#').map_or((address, None), |(a, f)| (a, Some(f)));
    let mut whole = address.to_owned();
    for (name, value) in added {
        whole.push(if whole.contains('?') { '&' } else { '?' });
        whole.push_str(&format!("{}={}", encode(name), encode(value)));
    }
    if let Some(fragment) = fragment {
        whole.push('#');
        whole.push_str(fragment);
    }
    whole
}

/// An address that a customer's browser may be sent to.
pub(crate) fn is_web_address(text: &str) -> bool {
    let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    text.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_with_the_decimals_of_their_currency() {
        assert_eq!(money(700_000, "ngn", 2), "NGN 7,000.00");
        assert_eq!(money(5, "usd", 2), "USD 0.05");
        assert_eq!(money(1_234_567, "jpy", 0), "JPY 1,234,567");
        assert_eq!(money(1_500, "kwd", 3), "KWD 1.500");
    }

    #[test]
    fn what_comes_from_outside_cannot_become_markup() {
        let page = outcome("Stripe", "Paid", "<script>alert(1)</script>", "\" onload='x'");
        assert!(!page.contains("<script>") && !page.contains("\" onload"));
    }

    #[test]
    fn forms_are_decoded_and_queries_encoded() {
        let form = fields("a=1+2&b%5Bc%5D=%E2%82%AC").expect("it decodes");
        assert_eq!(form, [("a".into(), "1 2".into()), ("b[c]".into(), "€".into())]);
        assert_eq!(fields("a=%zz"), None);
        assert_eq!(with_query("https://a.example/?x=1#top", &[("r", "a b")]), "https://a.example/?x=1&r=a%20b#top");
    }
}
