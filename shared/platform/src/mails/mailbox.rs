//! Whom a mail is from, as its header writes it.

use data_encoding::BASE64;

/// The most that SES takes of one address with its name: what is longer it refuses, and the mail with it.
const MOST_BYTES: usize = 320;

/// What one encoded word has room for: 75 characters, less those around the text, of which four stand for three bytes.
const MOST_ENCODED: usize = 45;

/// `address` under a name (RFC 5322, 3.4). One that would not fit beside it is left out: the mail is to arrive.
pub(super) fn mailbox(name: &str, address: &str) -> String {
    // Whatever reads like an encoded word is decoded by many, though it is quoted.
    let plain = name.is_ascii() && !name.contains("=?");
    let named = format!("{} <{address}>", if plain { quoted(name) } else { encoded(name) });
    if named.len() <= MOST_BYTES { named } else { address.to_owned() }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// As words that SES, which takes ASCII alone, hands on as they are (RFC 2047): none of them parts a character.
fn encoded(name: &str) -> String {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        match words.last_mut() {
            Some(word) if word.len() + letter.len_utf8() <= MOST_ENCODED => word.push(letter),
            Some(_) | None => words.push(letter.to_string()),
        }
    }
    let words: Vec<String> = words.iter().map(|it| format!("=?UTF-8?B?{}?=", BASE64.encode(it.as_bytes()))).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "us@seller.example";

    #[test]
    fn a_name_is_quoted_and_what_is_not_ascii_encoded() {
        for (name, header) in [
            ("Acme Billing", "\"Acme Billing\" <us@seller.example>"),
            ("Acme, Inc. <x@evil.example>", "\"Acme, Inc. <x@evil.example>\" <us@seller.example>"),
            (r#"A "B" \ C"#, r#""A \"B\" \\ C" <us@seller.example>"#),
            ("Müller", "=?UTF-8?B?TcO8bGxlcg==?= <us@seller.example>"),
            ("=?UTF-8?B?TcO8bGxlcg==?=", "=?UTF-8?B?PT9VVEYtOD9CP1RjTzhiR3hsY2c9PT89?= <us@seller.example>"),
        ] {
            assert_eq!(mailbox(name, ADDRESS), header);
        }
    }

    #[test]
    fn a_long_name_is_several_words_and_each_of_them_whole() {
        for name in ["Ж".repeat(60), "株".repeat(40), format!("x{}", "🦀".repeat(29)), "é".repeat(60)] {
            let header = mailbox(&name, ADDRESS);
            let words = header.strip_suffix(" <us@seller.example>").unwrap_or_else(|| panic!("{header}"));
            let decoded = words.split(' ').map(|word| {
                assert!(word.len() <= 75, "{word}");
                let text = word.strip_prefix("=?UTF-8?B?").and_then(|it| it.strip_suffix("?="));
                let bytes = BASE64.decode(text.unwrap_or_else(|| panic!("{word}")).as_bytes());
                String::from_utf8(bytes.unwrap_or_else(|error| panic!("{error}")))
                    .unwrap_or_else(|error| panic!("{error}"))
            });
            assert_eq!(decoded.collect::<String>(), name);
            assert!(header.len() <= 240, "room is left for an address: {header}");
        }
    }

    #[test]
    fn a_name_that_ses_would_not_take_beside_the_address_is_left_out() {
        let domain = |length: usize| format!("{}.example", "x".repeat(length));
        let fits = mailbox("Acme", &format!("us@{}", domain(300)));
        assert!(fits.starts_with("\"Acme\" <") && fits.len() == 320, "{}", fits.len());
        let alone = format!("us@{}", domain(301));
        assert_eq!(mailbox("Acme", &alone), alone);
    }
}
