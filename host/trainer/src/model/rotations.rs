//! Cosines and sines of the positions that have occurred so far.
//!
//! A table for a model's whole context can be larger than its activations; these grow with the longest sequence.

use kernels::rope::Table;

use super::decoder::Frequencies;

/// One table for each kind of rotation in a decoder.
#[derive(Debug, Default)]
pub(super) struct Rotations {
    tables: Vec<Table>,
}

impl Rotations {
    /// Makes the tables cover `n_positions`.
    pub(super) fn fit(&mut self, kinds: &[Frequencies], n_positions: usize) {
        let covers = self.tables.iter().all(|table| table.n_positions() >= n_positions);
        if covers && self.tables.len() == kinds.len() {
            return;
        }
        let n_positions = n_positions.next_power_of_two();
        let table =
            |kind: &Frequencies| Table::scaled(n_positions, &kind.frequencies, kind.magnitude);
        self.tables = kinds.iter().map(table).collect();
    }

    pub(super) fn table(&self, kind: usize) -> &Table {
        &self.tables[kind]
    }
}
