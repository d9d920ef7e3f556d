//! Passes that were captured, by what their launches follow from.

use kernels::cuda::Replay;

/// A pass in both directions.
#[derive(Debug, Default)]
pub(super) struct Directions {
    pub forward: Replay,
    pub backward: Replay,
}

/// Passes that came up lately. Batches of ever other shapes would keep graphs without end.
#[derive(Debug, Default)]
pub(super) struct Replays {
    /// The one that was used last stands last.
    known: Vec<(Vec<u64>, Directions)>,
}

impl Replays {
    const KNOWN_MAX: usize = 32;

    /// The pass whose launches follow from these numbers.
    pub(super) fn of(&mut self, form: &[u64]) -> &mut Directions {
        match self.known.iter().position(|(known, _)| known == form) {
            Some(place) => self.known[place..].rotate_left(1),
            None => {
                if self.known.len() == Self::KNOWN_MAX {
                    self.known.remove(0);
                }
                self.known.push((form.to_vec(), Directions::default()));
            }
        }
        &mut self.known.last_mut().expect("put there above").1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_is_forgotten() {
        let mut replays = Replays::default();
        for form in 0..Replays::KNOWN_MAX as u64 {
            replays.of(&[form]);
        }
        replays.of(&[0]);
        replays.of(&[99]);
        let known: Vec<u64> = replays.known.iter().map(|(form, _)| form[0]).collect();
        assert_eq!(known.len(), Replays::KNOWN_MAX);
        assert_eq!((known[0], &known[known.len() - 2..]), (2, &[0, 99][..]));
    }
}
