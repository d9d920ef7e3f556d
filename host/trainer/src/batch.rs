//! Sequences packed row after row, without padding, with each prompt computed once.
//!
//! A prompt is one run of rows; every completion of it is another run that attends to the prompt and to itself.
//! The last token of a completion predicts nothing and gets no row, and the head runs only on rows that
//! predict a completion token: the prompt's last row serves the first token of all its completions.
//! Not here: the arithmetic on the rows (`model::Decoder`).

use std::ops::Range;

use kernels::attention::Segment;

/// Packed rows and what the head is asked about them.
#[derive(Debug, Clone, Default)]
pub struct Packed {
    /// The token of each row.
    pub tokens: Vec<u32>,
    /// The row's place in its sequence, counted from 0.
    pub positions: Vec<u32>,
    /// Which rows a row attends to.
    pub segments: Vec<Segment>,
    /// For each completion token, the row that predicts it.
    pub predicting_rows: Vec<u32>,
    /// The completion tokens, completion after completion.
    pub targets: Vec<u32>,
    /// For each completion, where its tokens lie in `targets`.
    pub completions: Vec<Range<usize>>,
}

impl Packed {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// Where each completion begins in `targets`, and where the last one ends.
    pub fn completion_starts(&self) -> impl Iterator<Item = u32> {
        let starts = self.completions.iter().map(|tokens| tokens.start);
        starts.chain([self.targets.len()]).map(|start| start as u32)
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.positions.clear();
        self.segments.clear();
        self.predicting_rows.clear();
        self.targets.clear();
        self.completions.clear();
    }

    /// Appends a prompt of at least one token with any number of completions of at least one token each.
    pub fn push(&mut self, prompt: &[u32], completions: &[&[u32]]) {
        assert!(!prompt.is_empty(), "a prompt needs at least one token");
        let prompt_rows = self.push_run(prompt, 0, 0..0);
        for completion in completions {
            self.push_completion(completion, prompt_rows.clone());
        }
    }

    fn push_completion(&mut self, completion: &[u32], prompt: Range<usize>) {
        let (_, with_row) = completion.split_last().expect("a completion has at least one token");
        let (before, start) = (prompt.end as u32 - 1, self.rows() as u32);
        self.predicting_rows.push(before);
        self.predicting_rows.extend(start..start + with_row.len() as u32);
        let first_target = self.targets.len();
        self.targets.extend_from_slice(completion);
        self.completions.push(first_target..self.targets.len());
        self.push_run(with_row, prompt.len(), prompt);
    }

    /// Appends rows that attend to `prefix` and to themselves, and says which they are.
    fn push_run(
        &mut self,
        tokens: &[u32],
        first_position: usize,
        prefix: Range<usize>,
    ) -> Range<usize> {
        let start = self.rows();
        self.tokens.extend(tokens);
        self.positions.extend(
            (first_position..first_position + tokens.len()).map(|position| position as u32),
        );
        if !tokens.is_empty() {
            let segment = Segment {
                start,
                len: tokens.len(),
                prefix_start: prefix.start,
                prefix_len: prefix.len(),
            };
            self.segments.push(segment);
        }
        start..self.rows()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_completions_share_the_rows_of_their_prompt() {
        let mut packed = Packed::default();
        packed.push(&[0, 7, 8], &[&[20, 21, 22], &[30]]);
        packed.push(&[0], &[&[40, 41]]);
        assert_eq!(packed.tokens, [0, 7, 8, 20, 21, 0, 40]);
        assert_eq!(packed.positions, [0, 1, 2, 3, 4, 0, 1]);
        assert_eq!(packed.targets, [20, 21, 22, 30, 40, 41]);
        assert_eq!(packed.predicting_rows, [2, 3, 4, 2, 5, 6]);
        assert_eq!(packed.completions, [0..3, 3..4, 4..6]);
        let segment =
            |start, len, prefix_start, prefix_len| Segment { start, len, prefix_start, prefix_len };
        assert_eq!(
            packed.segments,
            [segment(0, 3, 0, 0), segment(3, 2, 0, 3), segment(5, 1, 0, 0), segment(6, 1, 5, 1)]
        );
    }
}
