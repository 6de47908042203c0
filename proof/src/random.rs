//! A source of random numbers: a small seeded generator (SplitMix64), the same on every machine, or
//! bytes that were drawn elsewhere.

use std::collections::VecDeque;

/// The generator. Two with the same seed, or the same bytes, give the same numbers.
#[derive(Clone, Debug)]
pub struct Random(Source);

#[derive(Clone, Debug)]
enum Source {
    Seed(u64),
    /// The bytes that are left; zeros follow.
    Bytes(VecDeque<u8>),
}

impl Random {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(Source::Seed(seed))
    }

    /// Takes its numbers from bytes, and zeros after them. A number with a small bound takes one
    /// byte, so that a change of one byte changes one choice.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Source::Bytes(bytes.iter().copied().collect()))
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        match &mut self.0 {
            Source::Seed(state) => {
                *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut mixed = *state;
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                mixed ^ (mixed >> 31)
            }
            Source::Bytes(bytes) => take(bytes, 8),
        }
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        match &mut self.0 {
            Source::Bytes(bytes) if bound <= 1 << 8 => take(bytes, 1) % bound,
            Source::Bytes(bytes) if bound <= 1 << 16 => take(bytes, 2) % bound,
            _ => self.draw() % bound,
        }
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of the items, or `None` if there are none.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let index = self.below(items.len().max(1) as u64);
        items.get(usize::try_from(index).unwrap_or(0)).copied()
    }
}

fn take(bytes: &mut VecDeque<u8>, count: u32) -> u64 {
    (0..count).fold(0, |number, _| {
        number << 8 | u64::from(bytes.pop_front().unwrap_or(0))
    })
}
