//! Where a customer may be sent back to after paying: never anywhere that the
//! deployment does not name (RELIABILITY S39).

use crate::http::Problem;
use reqwest::Url;

/// `wanted` if it is at an origin of `allowed`. Without a wish, the first
/// allowed address.
pub fn choose(allowed: &[String], wanted: Option<String>) -> Result<Option<String>, Problem> {
    let Some(wanted) = wanted else { return Ok(allowed.first().cloned()) };
    let at = origin(&wanted);
    match at.is_some() && allowed.iter().any(|it| origin(it) == at) {
        true => Ok(Some(wanted)),
        false => Err(Problem::invalid("return_url", "is not at an address that this deployment allows")),
    }
}

/// Scheme, host and port of an address that a browser may go to.
fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    // Over plain HTTP only to a page on the developer's own machine.
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && local);
    let bare = url.username().is_empty() && url.password().is_none();
    (scheme && bare).then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(wanted: &str) -> bool {
        let allowed = ["https://app.example.com/billing".to_owned(), "http://127.0.0.1:3000".to_owned()];
        choose(&allowed, Some(wanted.to_owned())).is_ok()
    }

    #[test]
    fn s39_only_allowed_origins_are_returned_to() {
        for good in ["https://app.example.com/done?x=1", "https://app.example.com:443/", "http://127.0.0.1:3000/back"] {
            assert!(chosen(good), "{good}");
        }
        for bad in [
            "http://app.example.com/",
            "https://evil.example/",
            "https://app.example.com.evil.example/",
            "https://app.example.com@evil.example/",
            "https://user@app.example.com/",
            "https://app.example.com:8443/",
            "//evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "/relative",
            "",
        ] {
            assert!(!chosen(bad), "{bad}");
        }
    }

    #[test]
    fn without_a_wish_the_first_allowed_address_is_taken() {
        let allowed = ["https://app.example.com/billing".to_owned()];
        assert!(choose(&allowed, None).is_ok_and(|it| it.as_deref() == Some("https://app.example.com/billing")));
        assert!(choose(&[], None).is_ok_and(|it| it.is_none()));
    }
}
