//! In which order rows are visited, epoch after epoch, and where in it one is.
//!
//! A shuffled epoch is a permutation of all rows that depends on seed, epoch and number of rows alone, so a
//! position is two numbers and any position can be gone to at once. It takes 8 bytes a row while it is walked.
//! Not here: what a row holds.

use serde::{Deserialize, Serialize};

use crate::random::{Purpose, Uniforms};

/// The order of rows within an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As in the file.
    File,
    /// A random order, another one each epoch.
    Shuffled {
        /// The same seed gives the same orders.
        seed: u64,
    },
}

/// The next row to visit. The default is the first row of the first epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Epochs that are over.
    pub epoch: u64,
    /// Rows of the current epoch that are over, those included that gave no pair.
    pub index: usize,
}

/// Rows without end from a position on.
#[derive(Debug)]
pub(crate) struct Rows {
    order: Order,
    n_rows: usize,
    position: Position,
    /// The epoch that `permutation` is of.
    shuffled_epoch: Option<u64>,
    permutation: Vec<usize>,
}

impl Rows {
    pub(crate) fn new(order: Order, n_rows: usize, position: Position) -> Self {
        Self { order, n_rows, position, shuffled_epoch: None, permutation: Vec::new() }
    }

    /// Where the next row is. The end of an epoch is the beginning of the next.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// The next row; none only if there are no rows.
    pub(crate) fn next(&mut self) -> Option<usize> {
        let Position { epoch, index } = self.position;
        let row = match self.order {
            _ if index >= self.n_rows => return None,
            Order::File => index,
            Order::Shuffled { seed } => {
                if self.shuffled_epoch != Some(epoch) {
                    let mut uniforms = Uniforms::new(seed, Purpose::PairOrder, epoch, 0);
                    self.permutation = uniforms.permutation(self.n_rows);
                    self.shuffled_epoch = Some(epoch);
                }
                self.permutation[index]
            }
        };
        self.position = match index + 1 {
            end if end == self.n_rows => Position { epoch: epoch + 1, index: 0 },
            index => Position { epoch, index },
        };
        Some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(order: Order, n_rows: usize, from: Position, n: usize) -> Vec<usize> {
        let mut rows = Rows::new(order, n_rows, from);
        (0..n).filter_map(|_| rows.next()).collect()
    }

    #[test]
    fn an_epoch_holds_every_row_once() {
        let shuffled = walk(Order::Shuffled { seed: 1 }, 10, Position::default(), 20);
        for epoch in shuffled.chunks(10) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert!(sorted.into_iter().eq(0..10));
        }
        assert_ne!(shuffled[..10], shuffled[10..]);
        assert_ne!(shuffled, walk(Order::Shuffled { seed: 2 }, 10, Position::default(), 20));
        assert_eq!(walk(Order::File, 3, Position::default(), 5), [0, 1, 2, 0, 1]);
    }

    #[test]
    fn a_walk_goes_on_where_it_was_left() {
        let order = Order::Shuffled { seed: 7 };
        let whole = walk(order, 10, Position::default(), 25);
        let mut rows = Rows::new(order, 10, Position::default());
        for n_before in 0..25 {
            assert_eq!(walk(order, 10, rows.position(), 25 - n_before), whole[n_before..]);
            rows.next();
        }
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert!(walk(Order::Shuffled { seed: 7 }, 0, Position::default(), 3).is_empty());
        assert!(walk(Order::File, 3, Position { epoch: 0, index: 3 }, 3).is_empty());
    }
}
