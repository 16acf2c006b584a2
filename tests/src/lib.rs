//! What the tests share. The suites are in `contracts` and `journeys`.

#![allow(clippy::expect_used, reason = "what a test expects and does not get is its failure")]

pub mod embedded;
pub mod vectors;
