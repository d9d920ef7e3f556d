//! What the built-in search proposes: new, finite, readable, and the same every time.

use sandbox::Source;
use trainer::Fitness;

use super::value::{Row, fingerprint, losses};
use super::*;
use crate::baselines;
use crate::candidate::Outcome;

/// All baselines with made-up scores, then this many proposals in a row, each with one too.
fn search(seed: u64, n_proposals: usize) -> Vec<Candidate> {
    let mut history = History::default();
    for (index, baseline) in baselines::ALL.iter().enumerate() {
        history.judged.push((baselines::candidate(baseline), scored(index as f64 / 13.0)));
    }
    for n in 0..n_proposals {
        let reply = Evolve::new(seed).propose(n, &history).expect("no fault");
        let Some(Reply::Proposal(candidate)) = reply else { panic!("proposal {n}: {reply:?}") };
        history.judged.push((candidate, scored((n * 7 % 20) as f64 / 20.0)));
    }
    let proposals = history.judged.into_iter().skip(baselines::ALL.len());
    proposals.map(|(candidate, _)| candidate).collect()
}

fn scored(mean: f64) -> Outcome {
    Outcome::Scored(Fitness { mean, low: mean, high: mean, n: 3, reward: 0.0, kl: 0.0 })
}

#[test]
fn a_search_is_repeated_by_its_seed_and_by_nothing_else() {
    let sources =
        |seed| search(seed, 10).into_iter().map(|candidate| candidate.source).collect::<Vec<_>>();
    assert_eq!(sources(1), sources(1));
    assert_ne!(sources(1), sources(2));
}

#[test]
fn no_function_is_proposed_twice_and_most_have_parents() {
    let proposals = search(3, 80);
    let genotypes =
        proposals.iter().map(|candidate| genotype_of(candidate).expect("an expression"));
    let fingerprints: HashSet<_> =
        genotypes.map(|genotype| fingerprint(&genotype).expect("finite")).collect();
    assert_eq!(fingerprints.len(), 80);
    let with_parents = proposals.iter().filter(|candidate| !candidate.parents.is_empty()).count();
    assert!((50..80).contains(&with_parents), "{with_parents}");
}

#[test]
fn an_expression_survives_the_archive() {
    for candidate in search(4, 40) {
        let text = serde_json::to_string(&candidate.genotype).expect("JSON");
        let archived =
            Candidate { genotype: serde_json::from_str(&text).expect("JSON"), ..candidate.clone() };
        assert_eq!(genotype_of(&archived), genotype_of(&candidate));
    }
}

#[test]
fn proposals_pass_the_source_audit_and_are_named_as_files_can_be() {
    for candidate in search(5, 120) {
        let Candidate { name, source, .. } = &candidate;
        assert_eq!(crate::candidate::plain_name(name).as_ref(), Some(name));
        let audited = sandbox::source::audit(Source::one_file(source));
        assert!(audited.is_ok(), "{audited:?}\n{source}");
        assert!(source.contains("Hypothesis: ") && source.contains("loss = "), "{source}");
        let longest_head = source
            .lines()
            .filter(|line| line.starts_with("//!"))
            .map(|line| line.chars().count())
            .max();
        assert!(longest_head <= Some(100), "{source}");
    }
}

/// Log-ratios to ±1000 on both sides, lengths of 1 and 500.
#[test]
fn values_are_finite_where_the_probe_looks() {
    let ends = [-1000.0, -300.0, -1.0, 0.0, 1.0, 300.0, 1000.0];
    let mut rows = Vec::new();
    for (index, chosen_logratio) in ends.into_iter().enumerate() {
        for rejected_logratio in ends {
            rows.push(Row {
                chosen_logratio,
                rejected_logratio,
                policy_chosen: chosen_logratio - 1500.0,
                policy_rejected: rejected_logratio - 1200.0,
                chosen_tokens: [1.0, 500.0][index % 2],
                rejected_tokens: [500.0, 1.0][index % 2],
            });
        }
    }
    for candidate in search(6, 200) {
        let genotype = genotype_of(&candidate).expect("an expression");
        let losses = losses(&genotype, &rows);
        assert!(losses.iter().all(|loss| loss.is_finite()), "{}", candidate.source);
    }
}

#[test]
fn pair_losses_and_batch_losses_are_both_reached() {
    let proposals = search(7, 100);
    let batch =
        proposals.iter().filter(|candidate| candidate.source.contains("batch_loss!")).count();
    assert!((5..60).contains(&batch), "{batch}");
}

#[test]
fn a_printed_loss_reads_like_one_written_by_hand() {
    let genotype = known::genotype("discopop").expect("known");
    let title = words::part(&Part::Penalty(genotype.loss.clone()));
    let expected = "\
//! A gated mixture of an exponential loss and a logistic loss.
//!
//! Hypothesis: different pairs want different losses.
//!
//! loss = σ(x/0.05) exp(−x) + (1 − σ(x/0.05)) softplus(−x), with x = β times the log-ratio margin.
use guest_sdk::prelude::*;

pair_loss! {
    name: \"discopop_again\",
    summary: \"a gated mixture of an exponential loss and a logistic loss\",
    hyperparameters: { beta: 0.05 in 0.001..=10.0, tau: 0.05 in 0.001..=10.0 },
}

fn loss(pair: &Pair, hp: &Hyperparameters) -> Dual {
    let margin = hp.beta * pair.logratio_margin();
    let gate = (margin / hp.tau).sigmoid();
    let exponent = -margin;
    let exponential = exponent.minimum(10.0).exp() * (1.0 + (exponent - 10.0).relu());
    let logistic = (-margin).softplus();
    gate * exponential + (1.0 - gate) * logistic
}
";
    assert_eq!(
        print::source(
            &genotype,
            "discopop_again",
            &title,
            "different pairs want different losses."
        ),
        expected
    );
}

#[test]
fn a_printed_batch_loss_computes_its_statistics_once() {
    let genotype = known::genotype("kto_pair").expect("known");
    let source = print::source(&genotype, "kto_again", "kto", "none.");
    let expected = "\
fn losses<'t>(batch: &Batch<'t>, hp: &Hyperparameters) -> Vec<Var<'t>> {
    let mean_margin = mean(&batch.map(|pair| -(hp.beta * -pair.rejected_logratio())));
    let floored = mean_margin.relu();
    let mean_margin_2 = mean(&batch.map(|pair| hp.beta * pair.chosen_logratio()));
    let floored_2 = mean_margin_2.relu();
    batch.map(|pair| {
        let chosen_reward = hp.beta * pair.chosen_logratio();
        let relative_margin = chosen_reward - floored;
        let sigmoid = (-relative_margin).sigmoid();
        let rejected_drop = hp.beta * -pair.rejected_logratio();
        let relative_margin_2 = rejected_drop + floored_2;
        let sigmoid_2 = (-relative_margin_2).sigmoid();
        sigmoid + sigmoid_2
    })
}
";
    assert!(source.ends_with(expected), "{source}");
}

#[test]
fn a_printed_loss_has_the_names_of_what_it_is_made_of() {
    let names: Vec<String> = search(8, 30).into_iter().map(|candidate| candidate.name).collect();
    assert!(
        names.iter().enumerate().all(|(n, name)| name.ends_with(&format!("_{n}"))),
        "{names:?}"
    );
    assert!(names.iter().all(|name| name.len() <= 48), "{names:?}");
}
