//! Frames and numbers on the pipes between host and child: a length and a payload, everything little-endian.
//!
//! Both ends check what they read: a decoder returns `None` rather than believe a length.

use std::io::{self, Read, Write};

use guest_sdk::{Hyperparameter, Metadata, Pairs, Scope};

use super::Evaluation;
use crate::limits::{COMPONENT_BYTES_MAX, GUEST_TEXT_BYTES_MAX, PAIRS_MAX};

/// The first frame of every child: it tells one from another program that was started by mistake.
pub(crate) const GREETING: &[u8] = b"lossbox guest 1";
/// The largest frame that a child sends.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 + 3 * 8 * PAIRS_MAX + 64 * GUEST_TEXT_BYTES_MAX;
/// The largest frame that a host sends.
pub(crate) const CALL_BYTES_MAX: usize = COMPONENT_BYTES_MAX + 64 + 40 * PAIRS_MAX;
/// Hyperparameters of one loss.
const HYPERPARAMETERS_MAX: usize = 32;

/// Why a call has no result, as the child tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    Fuel,
    Timeout,
    Crash,
    Trap(String),
    Guest(String),
    World(String),
}

/// What a child answers to a call.
#[derive(Debug)]
pub(crate) enum Answer {
    Evaluation(Evaluation),
    Problem(Problem),
}

pub(crate) fn write_frame(to: &mut impl Write, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(payload)
}

/// The next frame, or `None` at the end of the stream.
pub(crate) fn read_frame(from: &mut impl Read, bytes_max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        outcome => outcome?,
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > bytes_max {
        return Err(io::Error::other("a frame is too large"));
    }
    let mut payload = vec![0; length];
    from.read_exact(&mut payload)?;
    Ok(Some(payload))
}

pub(crate) fn encode_call(pairs: &Pairs, hyperparameters: &[f64]) -> Vec<u8> {
    let mut writer = Writer::default();
    let numbers = [
        &pairs.policy_chosen_logps,
        &pairs.policy_rejected_logps,
        &pairs.reference_chosen_logps,
        &pairs.reference_rejected_logps,
    ];
    for list in numbers {
        writer.numbers(list);
    }
    writer.counts(&pairs.chosen_tokens);
    writer.counts(&pairs.rejected_tokens);
    writer.numbers(hyperparameters);
    writer.0
}

pub(crate) fn decode_call(payload: &[u8]) -> Option<(Pairs, Vec<f64>)> {
    let mut reader = Reader(payload);
    let pairs = Pairs {
        policy_chosen_logps: reader.numbers(PAIRS_MAX)?,
        policy_rejected_logps: reader.numbers(PAIRS_MAX)?,
        reference_chosen_logps: reader.numbers(PAIRS_MAX)?,
        reference_rejected_logps: reader.numbers(PAIRS_MAX)?,
        chosen_tokens: reader.counts(PAIRS_MAX)?,
        rejected_tokens: reader.counts(PAIRS_MAX)?,
    };
    Some((pairs, reader.numbers(HYPERPARAMETERS_MAX)?))
}

pub(crate) fn encode_answer(answer: &Answer) -> Vec<u8> {
    let mut writer = Writer::default();
    match answer {
        Answer::Evaluation(evaluation) => {
            writer.byte(0);
            writer.0.extend(evaluation.fuel.to_le_bytes());
            writer.numbers(&evaluation.losses);
            writer.numbers(&evaluation.policy_chosen);
            writer.numbers(&evaluation.policy_rejected);
        }
        Answer::Problem(problem) => writer.problem(problem),
    }
    writer.0
}

pub(crate) fn decode_answer(payload: &[u8]) -> Option<Answer> {
    let mut reader = Reader(payload);
    if let Some(problem) = reader.problem()? {
        return Some(Answer::Problem(problem));
    }
    let fuel = u64::from_le_bytes(*reader.take()?);
    Some(Answer::Evaluation(Evaluation {
        losses: reader.numbers(PAIRS_MAX)?,
        policy_chosen: reader.numbers(PAIRS_MAX)?,
        policy_rejected: reader.numbers(PAIRS_MAX)?,
        fuel,
    }))
}

pub(crate) fn encode_ready(ready: &Result<Metadata, Problem>) -> Vec<u8> {
    let mut writer = Writer::default();
    match ready {
        Err(problem) => writer.problem(problem),
        Ok(metadata) => {
            writer.byte(0);
            writer.text(&metadata.name);
            writer.text(&metadata.summary);
            writer.byte(u8::from(metadata.citation.is_some()));
            writer.text(metadata.citation.as_deref().unwrap_or_default());
            writer.byte(u8::from(matches!(metadata.scope, Scope::Batch)));
            writer.count(metadata.hyperparameters.len());
            for hyperparameter in metadata.hyperparameters.iter().take(HYPERPARAMETERS_MAX) {
                writer.text(&hyperparameter.name);
                writer.numbers(&[
                    hyperparameter.default,
                    hyperparameter.minimum,
                    hyperparameter.maximum,
                ]);
            }
        }
    }
    writer.0
}

