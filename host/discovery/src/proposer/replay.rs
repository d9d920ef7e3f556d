//! Recorded replies: a file with one JSON object (`thought`, `name`, `code`) a line.
//!
//! Line n + 1 without blank lines is proposal n, whatever became of those before. The file is checked as a whole before
//! the run begins: a line that cannot be read is a mistake of whoever made the file, not of a candidate.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::{History, Proposer, Reply, reply};
use crate::Fault;
use crate::candidate::hex;

/// The replies, in order.
#[derive(Debug)]
pub(crate) struct Replay {
    replies: Vec<String>,
}

impl Replay {
    /// Reads the file.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let text = std::fs::read_to_string(path).map_err(Fault::file("read", path))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let mut replies = Vec::new();
        for (index, line) in lines {
            let unreadable =
                |message| Fault::Replay { path: path.to_path_buf(), line: index + 1, message };
            reply::check(line).map_err(unreadable)?;
            replies.push(line.to_owned());
        }
        match replies.is_empty() {
            true => Err(Fault::Replay {
                path: path.to_path_buf(),
                line: 1,
                message: "there is no reply".to_owned(),
            }),
            false => Ok(Replay { replies }),
        }
    }

    /// Identity of the replies.
    pub(crate) fn digest(&self) -> String {
        hex(&Sha256::digest(self.replies.join("\n"))[..8])
    }
}

impl Proposer for Replay {
    fn propose(&mut self, n: usize, _: &History) -> Result<Option<Reply>, Fault> {
        Ok(self.replies.get(n).map(|text| reply::read("replay", n, text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Result<Replay, Fault> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("replies.jsonl");
        std::fs::write(&path, text).expect("written");
        Replay::open(&path)
    }

    const GOOD: &str = r#"{"thought": "t", "name": "n", "code": "fn loss() {}"}"#;

    #[test]
    fn replies_come_in_order_and_end() {
        let other = GOOD.replace("\"n\"", "\"m\"");
        let mut replay = open(&format!("{GOOD}\n\n{other}\n")).expect("two replies");
        let mut name = |n| match replay.propose(n, &History::default()).expect("no fault") {
            Some(Reply::Proposal(candidate)) => Some(candidate.name),
            _ => None,
        };
        assert_eq!((name(1).as_deref(), name(0).as_deref(), name(2)), (Some("m"), Some("n"), None));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        let fault = open(&format!("{GOOD}\n\n{{\"name\": \"n\"}}\n"))
            .expect_err("no thought, no code")
            .to_string();
        assert!(fault.contains("line 3: missing field `thought`"), "{fault}");
        let fault = open("\n").expect_err("nothing").to_string();
        assert!(fault.contains("there is no reply"), "{fault}");
    }
}
