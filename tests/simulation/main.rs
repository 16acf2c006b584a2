//! The real workflows under faults, seed by seed, with the contract checked
//! after every step (RELIABILITY, sections 1 and 3).
//!
//! ```text
//! cargo test -p simulation                       the first thousands of seeds
//! make simulate SEEDS=7000000..7020000           other seeds
//! make simulate SEEDS=17                         one seed, with its last steps if it fails
//! ABOUT=pay_ make simulate SEEDS=17              with every step that names a payment instead
//! ```
//!
//! `planted.py` beside this file measures what the simulation finds. A defect that
//! a seed once found is planted there: a seed tells another story as soon as
//! somebody has one more thing to do.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "whoever looks for one kind of record passes over all others; states are matched in full where they are checked"
)]

mod aftermath;
mod books;
mod checker;
mod consumers;
mod deployment;
mod errand;
mod faults;
mod jobs;
mod onlooker;
mod pages;
mod people;
mod ports;
mod previews;
mod rng;
mod staff;
mod store;
mod strangers;
mod usage;
mod world;

use crate::checker::{Happened, TO_HAPPEN};
use crate::world::Story;
use billing::ports::Record;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// What is tried with every change: about a minute on two cores.
const SEEDS: Range<u64> = 0..20_000;
const THREADS: u64 = 2;

/// In so many stories everything happens that can.
const MANY: u64 = 2_000;

/// After so many, a long run says how far it is.
const SEEDS_A_LINE: u64 = 50_000;

/// How many of the last steps of a failing seed are shown.
const STEPS_SHOWN: usize = 120;

fn main() -> ExitCode {
    let seeds = match std::env::var("SEEDS") {
        Ok(text) => match parse(&text) {
            Some(seeds) => seeds,
            None => {
                eprintln!("SEEDS={text}: expected one seed (17), or a range (0..1000, without its end)");
                return ExitCode::from(2);
            }
        },
        Err(_) => SEEDS,
    };
    let started = Instant::now();
    let catalogue = jobs::catalogue();
    let tally = Tally::default();
    let failed = run(seeds, &catalogue, &tally);
    if let Some(seed) = failed {
        show(seed, &catalogue);
    }
    let (seeds, steps) = (tally.seeds.load(Ordering::Relaxed), tally.steps.load(Ordering::Relaxed));
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    let (passed, broken) = (seeds - u64::from(failed.is_some()), u64::from(failed.is_some()));
    println!(
        "simulation: {seeds} seeds, {steps} steps in {}.{} s, {} steps a second",
        ms / 1000,
        ms % 1000 / 100,
        steps * 1000 / ms
    );
    println!("{passed} passed, {broken} failed");
    let untold = tally.untold();
    if failed.is_none() && seeds >= MANY && !untold.is_empty() {
        println!("and yet no story has: {}", untold.join(", "));
        return ExitCode::FAILURE;
    }
    if failed.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn parse(text: &str) -> Option<Range<u64>> {
    let seed = |text: &str| text.trim().parse::<u64>().ok();
    let seeds = match text.split_once("..") {
        Some((from, to)) => seed(from)?..seed(to)?,
        None => seed(text)?..seed(text)?.checked_add(1)?,
    };
    Some(seeds).filter(|seeds| !seeds.is_empty())
}

#[derive(Debug, Default)]
struct Tally {
    seeds: AtomicU64,
    steps: AtomicU64,
    happened: Mutex<Happened>,
}

impl Tally {
    fn holds(&self, seed: u64, catalogue: &[Record]) -> bool {
        let Story { steps, breach, happened, .. } = world::tell(seed, catalogue, false);
        self.happened.lock().unwrap_or_else(PoisonError::into_inner).extend(happened);
        let told = self.seeds.fetch_add(1, Ordering::Relaxed) + 1;
        if told.is_multiple_of(SEEDS_A_LINE) {
            println!("simulation: {told} seeds so far");
        }
        self.steps.fetch_add(steps, Ordering::Relaxed);
        breach.is_none()
    }

    /// What no story was about, so that no check has looked at it.
    fn untold(&self) -> Vec<&'static str> {
        let happened = self.happened.lock().unwrap_or_else(PoisonError::into_inner);
        TO_HAPPEN.into_iter().filter(|it| !happened.contains(it)).collect()
    }
}

/// Runs `seeds` until one fails, and says the lowest that did.
fn run(seeds: Range<u64>, catalogue: &[Record], tally: &Tally) -> Option<u64> {
    let failed = AtomicU64::new(u64::MAX);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (seeds, failed) = (seeds.clone(), &failed);
            scope.spawn(move || {
                for seed in seeds.filter(|seed| seed % THREADS == thread) {
                    if seed > failed.load(Ordering::Relaxed) {
                        return;
                    }
                    if !tally.holds(seed, catalogue) {
                        failed.fetch_min(seed, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    Some(failed.into_inner()).filter(|seed| *seed != u64::MAX)
}

/// Tells the story of a failing seed again, and its end aloud.
fn show(seed: u64, catalogue: &[Record]) {
    let story = world::tell(seed, catalogue, true);
    if let Some(first) = story.trace.first() {
        println!("{first}");
    }
    // ABOUT=<text> shows every step that names it instead.
    match std::env::var("ABOUT") {
        Ok(about) => story.trace.iter().filter(|line| line.contains(&about)).for_each(|line| println!("{line}")),
        Err(_) => {
            let last = story.trace.len().saturating_sub(STEPS_SHOWN).max(1);
            story.trace.iter().skip(last).for_each(|line| println!("{line}"));
        }
    }
    if let Some(breach) = story.breach {
        println!("seed {seed} breaks {} at step {}: {}", breach.invariant, breach.step, breach.what);
    }
}
