//! A language model as the proposer: asked anew for each proposal, with everything that the schedule lets it see.
//!
//! A question is self-contained, so a resumed run asks as the killed one would have. What comes back is text; `reply`
//! makes a proposal of it or a rejection that the next question quotes. How to ask is in `prompt`, whom in `endpoint`.

mod endpoint;
mod prompt;

use super::{History, Pause, Proposer, Reply, reply};
use crate::{Fault, LlmSettings};
use endpoint::{Answer, Endpoint};
use trainer::SentimentSettings;

pub(crate) use prompt::digest as prompt_digest;

/// A model behind an endpoint.
#[derive(Debug)]
pub(crate) struct Llm {
    endpoint: Endpoint,
    system: String,
}

impl Llm {
    /// Makes ready to ask; nothing is sent.
    pub(crate) fn open(settings: &LlmSettings, task: &SentimentSettings) -> Result<Self, Fault> {
        Ok(Llm { endpoint: Endpoint::open(settings)?, system: prompt::system(task) })
    }
}

impl Proposer for Llm {
    fn propose(&mut self, n: usize, history: &History) -> Result<Option<Reply>, Fault> {
        let answer = self.endpoint.ask(&self.system, &prompt::next(n, history))?;
        Ok(Some(match answer {
            Answer::Whole(text) => reply::read("llm", n, &text),
            Answer::Failed { why, text } => reply::failed("llm", n, &text, &why),
        }))
    }

    fn tell_of_pauses(&mut self, tell: Box<dyn Fn(Pause) + Send>) {
        self.endpoint.tell = tell;
    }
}

#[cfg(test)]
mod tests;
