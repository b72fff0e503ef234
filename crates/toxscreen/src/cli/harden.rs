//! `toxscreen harden`: whether another regularisation withstands poison better than what is in use.

mod told;

use super::bilevel::{self, Adversary, Held, Learner, Rows, Scaled, points};
use super::{INTERRUPTED, Output, UNDECIDED, Usage, json, say, warn};
use serde_json::json as object;
use std::time::Instant;
use told::Told;
use tox_bilevel::advice::{Question, Split, advise};
use tox_bilevel::config::BilevelConfig;
use tox_bilevel::own::Own;
use tox_data::majority;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen harden --data my.npz --trusted trusted.npz
  toxscreen harden --data my.npz --trusted trusted.npz --budget 0.05 --penalty l1 --current 10
  toxscreen harden --data table.npz --scale minmax --valid 100
  toxscreen harden --data digits --classes 3,8 --valid 60
  toxscreen harden --data my.npz --trusted trusted.npz --hidden 32,8 --per-layer --json

Each candidate is trained as you would train it (logistic regression until it has converged) and
judged by the worst of all poison that was crafted, also against that very candidate. It is
recommended only if, on test rows that had no say in the choice, its worst case is better than that
of what you have and of cross-validation by more than a 95 % interval, it costs no more on the data
as they are than it gains, and it is better than always answering the most frequent class. The
worst case is what this attack found with the budget: another may do worse.

Exit codes: 0 a regularisation is recommended, 4 none is: keep what you have, 1 training diverged,
2 wrong usage, 3 data, 130 stopped by Ctrl-C (nothing is kept).")]
pub struct Harden {
    #[command(flatten)]
    pub rows: Rows,
    /// .npz file of rows that are surely clean
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "valid",
        conflicts_with = "valid"
    )]
    pub trusted: Option<String>,
    /// Hold out this many training rows as the trusted set; they must be clean
    #[arg(long, value_name = "N")]
    pub valid: Option<usize>,
    /// Share of the training rows that an adversary may replace, between 0 and 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.1,
        allow_negative_numbers = true
    )]
    pub budget: f64,
    /// The regularisation that you have, as C of scikit-learn's LogisticRegression; inf for none
    /// [default: 1, scikit-learn's own; networks have none]
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    pub current: Option<f64>,
    /// Divisions of the rows, each with poison of its own, at least 2
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub splits: usize,
    #[command(flatten)]
    pub scaled: Scaled,
    #[command(flatten)]
    pub learner: Learner,
    /// Learn one lambda for each layer
    #[arg(long)]
    pub per_layer: bool,
    #[command(flatten)]
    pub adversary: Adversary,
    /// Seed of all that is drawn: rows held out, rows replaced, folds, initial weights
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Powers of ten of C, in halves, that are tried with logistic regression.
const HALF_DECADES: std::ops::RangeInclusive<i32> = -8..=8;
/// Lambdas that are tried with a network.
const FEW: usize = 7;
/// Most divisions.
const MOST_SPLITS: usize = 100;

