//! `compile/timeout`

use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::rules::PLAIN_LOSS;

pub(crate) const TIMEOUT: Rule = Rule {
    name: "compile/timeout",
    stage: Stage::Compile,
    what: "source that keeps the compiler busy for longer than its wall clock",
    why: "constants, generics and patterns can make a compiler compute for ever",
    hint: "a loss is a formula; compute at run time, not in constants, types or patterns",
    rejected: Example::LongSource {
        shown: "1,000 constants, each of which counts to 500,000: `const C0: u32 = count(500_000);` and so on",
        text: many_long_constants,
    },
    accepted: Example::PLAIN,
};

/// Each constant is too short for the compiler's own lint against long ones; together they take minutes.
fn many_long_constants() -> String {
    let mut text = format!(
        "{PLAIN_LOSS}
const fn count(to: u32) -> u32 {{
    let mut n = 0;
    while n < to {{
        n += 1;
    }}
    n
}}
"
    );
    for n in 0..1_000 {
        text.push_str(&format!("const C{n}: u32 = count(500_000);\n"));
    }
    text
}
