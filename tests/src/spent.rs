//! What was *spent* on DynamoDB: requests, and capacity in halves of a unit,
//! because an eventually consistent read costs one half.

use std::fmt;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Requests that read.
    pub reads: u32,
    /// Transactions that write.
    pub writes: u32,
    /// What queries looked at.
    pub rows: u64,
    pub read_halves: u64,
    pub write_halves: u64,
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let halves = |halves: u64| format!("{}{}", halves / 2, if halves.is_multiple_of(2) { "" } else { ".5" });
        let (reading, writing) = (halves(self.read_halves), halves(self.write_halves));
        write!(f, "{} reads ({reading} units), {} writes ({writing} units)", self.reads, self.writes)
    }
}
