//! What the tests share. The suites are in `contracts` and `journeys`, the benchmark in `src/bin`.

#![allow(clippy::expect_used, reason = "what a test expects and does not get is its failure")]

pub mod bill;
pub mod crowd;
pub mod embedded;
pub mod prices;
pub mod spent;
pub mod vectors;
