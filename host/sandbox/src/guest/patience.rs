//! Waiting awake, for a moment: for whoever expects an answer sooner than it would take to be woken.
//!
//! Host and child sleep in turns. To wake a core that rests takes some 40 µs on a virtual machine, and a call of one pair takes
//! 8; so whoever waits goes on asking for a while, and yields in between, so that on a core that both share the other runs.

use std::thread;
use std::time::{Duration, Instant};

/// How long to stay awake: longer than a call of a thousand pairs, and nothing beside a step of training.
const AWAKE: Duration = Duration::from_micros(200);

/// How long one wait has lasted.
pub(super) struct Patience(Option<Instant>);

impl Patience {
    pub(super) fn new() -> Self {
        Patience(None)
    }

    /// Whether to ask again at once: until 200 µs after the first time.
    pub(super) fn lasts(&mut self) -> bool {
        let since = *self.0.get_or_insert_with(Instant::now);
        thread::yield_now();
        since.elapsed() < AWAKE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends() {
        let mut patience = Patience::new();
        let mut n_asked = 0_u64;
        while patience.lasts() {
            n_asked += 1;
        }
        assert!(n_asked > 0);
        assert!(!patience.lasts());
    }
}
