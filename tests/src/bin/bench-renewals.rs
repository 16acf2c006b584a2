//! What a renewal costs, and what a million of them do: make bench-renewals SIZES=1000,10000

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on has nothing to tell")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use tests::crowd::{Costs, Crowd, Month};
use tests::prices::PriceFile;

const OUR_PRICES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bench/prices.json");

/// How many owe a new period, beside those who do not: what one sweep finds at once.
const RENEWALS: u32 = 1_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match bench().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(2)
        }
    }
}

async fn bench() -> Result<(), String> {
    let arguments = || std::env::args().skip(1);
    let sizes = arguments().next().unwrap_or_default();
    let sizes: Result<Vec<u32>, _> = sizes.split(',').map(|size| size.trim().parse::<u32>()).collect();
    let mut sizes = sizes.map_err(|error| format!("SIZES is a list of numbers, such as 1000,10000: {error}"))?;
    sizes.sort_unstable();
    let file = arguments().nth(1).filter(|file| !file.is_empty()).map_or_else(|| OUR_PRICES.into(), PathBuf::from);
    let problem = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let prices = std::fs::read_to_string(&file).map_err(|error| problem(&error))?;
    let prices: PriceFile = serde_json::from_str(&prices).map_err(|error| problem(&error))?;

    println!(
        "{RENEWALS} renewals, beside so many subscriptions that are not due. Units of capacity and requests for each:\n"
    );
    println!("          | sweep                   | renewal                          | renewals a");
    println!("  not due |   rows requests   units |  reads  writes   r. u.    w. u.  | second a worker");
    let mut last = Err("SIZES is empty".to_owned());
    for size in sizes {
        let before = Instant::now();
        let crowd = Crowd::gather(size).await;
        eprintln!("  ({size} are there, after {} s)", before.elapsed().as_secs());
        let month = crowd.month(RENEWALS).await;
        println!("{}", row(size, &month));
        last = Ok(month.spent);
    }
    println!("\n{}", prices.bill(&last?, RENEWALS));
    Ok(())
}

fn row(size: u32, Month { spent, took }: &Month) -> String {
    let Costs { sweep, renewals, .. } = spent;
    let each = |total: u64, one: u64| {
        let thousandths = total * 1_000 / (one * u64::from(RENEWALS));
        format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000)
    };
    format!(
        "{size:>9} | {:>6} {:>8} {:>7} | {:>6} {:>7} {:>7} {:>8}  | {}",
        each(sweep.rows, 1),
        each(sweep.reads.into(), 1),
        each(sweep.read_halves, 2),
        each(renewals.reads.into(), 1),
        each(renewals.writes.into(), 1),
        each(renewals.read_halves, 2),
        each(renewals.write_halves, 2),
        u128::from(RENEWALS) * 1_000 / took.as_millis().max(1),
    )
}
