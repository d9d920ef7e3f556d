//! Frames and numbers on the pipes between host and child: a length and a payload, everything little-endian.
//!
//! Host and child take turns, one frame each, so anything before or after a frame is an offence. Both ends check what
//! they read: a decoder returns `None` rather than believe a length. No machine code crosses, in either direction.

use std::time::Duration;

use guest_sdk::{Hyperparameter, Metadata, Pairs, Scope};

use super::{Answer, Evaluation, Problem, Setup, Spent, Variant};
use crate::limits::{COMPONENT_BYTES_MAX, GUEST_TEXT_BYTES_MAX, HYPERPARAMETERS_MAX, PAIRS_MAX};

/// The first frame of every child: it tells one from another program that was started by mistake.
pub(crate) const GREETING: &[u8] = b"lossbox guest 3";
/// The largest payload that a child sends.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 + 3 * 8 * PAIRS_MAX + 64 * GUEST_TEXT_BYTES_MAX;
/// The largest payload that a host sends.
pub(crate) const CALL_BYTES_MAX: usize = COMPONENT_BYTES_MAX + 64 + 40 * PAIRS_MAX;
/// Hyperparameters of a description: one more than a loss may have, so that the probe sees that there are too many.
const HYPERPARAMETERS_DESCRIBED: usize = HYPERPARAMETERS_MAX + 1;
/// A frame begins with the length of its payload.
const HEADER_BYTES: usize = 4;
/// What is asked of a pipe at once: as much as one holds.
const READ_BYTES: usize = 64 << 10;

/// A frame that is too large, or bytes beyond one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Babble;

/// Bytes that came through a pipe and are not yet a whole frame.
#[derive(Debug)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    filled: usize,
    payload_bytes_max: usize,
}

impl Inbox {
    pub(crate) fn new(payload_bytes_max: usize) -> Self {
        Inbox { bytes: Vec::new(), filled: 0, payload_bytes_max }
    }

    /// Room for the next bytes: never more than the largest frame and one byte that would be too many.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let largest = HEADER_BYTES + self.payload_bytes_max + 1;
        let wanted = match self.announced() {
            Some(payload_bytes) => HEADER_BYTES + payload_bytes.min(self.payload_bytes_max) + 1,
            None => READ_BYTES,
        };
        let wanted = wanted.max(self.filled + 1).max(READ_BYTES).min(largest);
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
        &mut self.bytes[self.filled..]
    }

    pub(crate) fn received(&mut self, n_bytes: usize) {
        self.filled += n_bytes;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether what came is one whole frame.
    pub(crate) fn is_whole(&self) -> Result<bool, Babble> {
        match self.announced() {
            None => Ok(false),
            Some(payload_bytes) if payload_bytes > self.payload_bytes_max => Err(Babble),
            Some(payload_bytes) if self.filled > HEADER_BYTES + payload_bytes => Err(Babble),
            Some(payload_bytes) => Ok(self.filled == HEADER_BYTES + payload_bytes),
        }
    }

    /// The payload of a whole frame, which makes room for the next.
    pub(crate) fn take(&mut self) -> &[u8] {
        let payload = self.bytes.get(HEADER_BYTES..self.filled);
        self.filled = 0;
        payload.unwrap_or_default()
    }

    fn announced(&self) -> Option<usize> {
        let header = self.bytes[..self.filled].first_chunk::<HEADER_BYTES>()?;
        Some(u32::from_le_bytes(*header) as usize)
    }
}

/// The frame with this payload.
pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let mut writer = Writer::frame(payload.len());
    writer.bytes.extend_from_slice(payload);
    writer.finish()
}

pub(super) fn encode_setup(setup: &Setup<'_>) -> Vec<u8> {
    let mut writer = Writer::frame(setup.component.len() + 16);
    let clock_ms = u64::try_from(setup.clock.as_millis()).unwrap_or(u64::MAX);
    writer.bytes.extend(clock_ms.to_le_bytes());
    writer.byte(u8::from(setup.wasi));
    writer.byte(setup.variant as u8);
    writer.bytes.extend_from_slice(setup.component);
    writer.finish()
}

