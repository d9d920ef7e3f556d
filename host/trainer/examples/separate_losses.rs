//! Do the task's settings tell losses apart? Trains the thirteen known losses, a constant and DPO with its sign
//! flipped, with two disjoint sets of seeds, and prints trajectories, fitness with intervals, and the rank
//! correlation between the sets.
//!
//! Formulas are written as values; gradients are central differences, which are good to ten digits here. Usage:
//! `separate_losses [SEEDS] [SETTINGS.json]` (SEEDS per set, default 3).

use std::time::Instant;

use trainer::stats::spearman;
use trainer::{
    Fitness, LossFailure, LossGradients, PairBatch, SeedResult, Sentiment, SentimentSettings,
};

type Formula = fn(&Logratios) -> Vec<f64>;

/// What the formulas are written in. β as in each paper.
struct Logratios {
    chosen: Vec<f64>,
    rejected: Vec<f64>,
    policy_margin: Vec<f64>,
    mean_logp_margin: Vec<f64>,
}

impl Logratios {
    fn of(pairs: &PairBatch) -> Self {
        let zip =
            |left: &[f64], right: &[f64]| left.iter().zip(right).map(|(a, b)| a - b).collect();
        let per_token = |logps: &[f64], tokens: &[u32], i: usize| logps[i] / f64::from(tokens[i]);
        Self {
            chosen: zip(&pairs.policy_chosen_logps, &pairs.reference_chosen_logps),
            rejected: zip(&pairs.policy_rejected_logps, &pairs.reference_rejected_logps),
            policy_margin: zip(&pairs.policy_chosen_logps, &pairs.policy_rejected_logps),
            mean_logp_margin: (0..pairs.len())
                .map(|i| {
                    per_token(&pairs.policy_chosen_logps, &pairs.chosen_tokens, i)
                        - per_token(&pairs.policy_rejected_logps, &pairs.rejected_tokens, i)
                })
                .collect(),
        }
    }

    fn margins(&self) -> impl Iterator<Item = f64> + '_ {
        self.chosen.iter().zip(&self.rejected).map(|(a, b)| a - b)
    }
}

fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    (-softplus(-x)).exp()
}

fn mean(values: &[f64]) -> f64 {
    trainer::stats::mean(values)
}

fn scaled(x: &Logratios, factor: f64) -> Vec<f64> {
    x.margins().map(|margin| factor * margin).collect()
}

const LOSSES: [(&str, Formula); 15] = [
    ("dpo", |x| x.margins().map(|m| softplus(-0.1 * m)).collect()),
    ("cdpo", |x| x.margins().map(|m| 0.9 * softplus(-0.1 * m) + 0.1 * softplus(0.1 * m)).collect()),
    ("ipo", |x| x.margins().map(|m| (m - 5.0).powi(2)).collect()),
    ("slic", |x| x.margins().map(|m| (1.0 - 0.1 * m).max(0.0)).collect()),
    ("kto_pair", |x| {
        let (z_chosen, z_rejected) = (mean(&x.chosen).max(0.0), mean(&x.rejected).max(0.0));
        let rows = x.chosen.iter().zip(&x.rejected);
        rows.map(|(a, b)| 2.0 - sigmoid(0.1 * (a - z_rejected)) - sigmoid(0.1 * (z_chosen - b)))
            .collect()
    }),
    ("simpo", |x| x.mean_logp_margin.iter().map(|m| softplus(0.5 - 2.0 * m)).collect()),
    ("discopop", |x| {
        let blend = |x: f64| {
            let m = sigmoid(x / 0.05);
            (1.0 - m) * softplus(-x) + (sigmoid_log(x / 0.05) - x).exp()
        };
        scaled(x, 0.05).into_iter().map(blend).collect()
    }),
    ("dbaql", |x| {
        let x = scaled(x, 0.05);
        let spread =
            trainer::stats::standard_deviation(&x.iter().map(|x| x / 0.05).collect::<Vec<_>>())
                .powi(2);
        x.iter()
            .map(|x| sigmoid(spread) * softplus(-x / 0.9) + (sigmoid_log(-spread) - 0.9 * x).exp())
            .collect()
    }),
    ("aql", |x| {
        let x = scaled(x, 0.05);
        let m = 0.5 + 0.01 * (mean(&x.iter().map(|x| sigmoid(x / 0.05)).collect::<Vec<_>>()) - 0.5);
        let q = |x: f64| sigmoid(0.05 * m - x);
        x.iter().map(|&x| q(x) * softplus(-x) + (1.0 - q(x)) * (1.0 - x).max(0.0)).collect()
    }),
    ("aqfl", |x| {
        let x = scaled(x, 0.05);
        let z: Vec<f64> = x.iter().map(|x| x / 0.05).collect();
        let m1 = trainer::stats::standard_deviation(&z)
            * mean(&z.iter().map(|z| sigmoid(-z)).collect::<Vec<_>>());
        let m2 = m1 + 0.05 * (sigmoid(mean(&z)) - m1);
        let r = |x: f64| sigmoid(0.1 * (x / 0.05 - m2).abs());
        x.iter().map(|&x| r(x) * softplus(-x) + (1.0 - r(x)) * (1.0 - x).max(0.0)).collect()
    }),
    ("padll", |x| {
        x.margins().map(|m| if m >= 0.0 { 0.9 } else { 0.45 } * softplus(-0.05 * m)).collect()
    }),
    ("cell", |x| {
        scaled(x, 0.05).into_iter().map(|x| 0.5 * softplus(-x) + 0.5 * (-x).exp()).collect()
    }),
    ("pfl", |x| {
        let rows = x.margins().zip(&x.policy_margin);
        rows.map(|(m, policy)| match *policy > 0.0 {
            true => 0.5 * softplus(-m),
            false => 2.0 * (1.0 - 0.05 * m).max(0.0),
        })
        .collect()
    }),
    ("constant", |x| vec![1.0; x.chosen.len()]),
    ("wrong_way", |x| x.margins().map(|m| softplus(0.1 * m)).collect()),
];

