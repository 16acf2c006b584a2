//! Under whose name a customer is written to and shown pages: a *brand* is kept once, and given to as many customers as are
//! to have it. What is read on its colours is for whoever shows them to choose.

use crate::id::{BrandId, Invalid, text};
use serde::{Deserialize, Serialize};
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brand {
    pub id: BrandId,
    /// As customers know it.
    pub name: BrandName,
    pub logo: Option<LogoUrl>,
    pub colours: Colours,
    pub sender: Sender,
    pub version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Colours {
    /// Of the band that bears the name.
    pub primary: Colour,
    /// Of what all else stands on.
    pub background: Colour,
}

/// Whom mails are from, and who hears what is answered to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    pub name: BrandName,
    pub reply_to: ReplyTo,
}

text!(
    /// One line, as a header of a mail can bear it: so it fits, encoded, beside an address in the 320 bytes that SES takes.
    BrandName,
    "a name of 1 to 60 characters on one line, in at most 120 bytes, without blanks at its ends",
    |text| {
        let characters = text.chars().count();
        (1..=60).contains(&characters) && text.len() <= 120 && text.trim() == text && !text.chars().any(disturbs)
    }
);
text!(
    /// Where a picture is, for browsers and mail programs to fetch.
    LogoUrl,
    "the address of a picture: https://, at most 500 characters, no user, no fragment",
    |text| text.len() <= 500 && text.strip_prefix(HTTPS).is_some_and(is_place)
);
text!(
    /// `#0a7d3c`
    Colour,
    "a colour: # and six digits from 0 to f",
    |text| {
        let digits = text.strip_prefix('#').unwrap_or_default();
        digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit())
    }
);
text!(
    /// Where answers go. In ASCII, which is all that SES takes.
    ReplyTo,
    "an e-mail address: at most 254 characters of ASCII, nothing quoted",
    |text| text.len() <= 254 && text.split_once('@').is_some_and(|(local, domain)| is_local(local) && is_domain(domain))
);

const HTTPS: &str = "https://";

impl Colour {
    /// Red, green and blue.
    pub fn rgb(&self) -> [u8; 3] {
        [1, 3, 5].map(|at| u8::from_str_radix(&self.as_str()[at..at + 2], 16).unwrap_or_default())
    }
}

impl LogoUrl {
    /// The origin that it is fetched from: `https://cdn.acme.example`.
    pub fn origin(&self) -> &str {
        let url = self.as_str();
        let path = url.get(HTTPS.len()..).and_then(|rest| rest.find('/'));
        path.map_or(url, |at| &url[..HTTPS.len() + at])
    }
}