pub(super) fn decode_setup(payload: &[u8]) -> Option<Setup<'_>> {
    let mut reader = Reader(payload);
    let clock_ms = u64::from_le_bytes(*reader.take()?);
    Some(Setup {
        clock: Duration::from_millis(clock_ms),
        wasi: reader.flag()?,
        variant: Variant::decode(reader.byte()?)?,
        component: reader.0,
    })
}

/// `number` counts the calls of a child, and its answer repeats it.
pub(crate) fn encode_call(number: u32, pairs: &Pairs, hyperparameters: &[f64]) -> Vec<u8> {
    let mut writer = Writer::frame(40 * pairs.len() + 8 * hyperparameters.len() + 32);
    writer.bytes.extend(number.to_le_bytes());
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
    writer.finish()
}

pub(crate) fn decode_call(payload: &[u8]) -> Option<(u32, Pairs, Vec<f64>)> {
    let mut reader = Reader(payload);
    let number = u32::from_le_bytes(*reader.take()?);
    let pairs = Pairs {
        policy_chosen_logps: reader.numbers(PAIRS_MAX)?,
        policy_rejected_logps: reader.numbers(PAIRS_MAX)?,
        reference_chosen_logps: reader.numbers(PAIRS_MAX)?,
        reference_rejected_logps: reader.numbers(PAIRS_MAX)?,
        chosen_tokens: reader.counts(PAIRS_MAX)?,
        rejected_tokens: reader.counts(PAIRS_MAX)?,
    };
    let hyperparameters = reader.numbers(HYPERPARAMETERS_MAX)?;
    reader.at_end((number, pairs, hyperparameters))
}

pub(crate) fn encode_answer(number: u32, answer: &Answer) -> Vec<u8> {
    let mut writer = Writer::frame(match answer {
        Ok(evaluation) => 24 * evaluation.losses.len() + 64,
        Err(_) => 64,
    });
    writer.bytes.extend(number.to_le_bytes());
    match answer {
        Ok(evaluation) => {
            writer.byte(0);
            writer.bytes.extend(evaluation.fuel.to_le_bytes());
            writer.duration(evaluation.spent.instantiate);
            writer.duration(evaluation.spent.evaluate);
            writer.numbers(&evaluation.losses);
            writer.numbers(&evaluation.policy_chosen);
            writer.numbers(&evaluation.policy_rejected);
        }
        Err(problem) => writer.problem(problem),
    }
    writer.finish()
}

/// The answer to the call of this number.
pub(crate) fn decode_answer(number: u32, payload: &[u8]) -> Option<Answer> {
    let mut reader = Reader(payload);
    if u32::from_le_bytes(*reader.take()?) != number {
        return None;
    }
    if let Some(problem) = reader.problem()? {
        return reader.at_end(Err(problem));
    }
    let fuel = u64::from_le_bytes(*reader.take()?);
    let spent = Spent { instantiate: reader.duration()?, evaluate: reader.duration()? };
    let evaluation = Evaluation {
        losses: reader.numbers(PAIRS_MAX)?,
        policy_chosen: reader.numbers(PAIRS_MAX)?,
        policy_rejected: reader.numbers(PAIRS_MAX)?,
        fuel,
        spent,
    };
    reader.at_end(Ok(evaluation))
}

pub(crate) fn encode_ready(ready: &Result<Metadata, Problem>) -> Vec<u8> {
    let mut writer = Writer::frame(256);
    match ready {
        Err(problem) => writer.problem(problem),
        Ok(metadata) => {
            writer.byte(0);
            writer.text(&metadata.name);
            writer.text(&metadata.summary);
            writer.byte(u8::from(metadata.citation.is_some()));
            writer.text(metadata.citation.as_deref().unwrap_or_default());
            writer.byte(u8::from(matches!(metadata.scope, Scope::Batch)));
            let n_hyperparameters = metadata.hyperparameters.len().min(HYPERPARAMETERS_DESCRIBED);
            writer.count(n_hyperparameters);
            for hyperparameter in &metadata.hyperparameters[..n_hyperparameters] {
                writer.text(&hyperparameter.name);
                writer.numbers(&[
                    hyperparameter.default,
                    hyperparameter.minimum,
                    hyperparameter.maximum,
                ]);
            }
        }
    }
    writer.finish()
}