pub(crate) fn decode_ready(payload: &[u8]) -> Option<Result<Metadata, Problem>> {
    let mut reader = Reader(payload);
    if let Some(problem) = reader.problem()? {
        return Some(Err(problem));
    }
    let (name, summary) = (reader.text()?, reader.text()?);
    let has_citation = reader.byte()? == 1;
    let citation = Some(reader.text()?).filter(|_| has_citation);
    let scope = match reader.byte()? {
        0 => Scope::Pair,
        _ => Scope::Batch,
    };
    let n_hyperparameters = reader.count(HYPERPARAMETERS_MAX)?;
    let hyperparameters: Option<Vec<Hyperparameter>> = (0..n_hyperparameters)
        .map(|_| {
            let name = reader.text()?;
            let [default, minimum, maximum] = reader.numbers(3)?.try_into().ok()?;
            Some(Hyperparameter {
                name,
                default,
                minimum,
                maximum,
            })
        })
        .collect();
    Some(Ok(Metadata {
        name,
        summary,
        citation,
        scope,
        hyperparameters: hyperparameters?,
    }))
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn count(&mut self, count: usize) {
        self.0.extend((count as u32).to_le_bytes());
    }

    fn numbers(&mut self, numbers: &[f64]) {
        self.count(numbers.len());
        self.0
            .extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }

    fn counts(&mut self, counts: &[u32]) {
        self.count(counts.len());
        self.0
            .extend(counts.iter().flat_map(|count| count.to_le_bytes()));
    }

    /// At most the limit's bytes, cut at a character.
    fn text(&mut self, text: &str) {
        let mut end = text.len().min(GUEST_TEXT_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.count(end);
        self.0.extend(&text.as_bytes()[..end]);
    }

    fn problem(&mut self, problem: &Problem) {
        let (code, text) = match problem {
            Problem::Fuel => (1, ""),
            Problem::Timeout => (2, ""),
            Problem::Crash => (3, ""),
            Problem::Trap(text) => (4, text.as_str()),
            Problem::Guest(text) => (5, text.as_str()),
            Problem::World(text) => (6, text.as_str()),
        };
        self.byte(code);
        self.text(text);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(head)
    }

    fn slice(&mut self, n_bytes: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(n_bytes)?;
        self.0 = tail;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| *byte)
    }

    fn count(&mut self, count_max: usize) -> Option<usize> {
        let count = u32::from_le_bytes(*self.take()?) as usize;
        (count <= count_max).then_some(count)
    }

    fn numbers(&mut self, count_max: usize) -> Option<Vec<f64>> {
        let count = self.count(count_max)?;
        let (numbers, _) = self.slice(8 * count)?.as_chunks();
        Some(
            numbers
                .iter()
                .map(|number| f64::from_le_bytes(*number))
                .collect(),
        )
    }

    fn counts(&mut self, count_max: usize) -> Option<Vec<u32>> {
        let count = self.count(count_max)?;
        let (counts, _) = self.slice(4 * count)?.as_chunks();
        Some(
            counts
                .iter()
                .map(|count| u32::from_le_bytes(*count))
                .collect(),
        )
    }

    fn text(&mut self) -> Option<String> {
        let count = self.count(GUEST_TEXT_BYTES_MAX)?;
        Some(String::from_utf8_lossy(self.slice(count)?).into_owned())
    }

    /// `Some(None)` where the payload goes on with a result.
    fn problem(&mut self) -> Option<Option<Problem>> {
        let problem = match self.byte()? {
            0 => return Some(None),
            1 => Problem::Fuel,
            2 => Problem::Timeout,
            4 => Problem::Trap(self.text()?),
            5 => Problem::Guest(self.text()?),
            6 => Problem::World(self.text()?),
            _ => Problem::Crash,
        };
        Some(Some(problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_survives_the_pipe() {
        let pairs = Pairs {
            policy_chosen_logps: vec![-1.5, f64::NEG_INFINITY],
            policy_rejected_logps: vec![-2.5, 0.0],
            reference_chosen_logps: vec![-3.5, -0.0],
            reference_rejected_logps: vec![-4.5, 1e-310],
            chosen_tokens: vec![1, u32::MAX],
            rejected_tokens: vec![7, 8],
        };
        let (decoded, hyperparameters) =
            decode_call(&encode_call(&pairs, &[0.1])).expect("well formed");
        assert_eq!(decoded.policy_chosen_logps, pairs.policy_chosen_logps);
        assert_eq!(
            decoded.reference_chosen_logps[1].to_bits(),
            (-0.0_f64).to_bits()
        );
        assert_eq!(decoded.chosen_tokens, pairs.chosen_tokens);
        assert_eq!(hyperparameters, [0.1]);
    }

    #[test]
    fn lengths_that_lie_are_not_believed() {
        let mut payload = encode_call(
            &Pairs {
                policy_chosen_logps: vec![-1.0],
                policy_rejected_logps: vec![-1.0],
                reference_chosen_logps: vec![-1.0],
                reference_rejected_logps: vec![-1.0],
                chosen_tokens: vec![1],
                rejected_tokens: vec![1],
            },
            &[],
        );
        payload[0] = 200;
        assert!(decode_call(&payload).is_none());
        assert!(read_frame(&mut [255, 255, 255, 255, 0].as_slice(), 100).is_err());
    }
}