/// Whether it would end a line, or turn around what is written after it.
fn disturbs(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A host, a port perhaps, and a path: of nothing that would end an attribute, or a source in a policy.
fn is_place(text: &str) -> bool {
    let (authority, path) = text.split_at(text.find('/').unwrap_or(text.len()));
    let (host, port) = authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse().is_ok_and(|it: u16| it > 0);
    is_host(host)
        && port.is_none_or(is_port)
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~!$&()*+,;=:@%/?".contains(&b))
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        let plain = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        (1..=63).contains(&label.len()) && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_domain(text: &str) -> bool {
    // Numbers alone are no name: SES takes no address of a machine.
    let is_name = |last: &str| !last.bytes().all(|b| b.is_ascii_digit());
    text.rsplit_once('.').is_some_and(|(_, last)| is_name(last)) && is_host(text)
}

/// Atoms with dots between them (RFC 5322, 3.2.3).
fn is_local(text: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty() && atom.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b))
    };
    text.len() <= 64 && text.split('.').all(is_atom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is<T: TryFrom<String>>(text: &str) -> bool {
        T::try_from(text.to_owned()).is_ok()
    }

    #[test]
    fn a_name_is_one_line_that_a_header_can_bear() {
        let cyrillic = "Ж".repeat(60);
        for good in [
            "A",
            "Acme Telecom",
            "Müller & Söhne, \"GmbH\"",
            "株式会社アクメ",
            "A\u{200d}B",
            &"x".repeat(60),
            &cyrillic,
        ] {
            assert!(is::<BrandName>(good), "{good}");
        }
        for bad in [
            "",
            " Acme",
            "Acme ",
            "Acme\r\nBcc: all@victim.example",
            "Acme\nTelecom",
            "Acme\0",
            "Acme\u{7f}",
            "Acme\u{85}Telecom",
            "Acme\u{2028}Telecom",
            "Acme \u{202e}moceleT",
            &"x".repeat(61),
            &"株".repeat(41),
        ] {
            assert!(!is::<BrandName>(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_logo_is_at_an_https_address_that_nothing_can_be_hidden_in() {
        for (good, origin) in [
            ("https://cdn.acme.example/logo.png", "https://cdn.acme.example"),
            ("https://cdn.acme.example", "https://cdn.acme.example"),
            ("https://cdn.acme.example:8443/a/b%20c.svg?v=2&w=100", "https://cdn.acme.example:8443"),
            ("https://192.0.2.1/@2x/logo;v=1.png", "https://192.0.2.1"),
        ] {
            let url = LogoUrl::try_from(good.to_owned()).unwrap_or_else(|error| panic!("{good}: {error}"));
            assert_eq!(url.origin(), origin);
        }
        for bad in [
            "",
            "https://",
            "https:///logo.png",
            "http://cdn.acme.example/logo.png",
            "HTTPS://cdn.acme.example/logo.png",
            "//cdn.acme.example/logo.png",
            "javascript:alert(1)",
            "data:image/png;base64,AAAA",
            "https://user@cdn.acme.example/logo.png",
            "https://cdn.acme.example@evil.example/logo.png",
            "https://cdn.acme.example;script-src/logo.png",
            "https://cdn.acme.example, */logo.png",
            "https://*.acme.example/logo.png",
            "https://cdn..example/logo.png",
            "https://-cdn.example/logo.png",
            "https://cdn.acme.example:/logo.png",
            "https://cdn.acme.example:0/logo.png",
            "https://cdn.acme.example:65536/logo.png",
            "https://cdn.acme.example:+443/logo.png",
            "https://cdn.acme.example/logo.png#x",
            "https://cdn.acme.example/lo go.png",
            "https://cdn.acme.example/\"onerror=\"x",
            "https://cdn.acme.example/'x",
            "https://cdn.acme.example/<x>",
            "https://cdn.acme.example\\logo.png",
            "https://cdn.acme.example/logo.png\n",
            "https://bücher.example/logo.png",
            &format!("https://cdn.acme.example/{}", "x".repeat(476)),
        ] {
            assert!(!is::<LogoUrl>(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_colour_is_six_digits() {
        let colour = Colour::try_from("#0A7d3c".to_owned()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(colour.rgb(), [0x0a, 0x7d, 0x3c]);
        for bad in ["", "#", "0a7d3c", "#0a7d3", "#0a7d3c0", "#0a7d3g", "##a7d3c", "#+a7d3c", "red", "#ää7", "#0a7d3c;"]
        {
            assert!(!is::<Colour>(bad), "{bad}");
        }
    }

    #[test]
    fn answers_go_to_one_address() {
        for good in ["help@acme.example", "a.b+c@mail.acme.example", "o'brien@acme.example", "a@xn--bcher-kva.example"]
        {
            assert!(is::<ReplyTo>(good), "{good}");
        }
        for bad in [
            "",
            "help",
            "@acme.example",
            "help@",
            "help@acme",
            "help@acme..example",
            "help@10.0.0.1",
            ".help@acme.example",
            "he..lp@acme.example",
            "help@acme.example,all@victim.example",
            "help@acme.example\r\nBcc: all@victim.example",
            "Help <help@acme.example>",
            "\"help\"@acme.example",
            "he lp@acme.example",
            "help@a@acme.example",
            "hälp@acme.example",
            "help@äcme.example",
            &format!("{}@acme.example", "x".repeat(65)),
            &format!("x@{}.example", "x.".repeat(125)),
        ] {
            assert!(!is::<ReplyTo>(bad), "{bad:?}");
        }
    }
}
