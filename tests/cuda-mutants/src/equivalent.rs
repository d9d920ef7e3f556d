//! The mutants that nobody can tell from the original, each with the reason.

/// An entry of `equivalent.txt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Equivalent {
    /// The mutant as it prints itself.
    pub mutant: String,
    /// Why it changes nothing that can be seen.
    pub reason: String,
}

/// All of them. An entry is the mutant's three lines and its reasons after `=`; of several in a row without a reason each has
/// that of the next one that has any.
pub fn all() -> Vec<Equivalent> {
    parse(include_str!("../equivalent.txt"))
}

/// Entries as [`all`] reads them, of any text.
pub fn parse(text: &str) -> Vec<Equivalent> {
    let mut known = Vec::new();
    let mut mutants: Vec<String> = Vec::new();
    for block in text.split("\n\n").map(str::trim).filter(|block| !block.is_empty()) {
        let (reasons, mutant): (Vec<&str>, Vec<&str>) = block
            .lines()
            .filter(|line| !line.starts_with('#'))
            .partition(|line| line.starts_with("= "));
        if !mutant.is_empty() {
            mutants.push(mutant.join("\n"));
        }
        if !reasons.is_empty() {
            let reason: Vec<&str> =
                reasons.iter().map(|line| line.trim_start_matches("= ")).collect();
            let reason = reason.join(" ");
            known.extend(
                mutants.drain(..).map(|mutant| Equivalent { mutant, reason: reason.clone() }),
            );
        }
    }
    // Without a reason it does not count.
    known.extend(mutants.into_iter().map(|mutant| Equivalent { mutant, reason: String::new() }));
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_the_reason_that_follows() {
        let known = parse(
            "# about\n\na.cu f\n- x\n+ y\n\na.cu f 2\n- x\n+ y\n= one\n= more\n\nb.cu g\n- z\n+\n",
        );
        let entries: Vec<_> =
            known.iter().map(|known| (known.mutant.as_str(), known.reason.as_str())).collect();
        assert_eq!(
            entries,
            [
                ("a.cu f\n- x\n+ y", "one more"),
                ("a.cu f 2\n- x\n+ y", "one more"),
                ("b.cu g\n- z\n+", "")
            ]
        );
    }

    #[test]
    fn every_equivalent_mutant_is_really_made_and_has_a_reason() {
        let made: Vec<String> = crate::mutants().iter().map(ToString::to_string).collect();
        for Equivalent { mutant, reason } in all() {
            assert!(made.contains(&mutant), "nobody makes the mutant\n{mutant}");
            assert!(reason.len() > 10, "no reason is given for\n{mutant}");
        }
    }
}
