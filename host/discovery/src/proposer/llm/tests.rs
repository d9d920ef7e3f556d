//! The LLM proposer against a server on this machine that says what it is told to say.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use sandbox::Stage;
use serde_json::{Value, json};

use super::*;
use crate::candidate::CandidateId;

/// A server that gives these answers (status, body), one a request, and tells of each request's key and body.
fn server(answers: Vec<(u16, String)>) -> (LlmSettings, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (tell, requests) = channel();
    thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
            let (mut length, mut key) = (0, String::new());
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).expect("a header");
                let lower = line.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a length");
                }
                if lower.starts_with("authorization:") {
                    key = line["authorization:".len()..].trim().to_owned();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut request = vec![0; length];
            reader.read_exact(&mut request).expect("a body");
            let _ = tell.send((key, serde_json::from_slice(&request).expect("JSON")));
            let head = format!(
                "HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\nconnection: close\r\n"
            );
            write!(stream, "{head}content-length: {}\r\n\r\n{body}", body.len()).expect("answered");
        }
    });
    let settings = LlmSettings {
        model: "test-model".to_owned(),
        base_url: format!("http://{address}/v1"),
        api_key: Some("sk-very-secret".to_owned()),
        timeout_s: 10,
        attempts: 3,
        pause_ms: 1,
        patience_s: 60,
    };
    (settings, requests)
}

fn open(settings: &LlmSettings) -> Result<Llm, Fault> {
    Llm::open(settings, &SentimentSettings::default())
}

