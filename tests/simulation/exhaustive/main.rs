//! Every interleaving of all who may be about one renewal: the worker, the
//! webhook, the customer who asks, the customer who cancels, and the check that
//! the sweeper wakes. Seeds are many stories; these are all of one.
//!
//! The workflows are the real ones, over the in-memory adapters of the domain. A
//! step is one call of a port: a read, a commit, a request to the gateway, which
//! takes the money, declines, is silent before it acts, or after. Besides, so
//! many mishaps of our own may befall a run: a process that ends between two
//! calls, a commit whose answer is lost, one that is refused for nothing.
//!
//! ```text
//! cargo test -p simulation --test exhaustive              one mishap a run
//! MISHAPS=2 cargo test -p simulation --test exhaustive    two: `make exhaustive`
//! ```

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "whoever looks for one kind of record or answer passes over all others; states are matched in full where they are checked"
)]

mod contract;
mod ports;
mod process;
mod rest;
mod search;
mod world;

use crate::search::{Scene, Search};
use billing::subscription::Command;
use std::process::ExitCode;
use std::time::Instant;

/// Each is explored on a thread of its own.
const CANCELS: [Command; 2] = [Command::CancelNow, Command::CancelAtPeriodEnd];

fn main() -> ExitCode {
    let mishaps = match std::env::var("MISHAPS") {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("MISHAPS={text}: {error}")),
        Err(_) => 1,
    };
    let passed = std::thread::scope(|scope| {
        let threads = CANCELS.map(|command| scope.spawn(move || holds(command, mishaps)));
        threads.into_iter().map(|thread| thread.join()).filter(|holds| matches!(holds, Ok(true))).count()
    });
    println!("{passed} passed, {} failed", CANCELS.len() - passed);
    if passed == CANCELS.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn holds(command: Command, mishaps: usize) -> bool {
    let started = Instant::now();
    let mut search = Search::new(Scene::of(command, mishaps));
    let breach = search.run();
    let seconds = started.elapsed().as_secs();
    println!("exhaustive: {command:?}, mishaps up to {mishaps}: {} in {seconds} s", search.tally());
    if let Some((breach, steps)) = &breach {
        steps.iter().for_each(|step| println!("  {step}"));
        println!("{command:?} breaks {}: {}", breach.invariant, breach.what);
    }
    breach.is_none()
}
