//! A language model as the proposer: asked anew for each proposal, with everything that the schedule lets it see.
//!
//! A question is self-contained, so a resumed run asks as the killed one would have. What comes back is text; `reply`
//! makes a proposal of it or a rejection that the next question quotes. How to ask is in `prompt`, whom in `endpoint`.

mod endpoint;
mod prompt;

use super::{History, Proposer, Reply, reply};
use crate::{Fault, LlmSettings};
use endpoint::Endpoint;

pub(crate) use prompt::digest as prompt_digest;

/// A model behind an endpoint.
#[derive(Debug)]
pub(crate) struct Llm {
    endpoint: Endpoint,
    system: String,
}

impl Llm {
    /// Makes ready to ask; nothing is sent.
    pub(crate) fn open(settings: &LlmSettings) -> Result<Self, Fault> {
        Ok(Llm {
            endpoint: Endpoint::open(settings)?,
            system: prompt::system(),
        })
    }
}

impl Proposer for Llm {
    fn propose(&mut self, n: usize, history: &History) -> Result<Option<Reply>, Fault> {
        let text = self.endpoint.ask(&self.system, &prompt::next(n, history))?;
        Ok(Some(reply::read("llm", n, &text)))
    }
}

#[cfg(test)]
mod tests;
