//! A body that was signed, or would have been: whatever is in it, reading it ends,
//! means the same each time, and never names what cannot be ours.

use billing::delivery::Notice;
use billing::payment::Gateway;
use http::HeaderMap;
use jiff::Timestamp;
use platform::gateways::{Received, verification};

pub(crate) fn run(gateway: Gateway, body: &[u8]) {
    let Some((notice, lead)) = read(gateway, body) else { return };
    assert_eq!(notice.id.gateway, gateway);
    if let Some(reference) = &notice.reference {
        let reference = reference.as_str();
        assert!(reference.len() == 26 && reference.starts_with('r'), "{reference}");
        assert!(reference.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{reference}");
    }
    // Each becomes part of an address at the gateway.
    for name in notice.object.iter().chain(&lead) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        assert!(!name.is_empty() && name.bytes().all(plain), "{name}");
    }
    let read_once = Some((notice.clone(), lead));
    assert_eq!(read(gateway, body), read_once);
    // As it is kept for audit it can be read again, and says the same.
    if std::str::from_utf8(body).is_ok() {
        assert_eq!(read(gateway, notice.body.as_bytes()), read_once);
    }
}

fn read(gateway: Gateway, body: &[u8]) -> Option<(Notice, Option<String>)> {
    let headers = HeaderMap::new();
    verification::notice(gateway, false, &Received { headers: &headers, body, at: Timestamp::UNIX_EPOCH }).ok()
}
