//! The pairs file: whatever a user's tool wrote, `lossbox call` reads it or says what is wrong with it.

use arbitrary::{Result, Unstructured};
use sandbox::Pairs;
use serde_json::json;

use crate::Verdict;
use crate::mutate::{damaged, text};
use crate::pairs_file::parse;

const LISTS: [&str; 6] = [
    "policy_chosen_logps",
    "policy_rejected_logps",
    "reference_chosen_logps",
    "reference_rejected_logps",
    "chosen_tokens",
    "rejected_tokens",
];

const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1.5",
    "1e308",
    "-1e309",
    "1e-320",
    "5e-324",
    "1E+2",
    "4294967295",
    "4294967296",
    "-1",
    "0.1e1",
    "18446744073709551616",
    "1e999999999",
    "00",
    "1.",
    ".5",
    "+1",
    "NaN",
    "Infinity",
    "null",
    "\"1\"",
    "[]",
    "0x10",
    "1_0",
    "-",
    "1e",
    "true",
    "123456789012345678901234567890.123456789012345678901234567890",
];

const PIECES: &[&[u8]] = &[
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\\udc00\\ud800",
    b"null",
    b"1e400",
    b"-0",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\0",
    b"//",
    b"/**/",
    b"'",
    b" ",
    b"\n",
    b"\x1b[2J",
    "\u{202e}".as_bytes(),
    b"\"policy_chosen_logps\":[1],",
    b"\"extra\":0,",
];

/// Reads the file that the bytes make, and holds what was read against the contract of a call.
///
/// # Panics
/// When the property does not hold.
pub fn check(bytes: &[u8]) -> Verdict {
    let file = generate(&mut Unstructured::new(bytes)).unwrap_or_default();
    match parse(&file) {
        Ok(pairs) => {
            check_read(&pairs);
            Verdict::Accepted
        }
        Err(error) => {
            assert!(!error.to_string().is_empty(), "an error without words");
            Verdict::Rejected("not a pairs file")
        }
    }
}

fn check_read(pairs: &Pairs) {
    assert!(!pairs.is_empty(), "no pairs");
    pairs.check_lengths().expect("lists of the same length");
    let counts = [&pairs.chosen_tokens, &pairs.rejected_tokens];
    assert!(
        counts.into_iter().flatten().all(|&n_tokens| n_tokens > 0),
        "a completion of no tokens"
    );
    let numbers = [
        &pairs.policy_chosen_logps,
        &pairs.policy_rejected_logps,
        &pairs.reference_chosen_logps,
        &pairs.reference_rejected_logps,
    ];
    for list in numbers {
        assert!(list.iter().all(|logp| logp.is_finite()), "{list:?}");
    }
    let again = json!({
        "policy_chosen_logps": pairs.policy_chosen_logps,
        "policy_rejected_logps": pairs.policy_rejected_logps,
        "reference_chosen_logps": pairs.reference_chosen_logps,
        "reference_rejected_logps": pairs.reference_rejected_logps,
        "chosen_tokens": pairs.chosen_tokens,
        "rejected_tokens": pairs.rejected_tokens,
    });
    let read = parse(&again.to_string()).expect("what was read can be written and read again");
    for (list, list_again) in numbers.into_iter().zip([
        &read.policy_chosen_logps,
        &read.policy_rejected_logps,
        &read.reference_chosen_logps,
        &read.reference_rejected_logps,
    ]) {
        let bits = |list: &[f64]| list.iter().map(|logp| logp.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(list), bits(list_again), "a number changed on its way");
    }
}

fn generate(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=5)? {
        0 => text(u.bytes(u.len())?),
        1 => {
            let (open, close) = *u.choose(&[("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")])?;
            let depth = u.int_in_range(1..=20_000)?;
            format!("{}1{}", open.repeat(depth), close.repeat(depth))
        }
        2 | 3 => object(u, true)?,
        4 => object(u, false)?,
        _ => {
            let file = object(u, true)?.into_bytes();
            text(&damaged(u, file, PIECES)?)
        }
    })
}

/// The six lists; well formed, or with whatever number comes.
fn object(u: &mut Unstructured<'_>, is_well_formed: bool) -> Result<String> {
    let n_pairs = u.int_in_range(1..=5)?;
    let mut lists = Vec::new();
    for (index, name) in LISTS.iter().enumerate() {
        let n_entries =
            if is_well_formed || u.ratio(9, 10)? { n_pairs } else { u.int_in_range(0..=6)? };
        let mut entries = Vec::new();
        for _ in 0..n_entries {
            entries.push(match (is_well_formed, index) {
                (true, 4..) => u.int_in_range(1..=u32::MAX)?.to_string(),
                (true, _) => finite(u)?.to_string(),
                (false, _) => (*u.choose(NUMBERS)?).to_owned(),
            });
        }
        lists.push(format!("\"{name}\": [{}]", entries.join(", ")));
    }
    Ok(format!("{{{}}}", lists.join(", ")))
}

fn finite(u: &mut Unstructured<'_>) -> Result<f64> {
    let number = f64::from_bits(u.arbitrary()?);
    Ok(if number.is_finite() { number } else { -1.5 })
}
