//! What strangers may send us: a target for each gateway's webhook parser and one
//! for each verifier. `run.py` builds it, says which one runs and gives it seeds.

#![no_main]

mod parsers;
mod signers;
mod verifiers;

use billing::payment::Gateway;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// `stripe-parser`, `paypal-verifier`.
static TARGET: LazyLock<(Gateway, fn(Gateway, &[u8]))> = LazyLock::new(|| {
    let name = std::env::var("FUZZ").unwrap_or_default();
    let (gateway, part) = name.split_once('-').unwrap_or_default();
    let gateway = Gateway::ALL.into_iter().find(|it| it.as_str() == gateway);
    match (gateway, part) {
        (Some(gateway), "parser") => (gateway, parsers::run),
        (Some(gateway), "verifier") => (gateway, verifiers::run),
        _ => panic!("FUZZ={name} is no target"),
    }
});

fuzz_target!(|input: &[u8]| {
    let (gateway, run) = *TARGET;
    run(gateway, input);
});