pub fn harden(args: &Harden) -> anyhow::Result<Output> {
    let begun = Instant::now();
    let stop = bilevel::interrupted()?;
    checked(args)?;
    let held = Held {
        valid: args.valid,
        seed: args.seed,
        scaling: args.scaled.scale,
    };
    let source = args.rows.read(args.trusted.as_deref())?;
    let folds: anyhow::Result<Vec<Own>> = (0..args.splits)
        .map(|fold| source.divide(held, fold))
        .collect();
    let folds = folds?;
    let Some(own) = folds.first() else {
        anyhow::bail!("there is no division; this is a bug in toxscreen, please report it");
    };
    let rows = own.sets.train.len();
    let points = points(args.budget, None, rows)?;
    let (config, grid, current) = learner(args, own, points);
    let attack = args.adversary.attack(own, points)?;
    config.check().map_err(|e| bilevel::usage(&e))?;
    attack.check().map_err(|e| bilevel::usage(&e))?;
    if !args.json {
        say(format_args!("{}", bilevel::describe(own).trim_end()));
        say(format_args!(
            "{points} of them are poison, in each of {} divisions of the rows",
            args.splits
        ));
        if !config.hidden.is_empty() {
            say(format_args!("{}", args.learner.describe(&config)));
        }
    }
    let mut warnings = bilevel::warnings(own);
    if config.hidden.is_empty() && (args.learner.steps.is_some() || args.learner.lr.is_some()) {
        warnings.push(
            "--steps and --lr are of no use to logistic regression, which is trained until it has \
             converged"
                .to_owned(),
        );
    }
    warn(&warnings);
    let tests = own.sets.test.len();
    let tested = match own.test_rows.is_empty() {
        true => tests,
        false => (args.splits * tests).min(source.data.sets.train.rows),
    };
    let seeds = (0u64..).map(|fold| args.seed.wrapping_add(fold << 32));
    let splits = folds.iter().zip(seeds).map(|(own, seed)| Split {
        sets: own.sets.clone(),
        seed,
    });
    let splits: Vec<Split> = splits.collect();
    let question = Question {
        splits: &splits,
        tested,
        config: &config,
        attack: &attack,
        current,
        grid: &grid,
    };
    let scratch = tempfile::tempdir()?;
    let advice = bilevel::with_bar("harden", &stop, |stop, progress| {
        advise(question, scratch.path(), stop, progress)
    })?;
    let Some(advice) = advice else {
        say(format_args!("stopped; nothing was kept"));
        return Ok(Output {
            text: String::new(),
            code: INTERRUPTED,
        });
    };
    let clean = advice.current().clean();
    let useless = majority::no_better_than(clean, advice.majority, tested);
    if let Some(found) = &useless {
        let warning = bilevel::useless(found, own);
        say(format_args!("warning: {warning}"));
        warnings.insert(0, warning);
    }
    let [all, short] = advice.trainings;
    if short > 0 {
        let warning = format!("{short} of {all} trainings stopped short of convergence");
        say(format_args!("warning: {warning}"));
        warnings.push(warning);
    }
    let told = Told {
        data: &source.data,
        own,
        config: &config,
        advice: &advice,
        points,
        tested,
        splits: args.splits,
    };
    let text = match args.json {
        true => {
            let mut report = told.report();
            report["no_better_than_majority"] = object!(useless);
            report["warnings"] = object!(warnings);
            report["seconds"] = begun.elapsed().as_secs_f64().into();
            json(&report)?
        }
        false => told.tell(&warnings),
    };
    let code = if advice.recommended() { 0 } else { UNDECIDED };
    Ok(Output { text, code })
}

/// Refuses what makes no sense before anything is read.
fn checked(args: &Harden) -> Result<(), Usage> {
    if !(2..=MOST_SPLITS).contains(&args.splits) {
        return Err(Usage::new(
            format!("--splits {}: expected 2 to {MOST_SPLITS}", args.splits),
            "an interval needs at least two divisions; the default is 5",
        ));
    }
    match args.current {
        Some(_) if !args.learner.hidden.is_empty() => Err(Usage::new(
            "--current is of no use to a network, which is compared with having no penalty",
            "leave it or --hidden out",
        )),
        Some(c) if c.is_nan() || c <= 0.0 || (c.is_finite() && !(1e-8..=1e8).contains(&c)) => {
            Err(Usage::new(
                format!("--current {c}: expected a C from 1e-8 to 1e8, or inf"),
                "give the C of your LogisticRegression; inf means no penalty",
            ))
        }
        _ => Ok(()),
    }
}

/// The learner, the lambdas that are tried, ascending, and the one in use.
fn learner(args: &Harden, own: &Own, points: usize) -> (BilevelConfig, Vec<f64>, Option<f64>) {
    let hyperiterations = args.adversary.hyperiterations;
    let mut config = args
        .learner
        .config(own, points, hyperiterations, args.per_layer);
    if !config.hidden.is_empty() {
        let l = &config.lambda;
        let step = (l.max - l.min) / (FEW - 1) as f64;
        let grid = (0..FEW).map(|i| l.min + step * i as f64).collect();
        return (config, grid, None);
    }
    let lambda = |c: f64| -(own.sets.train.len() as f64 * c).ln();
    let halves = HALF_DECADES.rev();
    let grid: Vec<f64> = halves
        .map(|k| lambda(10f64.powf(0.5 * f64::from(k))))
        .collect();
    let c = args.current.unwrap_or(1.0);
    let current = c.is_finite().then(|| lambda(c));
    let box_ = &mut config.lambda;
    (box_.min, box_.max) = (grid[0], grid[grid.len() - 1]);
    box_.start = current.unwrap_or(lambda(1.0)).clamp(box_.min, box_.max);
    box_.large = box_.start;
    (config, grid, current)
}