pub(crate) fn decode_ready(payload: &[u8]) -> Option<Result<Metadata, Problem>> {
    let mut reader = Reader(payload);
    if let Some(problem) = reader.problem()? {
        return reader.at_end(Err(problem));
    }
    let (name, summary) = (reader.text()?, reader.text()?);
    let has_citation = reader.flag()?;
    let citation = Some(reader.text()?).filter(|_| has_citation);
    let scope = match reader.flag()? {
        false => Scope::Pair,
        true => Scope::Batch,
    };
    let n_hyperparameters = reader.count(HYPERPARAMETERS_DESCRIBED)?;
    let hyperparameters: Option<Vec<Hyperparameter>> = (0..n_hyperparameters)
        .map(|_| {
            let name = reader.text()?;
            let [default, minimum, maximum] = reader.numbers(3)?.try_into().ok()?;
            Some(Hyperparameter { name, default, minimum, maximum })
        })
        .collect();
    let metadata = Metadata { name, summary, citation, scope, hyperparameters: hyperparameters? };
    reader.at_end(Ok(metadata))
}

/// The beginning of a text that is no longer than a guest's text may be, cut at a character.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(GUEST_TEXT_BYTES_MAX)]
}

/// A frame as it grows.
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn frame(payload_bytes: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload_bytes);
        bytes.extend([0; HEADER_BYTES]);
        Writer { bytes }
    }

    fn finish(mut self) -> Vec<u8> {
        // Every payload is far below 4 GiB: it is made of lists and texts with limits.
        let payload_bytes = (self.bytes.len() - HEADER_BYTES) as u32;
        self.bytes[..HEADER_BYTES].copy_from_slice(&payload_bytes.to_le_bytes());
        self.bytes
    }

    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn count(&mut self, count: usize) {
        self.bytes.extend((count as u32).to_le_bytes());
    }

    fn duration(&mut self, duration: Duration) {
        self.bytes.extend((duration.as_nanos() as u64).to_le_bytes());
    }

    fn numbers(&mut self, numbers: &[f64]) {
        self.count(numbers.len());
        let start = self.bytes.len();
        self.bytes.resize(start + 8 * numbers.len(), 0);
        let (places, _) = self.bytes[start..].as_chunks_mut();
        for (place, number) in places.iter_mut().zip(numbers) {
            *place = number.to_le_bytes();
        }
    }

    fn counts(&mut self, counts: &[u32]) {
        self.count(counts.len());
        let start = self.bytes.len();
        self.bytes.resize(start + 4 * counts.len(), 0);
        let (places, _) = self.bytes[start..].as_chunks_mut();
        for (place, count) in places.iter_mut().zip(counts) {
            *place = count.to_le_bytes();
        }
    }

    fn text(&mut self, text: &str) {
        let text = cut(text);
        self.count(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
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

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn count(&mut self, count_max: usize) -> Option<usize> {
        let count = u32::from_le_bytes(*self.take()?) as usize;
        (count <= count_max).then_some(count)
    }

    fn duration(&mut self) -> Option<Duration> {
        Some(Duration::from_nanos(u64::from_le_bytes(*self.take()?)))
    }

    fn numbers(&mut self, count_max: usize) -> Option<Vec<f64>> {
        let count = self.count(count_max)?;
        let (numbers, _) = self.slice(8 * count)?.as_chunks();
        Some(numbers.iter().map(|number| f64::from_le_bytes(*number)).collect())
    }

    fn counts(&mut self, count_max: usize) -> Option<Vec<u32>> {
        let count = self.count(count_max)?;
        let (counts, _) = self.slice(4 * count)?.as_chunks();
        Some(counts.iter().map(|count| u32::from_le_bytes(*count)).collect())
    }

    fn text(&mut self) -> Option<String> {
        let count = self.count(GUEST_TEXT_BYTES_MAX)?;
        Some(String::from_utf8_lossy(self.slice(count)?).into_owned())
    }

    /// `Some(None)` where the payload goes on with a result.
    fn problem(&mut self) -> Option<Option<Problem>> {
        let code = self.byte()?;
        if code == 0 {
            return Some(None);
        }
        let text = self.text()?;
        Some(Some(match code {
            1 => Problem::Fuel,
            2 => Problem::Timeout,
            3 => Problem::Crash,
            4 => Problem::Trap(text),
            5 => Problem::Guest(text),
            6 => Problem::World(text),
            _ => return None,
        }))
    }

    /// The value, unless something is left to read.
    fn at_end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs() -> Pairs {
        Pairs {
            policy_chosen_logps: vec![-1.5, f64::NEG_INFINITY],
            policy_rejected_logps: vec![-2.5, 0.0],
            reference_chosen_logps: vec![-3.5, -0.0],
            reference_rejected_logps: vec![-4.5, 1e-310],
            chosen_tokens: vec![1, u32::MAX],
            rejected_tokens: vec![7, 8],
        }
    }

    /// What an inbox of this limit makes of these bytes, `step` at a time.
    fn receive(bytes: &[u8], payload_bytes_max: usize, step: usize) -> Result<Vec<u8>, Babble> {
        let mut inbox = Inbox::new(payload_bytes_max);
        for part in bytes.chunks(step) {
            inbox.room()[..part.len()].copy_from_slice(part);
            inbox.received(part.len());
            inbox.is_whole()?;
        }
        assert!(inbox.is_whole()?, "the bytes are one frame");
        Ok(inbox.take().to_vec())
    }

    #[test]
    fn a_call_survives_the_pipe_in_pieces_of_any_size() {
        let pairs = pairs();
        let frame = encode_call(7, &pairs, &[0.1]);
        for step in [1, 3, 4, 5, 64, frame.len()] {
            let payload = receive(&frame, 1_000, step).expect("one frame");
            let (number, decoded, hyperparameters) = decode_call(&payload).expect("well formed");
            assert_eq!(number, 7);
            assert_eq!(decoded.policy_chosen_logps, pairs.policy_chosen_logps);
            assert_eq!(decoded.reference_chosen_logps[1].to_bits(), (-0.0_f64).to_bits());
            assert_eq!(decoded.chosen_tokens, pairs.chosen_tokens);
            assert_eq!(hyperparameters, [0.1]);
        }
    }

    #[test]
    fn frames_that_are_too_large_or_go_on_are_babble() {
        assert_eq!(receive(&frame(b"four"), 4, 100), Ok(b"four".to_vec()));
        assert_eq!(receive(&frame(b"three"), 4, 4), Err(Babble));
        assert_eq!(receive(&[255, 255, 255, 255, 0], 100, 5), Err(Babble));
        let mut more = frame(b"four");
        more.push(0);
        assert_eq!(receive(&more, 100, 100), Err(Babble));
    }

    /// Whatever length a child announces, room is made for the largest frame at most.
    #[test]
    fn room_is_bounded() {
        let mut inbox = Inbox::new(100_000);
        inbox.room()[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        inbox.received(4);
        assert!(inbox.room().len() <= 100_001);
    }

    #[test]
    fn lengths_that_lie_are_not_believed() {
        let call = frame(&[]).len() + 4;
        let mut payload = encode_call(0, &pairs(), &[])[4..].to_vec();
        assert!(decode_call(&payload).is_some());
        payload.push(0);
        assert!(decode_call(&payload).is_none(), "something is left over");
        payload.pop();
        payload[call - 4] = 200;
        assert!(decode_call(&payload).is_none());
    }

    #[test]
    fn an_answer_to_another_call_is_none() {
        let evaluation = Evaluation {
            losses: vec![1.0],
            policy_chosen: vec![2.0],
            policy_rejected: vec![3.0],
            fuel: 4,
            spent: Spent::default(),
        };
        let payload = &encode_answer(3, &Ok(evaluation.clone()))[4..];
        assert_eq!(decode_answer(3, payload), Some(Ok(evaluation)));
        assert_eq!(decode_answer(2, payload), None);
        assert_eq!(decode_answer(3, &payload[..payload.len() - 1]), None);
        assert_eq!(decode_ready(&[9, 0, 0, 0, 0]), None);
    }

    #[test]
    fn texts_are_cut_at_a_character() {
        let text = "é".repeat(GUEST_TEXT_BYTES_MAX);
        assert_eq!(cut(&text).len(), GUEST_TEXT_BYTES_MAX);
        assert_eq!(cut(&format!("a{text}")).len(), GUEST_TEXT_BYTES_MAX - 1);
    }
}
