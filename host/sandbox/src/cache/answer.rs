//! What a gate said, as bytes and back. Only sealed bytes are read here, but nothing is believed of their form.

use crate::guest::protocol;
use crate::limits::CACHE_ENTRY_BYTES_MAX;
use crate::{Metadata, ProbeReport, Rejection};

/// What the compiler or the probe said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer {
    Component(Vec<u8>),
    Probed(Metadata, ProbeReport),
    Rejected(Rejection),
}

const COMPONENT: u8 = 1;
const PROBED: u8 = 2;
const REJECTED: u8 = 3;

impl Answer {
    /// `None` if it is too large or would not be the same when it is read back, as a report with a NaN.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let bytes = match self {
            Answer::Component(bytes) => [&[COMPONENT], bytes.as_slice()].concat(),
            Answer::Probed(metadata, report) => {
                // A frame, which begins with its length.
                let metadata = protocol::encode_ready(&Ok(metadata.clone()));
                let report = serde_json::to_vec(report).ok()?;
                [&[PROBED], metadata.as_slice(), &report].concat()
            }
            Answer::Rejected(rejection) => {
                [&[REJECTED], serde_json::to_vec(rejection).ok()?.as_slice()].concat()
            }
        };
        let reads_back = Self::decode(&bytes).as_ref() == Some(self);
        (bytes.len() <= CACHE_ENTRY_BYTES_MAX && reads_back).then_some(bytes)
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&kind, body) = bytes.split_first()?;
        match kind {
            COMPONENT => Some(Answer::Component(body.to_vec())),
            PROBED => {
                let (length, body) = body.split_first_chunk()?;
                let (metadata, report) =
                    body.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                let metadata = protocol::decode_ready(metadata)?.ok()?;
                Some(Answer::Probed(metadata, serde_json::from_slice(report).ok()?))
            }
            REJECTED => Some(Answer::Rejected(serde_json::from_slice(body).ok()?)),
            _ => None,
        }
    }
}