fn says(content: &str) -> (u16, String) {
    let message = json!({ "role": "assistant", "content": content });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    let body = json!({ "id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice] });
    (200, body.to_string())
}

fn fails(status: u16, message: &str) -> (u16, String) {
    (status, json!({ "error": { "message": message, "type": "some_error" } }).to_string())
}

const GOOD: &str = r#"{"thought": "t", "name": "good", "code": "fn loss() {}"}"#;

type Proposed = Result<Option<Reply>, Fault>;

/// The proposer's answer when the endpoint gives these, and what the endpoint was sent: (authorization, body).
fn propose(answers: Vec<(u16, String)>) -> (Proposed, Vec<(String, Value)>) {
    let (settings, requests) = server(answers);
    let reply = open(&settings).expect("ready").propose(0, &History::default());
    (reply, requests.try_iter().collect())
}

#[track_caller]
fn check_good(reply: Proposed) {
    match reply {
        Ok(Some(Reply::Proposal(candidate))) => {
            assert_eq!(candidate.id, CandidateId::of("fn loss() {}"))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_reply_is_a_proposal_and_the_question_has_key_model_and_schema() {
    let (reply, requests) = propose(vec![says(GOOD)]);
    check_good(reply);
    let (key, question) = &requests[0];
    assert_eq!(key, "Bearer sk-very-secret");
    assert_eq!(question["model"], "test-model");
    let schema = &question["response_format"]["json_schema"]["schema"];
    assert_eq!(schema["required"], json!(["thought", "name", "code"]));
    assert!(question["messages"][0]["content"].as_str().expect("text").contains("pair_loss!"));
    assert!(
        question["messages"][1]["content"]
            .as_str()
            .expect("text")
            .contains("Nothing has been scored yet")
    );
}

#[test]
fn a_malformed_reply_is_rejected_and_quoted_in_the_next_question() {
    let (settings, requests) = server(vec![says("Let me think."), says(GOOD)]);
    let mut llm = open(&settings).expect("ready");
    let reply = llm.propose(0, &History::default()).expect("no fault");
    let Some(Reply::Malformed { candidate, text, rejection }) = reply else { panic!("{reply:?}") };
    assert_eq!(
        (text.as_str(), rejection.stage, rejection.rule.as_str()),
        ("Let me think.", Stage::Source, "source/reply")
    );
    let message = rejection.message.clone();
    // The schedule of a default run, so that its lag holds.
    let search = crate::SearchSettings::default();
    let rules = crate::schedule::Rules {
        n_baselines: 0,
        candidates: search.candidates,
        proposals_max: search.proposals_max,
        lag: search.lag,
        n_seeds: search.training_seeds,
    };
    let mut schedule = crate::schedule::Schedule::new(rules, Vec::new());
    schedule.add(candidate, Some(crate::Outcome::Rejected(rejection)));
    check_good(llm.propose(1, &schedule.history(1)));
    let (_, question) = requests.iter().nth(1).expect("two questions");
    let user = question["messages"][1]["content"].as_str().expect("text");
    assert!(
        user.contains("Rejected at source by source/reply")
            && user.contains(&message)
            && user.contains("Let me think.")
            && !user.contains("not yet known"),
        "{user}"
    );
}

#[test]
fn a_crowded_endpoint_is_asked_again() {
    let (reply, requests) = propose(vec![fails(429, "slow down"), fails(503, "busy"), says(GOOD)]);
    check_good(reply);
    assert_eq!(requests.len(), 3);
}

#[test]
fn every_further_question_is_told_and_the_last_answer_decides_the_hint() {
    let (settings, requests) = server(vec![
        fails(503, "busy"),
        fails(429, "slow down, sk-very-secret"),
        fails(429, "slow down"),
        says(GOOD),
    ]);
    let (tell, told) = channel();
    let mut llm = open(&settings).expect("ready");
    llm.tell_of_pauses(Box::new(move |pause| tell.send(pause).expect("heard")));
    let fault =
        llm.propose(0, &History::default()).expect_err("three questions at most").to_string();
    assert!(fault.contains("lower the rate") && fault.contains("asked 3 times"), "{fault}");
    assert_eq!(requests.try_iter().count(), 3);
    let told: Vec<Pause> = told.try_iter().collect();
    let attempts: Vec<_> = told.iter().map(|pause| pause.attempt).collect();
    assert_eq!(attempts, [(2, 3), (3, 3)]);
    assert!(told[0].reason.contains("busy"), "{told:?}");
    assert!(told[1].reason.contains("slow down") && !told[1].reason.contains("secret"), "{told:?}");
}

#[test]
fn what_a_model_does_not_say_is_rejected_in_words() {
    let replies = [
        (
            json!({ "role": "assistant", "refusal": "I must not." }),
            "stop",
            "refused; it was \"I must not.\"",
        ),
        (json!({ "role": "assistant", "content": "{\"tho" }), "length", "cut off"),
        (json!({ "role": "assistant", "content": "" }), "content_filter", "filter"),
    ];
    for (message, finish, expected) in replies {
        let choice = json!({ "index": 0, "message": message, "finish_reason": finish });
        check_rejected(json!([choice]), expected);
    }
    check_rejected(json!([]), "sent no answer");
}

#[track_caller]
fn check_rejected(choices: Value, expected: &str) {
    let body = json!({ "id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices });
    match propose(vec![(200, body.to_string())]).0 {
        Ok(Some(Reply::Malformed { rejection, .. })) => {
            assert!(rejection.message.contains(expected), "{}", rejection.message);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_endpoint_without_schemas_is_asked_without() {
    let (reply, requests) =
        propose(vec![fails(400, "response_format is not supported"), says(GOOD)]);
    check_good(reply);
    assert_eq!(requests[1].1.get("response_format"), None);
}

#[test]
fn a_refused_key_is_a_fault_that_names_the_remedy_and_hides_the_key() {
    let (reply, requests) = propose(vec![fails(401, "Incorrect API key provided: sk-very-secret")]);
    let fault = reply.expect_err("refused").to_string();
    assert_eq!(requests.len(), 1, "asking again does not help");
    assert!(fault.contains("OPENAI_API_KEY") && fault.contains("--resume"), "{fault}");
    assert!(!fault.contains("secret"), "{fault}");
}

#[test]
fn a_dead_endpoint_is_a_fault_that_can_be_resumed_from() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let settings = LlmSettings {
        base_url: format!("http://user:pass-word@{address}/v1"),
        attempts: 1,
        ..LlmSettings::default()
    };
    let fault = open(&settings).expect("ready").propose(0, &History::default());
    let fault = fault.expect_err("nobody is there").to_string();
    assert!(fault.contains(&address.to_string()) && fault.contains("--resume"), "{fault}");
    assert!(!fault.contains("pass-word"), "{fault}");
}

#[test]
fn without_a_key_the_public_endpoint_is_not_asked() {
    let fault = open(&LlmSettings::default()).expect_err("no key").to_string();
    assert!(fault.contains("OPENAI_API_KEY") && fault.contains("evolve"), "{fault}");
}
