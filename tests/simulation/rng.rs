//! Chance, from a seed: SplitMix64. The same seed tells the same story on
//! every machine, for ever.

#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    /// Another, which this one's story does not depend on.
    pub(crate) fn aside(&self) -> Self {
        Self::seeded(!self.0)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of 0, 1, … `end - 1`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % end).unwrap_or_default()
    }

    /// From `from` to `to`, both included.
    pub(crate) fn within(&mut self, from: i64, to: i64) -> i64 {
        let width = to.saturating_sub(from).max(0).unsigned_abs() + 1;
        from + i64::try_from(self.next() % width).unwrap_or_default()
    }

    /// True `permille` times out of a thousand.
    pub(crate) fn chance(&mut self, permille: u32) -> bool {
        permille > 0 && self.next() % 1000 < u64::from(permille)
    }

    pub(crate) fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}
