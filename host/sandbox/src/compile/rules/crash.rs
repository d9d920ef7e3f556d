//! `compile/crash`

use crate::Stage;
use crate::rules::{Example, Rule};
use crate::source::rules::PLAIN_LOSS;

pub(crate) const CRASH: Rule = Rule {
    name: "compile/crash",
    stage: Stage::Compile,
    what: "source that makes the compiler crash or take more memory, time or disk than it may",
    why: "the limits are there for everybody else on the machine",
    hint: "write less deeply nested types and expressions, and no large constants",
    rejected: Example::LongSource {
        shown: "a type of 2^32 parts: `type A1 = (A0, A0); type A2 = (A1, A1);` and so on to A32",
        text: large_type,
    },
    accepted: Example::PLAIN,
};

/// Every name stands for two of the one before: short to write, too large to lay out.
fn large_type() -> String {
    let mut text = format!("{PLAIN_LOSS}\ntype A0 = (f64, u8);\n");
    for n in 1..=32 {
        text.push_str(&format!("type A{n} = (A{0}, A{0});\n", n - 1));
    }
    text.push_str("const SIZE: usize = size_of::<A32>();\n");
    text
}
