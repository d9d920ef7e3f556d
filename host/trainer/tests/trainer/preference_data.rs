//! Preference files from outside: the tokens that TRL makes of the same rows, and what is said about bad ones.
//!
//! The expected tokens were made by `tests/peers/make_preference_goldens.py` with TRL 1.16's own code.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use trainer::Fault;
use trainer::data::{
    BadRows, EncodedPair, Encoding, Kind, Length, Order, Outcome, Place, Position, PreferenceFile,
    Tally, Truncation,
};
use trainer::device::Device;
use trainer::pairs::PreferencePair;
use trainer::score::reference_logps;
use trainer::tokenizer::{Tokenizer, TokenizerFiles};

/// When the chat templates of the golden data were asked for the date: 2026-03-14 15:09:26.
const NOW_UNIX_SECONDS: i64 = 1_773_500_966;

#[derive(Deserialize)]
struct Golden {
    limits: Vec<(usize, Truncation)>,
    tokenizers: std::collections::BTreeMap<String, GoldenTokenizer>,
}

#[derive(Deserialize)]
struct GoldenTokenizer {
    n_vocabulary: usize,
    eos_token: String,
    kinds: std::collections::BTreeMap<String, Vec<GoldenRow>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum GoldenRow {
    Error {
        #[serde(rename = "error")]
        _class: String,
    },
    Tokens {
        ids: [Vec<u32>; 3],
        limited: Vec<Option<[GoldenSequence; 2]>>,
    },
}

#[derive(Deserialize)]
struct GoldenSequence {
    ids: Vec<u32>,
    n_scored: usize,
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/preference")
}

fn golden() -> Golden {
    serde_json::from_slice(&std::fs::read(golden_folder().join("expected.json")).unwrap()).unwrap()
}

fn tokenizer(name: &str) -> Arc<Tokenizer> {
    let folder = match name {
        "sentiment" => Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/sentiment/base"),
        _ => golden_folder().join("tokenizers").join(name),
    };
    let read = |name: &str| std::fs::read(folder.join(name)).ok();
    let [tokenizer_config, special_tokens_map, chat_template, config] =
        ["tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "config.json"]
            .map(read);
    let files = TokenizerFiles {
        tokenizer: &read("tokenizer.json").unwrap(),
        tokenizer_config: tokenizer_config.as_deref(),
        special_tokens_map: special_tokens_map.as_deref(),
        chat_template: chat_template.as_deref(),
        config: config.as_deref(),
        now_unix_seconds: Some(NOW_UNIX_SECONDS),
        ..TokenizerFiles::default()
    };
    Arc::new(Tokenizer::assemble(&files).unwrap())
}

fn encoding(tokenizer_name: &str, n_vocabulary: usize, length: Length) -> Encoding {
    Encoding::new(Some(tokenizer(tokenizer_name)), n_vocabulary, length).unwrap()
}

/// Both sequences with the number of tokens that are scored at their ends.
fn sequences(encoded: &EncodedPair) -> [(Vec<u32>, usize); 2] {
    let pair = &encoded.pair;
    let rejected_prompt = pair.rejected_prompt.as_ref().unwrap_or(&pair.prompt);
    [(&pair.prompt, &pair.chosen), (rejected_prompt, &pair.rejected)]
        .map(|(prompt, completion)| ([&**prompt, completion].concat(), completion.len()))
}

/// A first token is predicted by nothing and not scored.
fn golden_sequences([prompt, chosen, rejected]: &[Vec<u32>; 3]) -> [(Vec<u32>, usize); 2] {
    [chosen, rejected].map(|completion| {
        let n_scored = completion.len() - usize::from(prompt.is_empty());
        ([&**prompt, completion].concat(), n_scored)
    })
}

fn check_row(
    file: &PreferenceFile,
    row: usize,
    expected: Option<[(Vec<u32>, usize); 2]>,
    what: &str,
) {
    let outcome = file.row(row).unwrap();
    match (expected, &outcome) {
        (None, Outcome::Dropped) => {}
        (Some(expected), Outcome::Pair(encoded)) => {
            assert_eq!(sequences(encoded), expected, "{what}");
        }
        (Some(expected), Outcome::Bad(_)) => {
            let unscored = expected.iter().any(|(_, n_scored)| *n_scored == 0);
            assert!(unscored, "{what}: {outcome:?}");
        }
        _ => panic!("{what}: {outcome:?}"),
    }
}

fn check_against_trl(tokenizer_names: &[&str]) {
    let golden = golden();
    let mut n_compared = 0;
    for name in tokenizer_names {
        let expected = &golden.tokenizers[*name];
        assert_eq!(tokenizer(name).eos(), Some(&*expected.eos_token));
        for (kind, rows) in &expected.kinds {
            let lengths = golden.limits.iter().map(|&(max_tokens, truncation)| Length {
                max_tokens: Some(max_tokens),
                truncation,
            });
            for (index, length) in [Length::default()].into_iter().chain(lengths).enumerate() {
                let path = golden_folder().join(format!("{kind}.jsonl"));
                let encoding = encoding(name, expected.n_vocabulary, length);
                let file = PreferenceFile::open(&path, encoding, BadRows::Skip).unwrap();
                assert_eq!(file.n_rows(), rows.len());
                for (row, expected) in rows.iter().enumerate() {
                    let what = format!("{name}, {kind}, row {row}, {length:?}");
                    n_compared += 1;
                    match (expected, index) {
                        (GoldenRow::Error { .. }, _) => {
                            let outcome = file.row(row).unwrap();
                            assert!(matches!(outcome, Outcome::Bad(_)), "{what}: {outcome:?}");
                        }
                        (GoldenRow::Tokens { ids, .. }, 0) => {
                            check_row(&file, row, Some(golden_sequences(ids)), &what);
                        }
                        (GoldenRow::Tokens { limited, .. }, _) => {
                            let expected = limited[index - 1].as_ref().map(|both| {
                                both.each_ref().map(|one| (one.ids.clone(), one.n_scored))
                            });
                            check_row(&file, row, expected, &what);
                        }
                    }
                }
            }
        }
    }
    assert!(n_compared >= 150 * tokenizer_names.len(), "{n_compared} rows");
}

#[test]
fn byte_level_tokenizers_give_trls_tokens() {
    check_against_trl(&["gpt2", "chatml", "headers", "sentiment"]);
}

#[test]
fn sentence_pieces_give_trls_tokens() {
    check_against_trl(&["llama", "llama-as-written", "llama-legacy", "turns"]);
}

/// Their files name classes that transformers does not look at in this family.
#[test]
fn mistrals_tokenizer_is_taken_as_it_is_written() {
    check_against_trl(&["mistral", "mistral-legacy", "mistral-newer", "mistral-bytes"]);
}

#[test]
fn a_tokenizer_with_special_tokens_that_nothing_announces_gives_trls_tokens() {
    check_against_trl(&["bare"]);
}

/// Every table holds the first rows of the text file, or those that a table can hold.
#[test]
fn a_table_gives_what_lines_give() {
    for (kind, n_rows) in [
        ("texts", 20),
        ("texts-without-prompt", 10),
        ("conversations", 7),
        ("conversations-without-prompt", 6),
        ("tokens", 4),
    ] {
        let open = |extension: &str| {
            let path = golden_folder().join(format!("{kind}.{extension}"));
            PreferenceFile::open(&path, encoding("chatml", 454, Length::default()), BadRows::Skip)
                .unwrap()
        };
        let (table, lines) = (open("parquet"), open("jsonl"));
        assert_eq!((table.n_rows(), table.kind()), (n_rows, lines.kind()));
        let mut n_pairs = 0;
        for row in 0..n_rows {
            match (table.row(row).unwrap(), lines.row(row).unwrap()) {
                (Outcome::Pair(left), Outcome::Pair(right)) => {
                    assert_eq!(left, right, "{kind}, row {row}");
                    n_pairs += 1;
                }
                (Outcome::Bad(left), Outcome::Bad(right)) => {
                    assert_eq!((left.field, &left.message), (right.field, &right.message));
                    assert_eq!(left.place, Place::Row(row as u64));
                }
                (left, right) => panic!("{kind}, row {row}: {left:?} {right:?}"),
            }
        }
        assert!(n_pairs * 2 > n_rows, "{n_pairs} of {n_rows}");
    }
}

const PAIR: &str = r#"{"prompt_ids": [1, 2], "chosen_ids": [3], "rejected_ids": [4, 5]}"#;

/// A file of these bytes, with token ids and a vocabulary of 10 unless a tokenizer is named.
fn open_bytes(
    content: &[u8],
    encoding: Encoding,
    bad_rows: BadRows,
) -> Result<PreferenceFile, Fault> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    std::fs::write(&path, content).unwrap();
    // An open file outlives its name.
    PreferenceFile::open(&path, encoding, bad_rows)
}

fn ids_only() -> Encoding {
    Encoding::new(None, 10, Length::default()).unwrap()
}

fn gpt2() -> Encoding {
    encoding("gpt2", 450, Length::default())
}

/// A row that follows a good one and is wrong, and what is said of it after the file's name.
fn check_bad_row(good: &str, bad: &str, encoding: Encoding, expected: &str) {
    let content = format!("{good}\n\n{bad}\n");
    let file = open_bytes(content.as_bytes(), encoding.clone(), BadRows::Stop).unwrap();
    let message = file.row(1).unwrap_err().to_string();
    let (_, said) = message.split_once("rows.jsonl: ").unwrap();
    let said = said.split('\n').next().unwrap();
    assert_eq!(said, format!("line 3: {expected}"), "{bad}");
    assert!(message.contains("\nhint: "), "{message}");

    let file = open_bytes(content.as_bytes(), encoding, BadRows::Skip).unwrap();
    let tally = file.survey(|_| ControlFlow::Continue(())).unwrap();
    assert_eq!((tally.rows, tally.pairs, tally.bad), (2, 1, 1));
    assert!(tally.first_messages[0].contains(said), "{tally:?}");
}

#[test]
fn a_bad_row_is_named_by_line_and_field() {
    let check = |bad: &str, expected: &str| check_bad_row(PAIR, bad, ids_only(), expected);
    check(r#"{"prompt_ids": [1], "chosen_ids": [3]}"#, "rejected_ids: missing or null");
    check(
        r#"{"prompt_ids": [1], "chosen_ids": null, "rejected_ids": [2]}"#,
        "chosen_ids: missing or null",
    );
    check(
        r#"{"prompt_ids": [1], "chosen_ids": [10], "rejected_ids": [2]}"#,
        "chosen: token 10 is outside the model's vocabulary of 10",
    );
    check(
        r#"{"prompt_ids": [-1], "chosen_ids": [1], "rejected_ids": [2]}"#,
        "prompt_ids: expected a token id, a whole number from 0, got integer `-1`, at byte 3",
    );
    check(
        r#"{"prompt_ids": [1.5], "chosen_ids": [1], "rejected_ids": [2]}"#,
        "prompt_ids: expected a token id, a whole number from 0, got floating point `1.5`, at byte 4",
    );
    check(
        r#"{"prompt_ids": "12", "chosen_ids": [1], "rejected_ids": [2]}"#,
        r#"prompt_ids: expected a list, got string "12", at byte 4"#,
    );
    check(
        r#"{"prompt_ids": [1], "chosen_ids": [], "rejected_ids": [2]}"#,
        "chosen: no token of it would be scored",
    );
    check(
        r#"{"prompt_ids": [], "chosen_ids": [1, 2], "rejected_ids": [2]}"#,
        "rejected: no token of it would be scored",
    );
    check(
        r#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#,
        "row: expected token ids as in the first row, got strings with a prompt",
    );
    check("{", "row: the JSON ends too early, at byte 1");
    check("{prompt: 1}", "row: the name of a column must be in double quotes, at byte 2");
    check(r#"{"a": nul}"#, "row: expected true, false or null, at byte 10");
    check("[1]", "row: expected a JSON object, got a list, at byte 0");
    check("{} {}", "row: there is more after the object, at byte 4");
    check("{}", "chosen: missing or null");
}

#[test]
fn a_bad_text_is_named_by_field() {
    let good = r#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#;
    let check = |bad: &str, expected: &str| check_bad_row(good, bad, gpt2(), expected);
    check(
        r#"{"prompt": 1, "chosen": "b", "rejected": "c"}"#,
        "prompt: expected a string as in chosen, got a number",
    );
    check(
        r#"{"prompt": "a", "chosen": 1, "rejected": "c"}"#,
        "chosen: expected a string or a list of messages, got a number",
    );
    check(
        r#"{"prompt": "a", "chosen": "b", "rejected": [{"role": "user", "content": "c"}]}"#,
        "rejected: expected a string as in chosen, got a list",
    );
    check(
        r#"{"chosen": "b", "rejected": "c"}"#,
        "row: expected strings with a prompt as in the first row, got strings without a prompt",
    );
    check(
        r#"{"prompt": "\ud800", "chosen": "b", "rejected": "c"}"#,
        "prompt: unexpected end of hex escape, at byte 8",
    );
    let without_prompt = r#"{"chosen": "a b", "rejected": "a c"}"#;
    check_bad_row(
        without_prompt,
        r#"{"chosen": "", "rejected": "c"}"#,
        gpt2(),
        "chosen: empty, and there is no prompt",
    );
    let conversation = |chosen: &str| {
        let prompt = r#""prompt": [{"role": "user", "content": "a"}]"#;
        format!(
            r#"{{{prompt}, "chosen": {chosen}, "rejected": [{{"role": "assistant", "content": "c"}}]}}"#
        )
    };
    check(
        &conversation(r#"[{"role": "assistant", "content": "b"}]"#),
        "row: expected strings with a prompt as in the first row, got conversations with a prompt",
    );
    let good = conversation(r#"[{"role": "assistant", "content": "b"}]"#);
    let check = |bad: &str, expected: &str| {
        check_bad_row(
            &good,
            &conversation(bad),
            encoding("turns", 610, Length::default()),
            expected,
        );
    };
    check("[]", "chosen: expected at least one message, got an empty list");
    check("[1]", "chosen: message 0: expected an object, got number");
    check(r#"[{"content": "b"}]"#, "chosen: message 0: role: expected a string, got undefined");
    check(
        r#"[{"role": null, "content": "b"}]"#,
        "chosen: message 0: role: expected a string, got none",
    );
    check_bad_row(
        &good,
        &good.replace("user", "system"),
        encoding("turns", 610, Length::default()),
        "prompt: no system role (line 1 of the template)",
    );
}

#[test]
fn invalid_utf8_is_a_bad_row() {
    let content = [PAIR.as_bytes(), b"\n{\"prompt_ids\": \"\xff\"}\n"].concat();
    let file = open_bytes(&content, ids_only(), BadRows::Stop).unwrap();
    let Fault::Row(bad) = file.row(1).unwrap_err() else { panic!("not a bad row") };
    assert_eq!(
        (bad.place, bad.field, &*bad.message),
        (Place::Line(2), "row", "not UTF-8 from byte 16 on")
    );
}

#[test]
fn a_byte_order_mark_crlf_and_blank_lines_do_no_harm() {
    let content = format!("\u{feff}{PAIR}\r\n\r\n  \n{PAIR}\r\n{PAIR}");
    let file = open_bytes(content.as_bytes(), ids_only(), BadRows::Stop).unwrap();
    let tally = file.survey(|_| ControlFlow::Continue(())).unwrap();
    assert_eq!(tally, Tally { rows: 3, pairs: 3, ..Tally::default() });
}

#[test]
fn files_of_other_kinds_are_told_by_how_they_begin() {
    let check = |content: &[u8], expected: &str| {
        let message = open_bytes(content, ids_only(), BadRows::Skip).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(message.contains("\nhint: "), "{message}");
    };
    check(b"", "there is no row in it");
    check(b"\n\n", "there is no row in it");
    check(b"\x1f\x8b\x08rest", "it is compressed (gzip)");
    check(b"\xff\xfe{\0}\0", "it is UTF-16");
    check(format!(" [{PAIR}]").as_bytes(), "it is one JSON list");
    check(b"PAR1 and no more", "the table cannot be read");
    check(b"prompt,chosen,rejected\na,b,c\n", "all 2 rows are bad; the first: ");
}

#[test]
fn opening_stops_at_a_bad_first_row_unless_bad_rows_are_skipped() {
    let content = format!("nonsense\n{PAIR}\n");
    let fault = open_bytes(content.as_bytes(), ids_only(), BadRows::Stop).unwrap_err();
    assert!(fault.to_string().contains("line 1: row: "), "{fault}");
    let file = open_bytes(content.as_bytes(), ids_only(), BadRows::Skip).unwrap();
    assert_eq!(file.kind(), Kind::Tokens);
}

#[test]
fn columns_that_mean_nothing_are_named_and_ignored() {
    let content = PAIR.replace('}', r#", "score": {"a": [1]}, "source": "here"}"#);
    let file = open_bytes(content.as_bytes(), ids_only(), BadRows::Stop).unwrap();
    assert_eq!(file.ignored_columns(), ["score", "source"]);
    assert!(matches!(file.row(0), Ok(Outcome::Pair(_))));
    let table = golden_folder().join("texts.parquet");
    let file = PreferenceFile::open(&table, gpt2(), BadRows::Stop).unwrap();
    assert!(file.ignored_columns().is_empty());
}

#[test]
fn earlier_names_of_the_id_columns_are_read() {
    let content = PAIR.replace("_ids", "_input_ids");
    let file = open_bytes(content.as_bytes(), ids_only(), BadRows::Stop).unwrap();
    let Outcome::Pair(encoded) = file.row(0).unwrap() else { panic!("no pair") };
    assert_eq!((&*encoded.pair.chosen, &*encoded.pair.rejected), (&[3][..], &[4, 5][..]));
}

/// A string beside whole conversations repeats their beginning, as in some published data sets.
#[test]
fn a_prompt_that_repeats_the_conversations_is_not_needed() {
    let chosen = r#"[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]"#;
    let rejected = chosen.replace("\"b\"", "\"c\"");
    let without = format!(r#"{{"chosen": {chosen}, "rejected": {rejected}}}"#);
    let with = format!(r#"{{"prompt": "a", "chosen": {chosen}, "rejected": {rejected}}}"#);
    let content = format!("{without}\n{with}\n");
    let encoding = encoding("chatml", 454, Length::default());
    let file = open_bytes(content.as_bytes(), encoding, BadRows::Stop).unwrap();
    assert_eq!(file.kind(), Kind::ConversationWithoutPrompt);
    assert_eq!(file.row(0).unwrap(), file.row(1).unwrap());
}

/// A data loader's batches over the rows that give pairs: the last of an epoch is what is left.
#[test]
fn batches_end_with_their_epoch() {
    let mut content = numbered_rows(5);
    content.push_str("nonsense\n");
    let file = open_bytes(content.as_bytes(), ids_only(), BadRows::Skip).unwrap();
    let mut walk = file.walk(Order::File, Position::default());
    let mut batch = |n| {
        let pairs = walk.batch(n).unwrap();
        (pairs.iter().map(|(row, _)| *row).collect::<Vec<_>>(), walk.position().epoch)
    };
    // After row 4 only a bad row is left of the epoch.
    assert_eq!(batch(3), (vec![0, 1, 2], 0));
    assert_eq!(batch(2), (vec![3, 4], 0));
    assert_eq!(batch(3), (vec![0, 1, 2], 1));
    assert_eq!(batch(3), (vec![3, 4], 2));
    assert_eq!(batch(9), (vec![0, 1, 2, 3, 4], 3));
    let dropped = Length { max_tokens: Some(2), ..Length::default() };
    let prompts = numbered_rows(3).replace("\"prompt_ids\": [", "\"prompt_ids\": [7, 7, ");
    let encoding = Encoding::new(None, 10, dropped).unwrap();
    let file = open_bytes(prompts.as_bytes(), encoding, BadRows::Stop).unwrap();
    assert!(file.walk(Order::File, Position::default()).batch(2).unwrap().is_empty());
}

#[test]
fn a_folder_and_a_pattern_are_not_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| {
        PreferenceFile::open(path, ids_only(), BadRows::Stop).unwrap_err().to_string()
    };
    assert!(refused(folder.path()).contains("it is a folder"));
    assert!(refused(&folder.path().join("*.jsonl")).contains("patterns are not looked up"));
}

fn numbered_rows(n_rows: u32) -> String {
    let row = |number: u32| {
        format!("{{\"prompt_ids\": [{number}], \"chosen_ids\": [1], \"rejected_ids\": [2]}}\n")
    };
    (0..n_rows).map(row).collect()
}

#[test]
fn a_shuffled_walk_goes_on_from_a_saved_position() {
    let encoding = Encoding::new(None, 100, Length::default()).unwrap();
    let content = numbered_rows(20) + "bad\n";
    let file = open_bytes(content.as_bytes(), encoding, BadRows::Skip).unwrap();
    let order = Order::Shuffled { seed: 5 };
    let mut walk = file.walk(order, Position::default());
    let mut rows = Vec::new();
    let mut positions = Vec::new();
    for _ in 0..50 {
        positions.push(serde_json::to_string(&walk.position()).unwrap());
        let (row, encoded) = walk.next().unwrap().unwrap();
        assert_eq!(encoded.pair.prompt, [row as u32]);
        rows.push(row);
    }
    for epoch in rows.chunks_exact(20) {
        let mut epoch = epoch.to_vec();
        epoch.sort_unstable();
        assert!(epoch.into_iter().eq(0..20));
    }
    assert_eq!((walk.tally().pairs, walk.tally().dropped), (50, 0));
    assert!((2..=3).contains(&walk.tally().bad));
    for (n_before, position) in positions.iter().enumerate() {
        let from = serde_json::from_str(position).unwrap();
        let resumed = file.walk(order, from).map(|item| item.unwrap().0).take(50 - n_before);
        assert!(resumed.eq(rows[n_before..].iter().copied()), "from {position}");
    }
}

#[test]
fn a_walk_over_rows_without_a_pair_ends() {
    let length = Length { max_tokens: Some(2), truncation: Truncation::KeepStart };
    let encoding = Encoding::new(None, 10, length).unwrap();
    let content = format!("{PAIR}\n{PAIR}\n");
    let file = open_bytes(content.as_bytes(), encoding, BadRows::Stop).unwrap();
    let mut walk = file.walk(Order::File, Position::default());
    assert!(walk.next().is_none());
    assert_eq!(walk.tally(), &Tally { rows: 2, dropped: 2, ..Tally::default() });
}

#[test]
fn what_the_length_limit_does_is_counted() {
    let length = Length { max_tokens: Some(3), truncation: Truncation::KeepStart };
    let encoding = Encoding::new(None, 10, length).unwrap();
    let long = r#"{"prompt_ids": [1, 2, 3], "chosen_ids": [3], "rejected_ids": [4]}"#;
    let content = format!("{PAIR}\n{long}\n{}\n", PAIR.replace("[4, 5]", "[4]"));
    let file = open_bytes(content.as_bytes(), encoding, BadRows::Stop).unwrap();
    let mut seen = 0;
    let tally = file
        .survey(|n_rows| {
            seen = n_rows;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(tally, Tally { rows: 3, pairs: 2, truncated: 1, dropped: 1, ..Tally::default() });
    assert_eq!(seen, 3);
    assert!(Encoding::new(None, 10, Length { max_tokens: Some(1), ..length }).is_err());
}

#[test]
fn counting_rows_can_be_ended() {
    let content = format!("{PAIR}\n").repeat(5000);
    let file = open_bytes(content.as_bytes(), ids_only(), BadRows::Stop).unwrap();
    let message = file.survey(|_| ControlFlow::Break(())).unwrap_err().to_string();
    assert!(message.contains("ended after 4096 of 5000 rows"), "{message}");
}

#[test]
fn a_prompt_that_merges_with_its_completion_is_counted() {
    let content = r#"{"prompt": "The sk", "chosen": "y is blue", "rejected": "y is green"}"#;
    let file = open_bytes(content.as_bytes(), gpt2(), BadRows::Stop).unwrap();
    assert_eq!(file.survey(|_| ControlFlow::Continue(())).unwrap().prompts_shortened, 1);
}

/// No line makes the reader panic: pieces of rows, cut and put together at random.
#[test]
fn any_line_gives_a_pair_or_a_bad_row() {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        " ",
        "null",
        "true",
        "-1",
        "1e9",
        "4294967296",
        "\\ud800",
        "\\u0000",
        "\"prompt\"",
        "\"chosen\"",
        "\"rejected\"",
        "\"prompt_ids\"",
        "\"chosen_ids\"",
        "\"tools\"",
        "\"role\"",
        "\"content\"",
        "\"user\"",
        "\"chat_template_kwargs\"",
        "\"a b\"",
        "\"a c\"",
        "\"é\"",
        "[[[[",
        "{\"role\":1}",
        r#"{"prompt": "a", "chosen": "b", "rejected": "c"}"#,
        r#"[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]"#,
        r#""chosen": [{"role": "user", "content": [1, null, {"text": 2}]}], "#,
        r#""rejected": "a ", "#,
    ];
    let mut uniforms =
        trainer::random::Uniforms::new(1, trainer::random::Purpose::Generation, 0, 0);
    let mut content = String::from("{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n");
    for _ in 0..20_000 {
        for _ in 0..=uniforms.index_below(12) {
            content.push_str(pieces[uniforms.index_below(pieces.len())]);
        }
        content.push('\n');
    }
    let file = open_bytes(content.as_bytes(), gpt2(), BadRows::Skip).unwrap();
    let tally = file.survey(|_| ControlFlow::Continue(())).unwrap();
    assert_eq!(tally.rows, file.n_rows() as u64);
    assert!(tally.bad > tally.rows / 2 && tally.pairs > 10, "{tally:?}");
    assert_eq!(tally.first_messages.len(), 5);
}

/// The golden pairs' own log-probs are held against PyTorch's in `llama_parity`.
#[test]
fn completions_of_different_prompts_have_their_own_log_probs() {
    let pairs = crate::support::pairs("llama");
    let model = crate::support::policy("llama");
    let crossed = PreferencePair {
        rejected_prompt: Some(pairs[1].prompt.clone()),
        rejected: pairs[1].rejected.clone(),
        ..pairs[0].clone()
    };
    assert_ne!(pairs[0].prompt, pairs[1].prompt);
    let own = reference_logps(&Device::Cpu, &model, pairs).expect("on the CPU");
    let crossed = reference_logps(&Device::Cpu, &model, vec![crossed]).expect("on the CPU");
    let close = |left: f64, right: f64| (left - right).abs() < 1e-5 * right.abs();
    assert!(close(crossed[0].reference.chosen, own[0].reference.chosen));
    assert!(close(crossed[0].reference.rejected, own[1].reference.rejected));
}

/// Ids and texts are those of transformers 5.24 for the same folders: `added_tokens.json` counts where there is no
/// `added_tokens_decoder`, and templates in files go before those of the configuration.
#[test]
fn older_added_tokens_and_further_templates_are_read_as_transformers_reads_them() {
    let cases: [(&str, u32, &[u32]); 6] = [
        ("bare", 450, &[66, 222, 450, 280, 451, 68]),
        ("gpt2", 450, &[65, 221, 450, 279, 451, 67]),
        ("headers", 450, &[68, 224, 450, 282, 451, 70]),
        ("llama", 606, &[341, 325, 606, 363, 607, 288]),
        ("llama-legacy", 606, &[341, 325, 606, 363, 607, 353]),
        ("turns", 610, &[290, 329, 610, 367, 611, 292]),
    ];
    for (name, first, expected) in cases {
        let place = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(golden_folder().join("tokenizers").join(name)).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, place.path().join(path.file_name().unwrap())).unwrap();
        }
        let write = |name: &str, text: &str| std::fs::write(place.path().join(name), text).unwrap();
        std::fs::create_dir(place.path().join("additional_chat_templates")).unwrap();
        write("chat_template.jinja", "default:{{ messages[0].content }}");
        write("additional_chat_templates/tool_use.jinja", "tools:{{ messages[0].content }}");
        write("added_tokens.json", &format!("{{\"<note>\": {first}, \"<aside>\": {}}}", first + 1));
        let tokenizer = Tokenizer::open(place.path()).unwrap();
        assert_eq!(tokenizer.encode("a <note> b<aside>c").unwrap(), expected, "{name}");
        let message = serde_json::json!({"role": "user", "content": "hi"});
        let messages = [minijinja::Value::from_serialize(message)];
        let chat = tokenizer.chat().unwrap();
        let mut variables = trainer::tokenizer::chat::TemplateVariables::default();
        assert_eq!(chat.render(&messages, false, &variables).unwrap(), "default:hi");
        variables.tools = Some(minijinja::Value::from_serialize([serde_json::json!({})]));
        assert_eq!(chat.render(&messages, false, &variables).unwrap(), "tools:hi");
    }
}
