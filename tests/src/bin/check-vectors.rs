//! Runs a file of test vectors: make check-vectors FILE=…

use std::path::PathBuf;
use std::process::ExitCode;
use tests::vectors::Vectors;

const OURS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contracts/vectors.json");

fn main() -> ExitCode {
    let file = std::env::args_os().nth(1).filter(|file| !file.is_empty()).map_or_else(|| OURS.into(), PathBuf::from);
    let read = std::fs::read_to_string(&file).map_err(|error| error.to_string());
    let vectors = match read.and_then(|text| Vectors::parse(&text).map_err(|error| error.to_string())) {
        Ok(vectors) => vectors,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            return ExitCode::from(2);
        }
    };
    let report = vectors.check();
    println!("{report}");
    if report.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