fn sigmoid_log(x: f64) -> f64 {
    -softplus(-x)
}

/// The formula with the derivative of its sum by central differences.
fn with_gradient(formula: Formula) -> impl FnMut(&PairBatch) -> Result<LossGradients, LossFailure> {
    move |pairs| {
        let mut nudged = pairs.clone();
        let mut slopes = |list: fn(&mut PairBatch) -> &mut Vec<f64>| {
            (0..pairs.len()).map(|i| slope(formula, &mut nudged, list, i)).collect()
        };
        let policy_chosen = slopes(|pairs| &mut pairs.policy_chosen_logps);
        let policy_rejected = slopes(|pairs| &mut pairs.policy_rejected_logps);
        Ok(LossGradients { losses: formula(&Logratios::of(pairs)), policy_chosen, policy_rejected })
    }
}

fn slope(
    formula: Formula,
    pairs: &mut PairBatch,
    list: fn(&mut PairBatch) -> &mut Vec<f64>,
    i: usize,
) -> f64 {
    const STEP: f64 = 1e-5;
    let centre = list(pairs)[i];
    let mut sum_at = |value: f64| {
        list(pairs)[i] = value;
        formula(&Logratios::of(pairs)).iter().sum::<f64>()
    };
    let slope = (sum_at(centre + STEP) - sum_at(centre - STEP)) / (2.0 * STEP);
    list(pairs)[i] = centre;
    slope
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let n_seeds = arguments.next().map_or(Ok(3), |text| text.parse::<u64>())?;
    let settings = match arguments.next() {
        Some(path) => serde_json::from_slice(&std::fs::read(path)?)?,
        None => SentimentSettings::default(),
    };
    let cache = std::env::temp_dir().join("lossbox-separate-losses");
    let started = Instant::now();
    let task = Sentiment::prepare(settings, &cache, &mut |_| ())?;
    println!("{} pairs, ready after {:.1} s", task.pairs().len(), started.elapsed().as_secs_f64());

    let jobs: Vec<(usize, u64)> =
        (0..LOSSES.len()).flat_map(|loss| (0..2 * n_seeds).map(move |seed| (loss, seed))).collect();
    let results = run(&task, &jobs);
    for (loss, (name, _)) in LOSSES.iter().enumerate() {
        let of_loss = &results[loss * 2 * n_seeds as usize..][..2 * n_seeds as usize];
        print_loss(name, of_loss);
    }
    let means = |set: usize| -> Vec<f64> {
        let seeds = results.chunks(n_seeds as usize).skip(set).step_by(2);
        seeds.take(13).map(|seeds| Fitness::over_seeds(&owned(seeds)).mean).collect()
    };
    println!(
        "rank correlation of thirteen losses between the two sets of {n_seeds} seeds: {:.3}",
        spearman(&means(0), &means(1))
    );
    println!("{:.1} s in all", started.elapsed().as_secs_f64());
    Ok(())
}

/// Each job on its own thread with one thread for the arithmetic, as many at a time as there are cores.
fn run(task: &Sentiment, jobs: &[(usize, u64)]) -> Vec<(SeedResult, f64)> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let done = std::sync::Mutex::new(Vec::new());
    let n_workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..n_workers {
            scope.spawn(|| {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(1)
                    .build()
                    .expect("a pool of one thread");
                while let Some((loss, seed)) =
                    jobs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    let started = Instant::now();
                    let mut function = with_gradient(LOSSES[*loss].1);
                    let result = pool
                        .install(|| task.train_and_score(&mut function, *seed, &mut |_| ()))
                        .unwrap_or_else(|failure| panic!("{}: {failure:?}", LOSSES[*loss].0));
                    let seconds = started.elapsed().as_secs_f64();
                    eprintln!("{} {seed}: {:+.3}, {seconds:.1} s", LOSSES[*loss].0, result.fitness);
                    done.lock()
                        .expect("no worker panics here")
                        .push((*loss, *seed, result, seconds));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("all workers have ended");
    done.sort_by_key(|(loss, seed, ..)| (*loss, *seed));
    done.into_iter().map(|(_, _, result, seconds)| (result, seconds)).collect()
}

fn owned(results: &[(SeedResult, f64)]) -> Vec<SeedResult> {
    results.iter().map(|(result, _)| result.clone()).collect()
}

fn print_loss(name: &str, results: &[(SeedResult, f64)]) {
    let fitness = Fitness::over_seeds(&owned(results));
    let seconds = mean(&results.iter().map(|(_, seconds)| *seconds).collect::<Vec<_>>());
    println!(
        "{name:<10} {:+.3} [{:+.3}, {:+.3}] n={} reward {:+.2} at {:.2} nats, {seconds:.1} s a seed",
        fitness.mean, fitness.low, fitness.high, fitness.n, fitness.reward, fitness.kl
    );
    for (result, _) in results {
        let points: Vec<String> = result
            .points
            .iter()
            .map(|point| format!("{}: {:+.2} at {:.2}", point.step, point.reward, point.kl))
            .collect();
        println!(
            "    {:+.3} [{:+.3}, {:+.3}] {}",
            result.fitness,
            result.low,
            result.high,
            points.join(", ")
        );
    }
}
