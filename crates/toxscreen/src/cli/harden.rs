//! `toxscreen harden`: whether another regularisation withstands poison better than what is in use.

mod told;

use super::bilevel::{self, Adversary, Learner, Rows, Scaled, points};
use super::options::{Poisoned, Session};
use super::{Output, Result, UNDECIDED, bug, json, say, scratch, stopped, usage, warn};
use serde_json::json as object;
use std::time::Instant;
use told::Told;
use tox_audits::commands::harden::{self, Plan};
use tox_audits::commands::rows::Held;
use tox_audits::error::Fails;
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
    #[command(flatten)]
    pub poisoned: Poisoned,
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
    #[command(flatten)]
    pub session: Session,
}

/// Most divisions.
const MOST_SPLITS: usize = 100;

pub fn harden(args: &Harden) -> Result<Output> {
    let begun = Instant::now();
    args.session.cpu_alone("harden")?;
    args.session.pool();
    let stop = bilevel::interrupted()?;
    checked(args)?;
    let held = Held {
        valid: args.valid,
        seed: args.session.seed,
        scaling: args.scaled.scale,
    };
    let source = args.rows.read(args.trusted.as_deref())?;
    let folds: Result<Vec<Own>> = (0..args.splits)
        .map(|fold| source.divide(held, fold))
        .collect();
    let folds = folds?;
    let Some(own) = folds.first() else {
        return Err(bug("there is no division"));
    };
    let rows = own.sets.train.len();
    let points = points(args.poisoned.budget, None, rows)?;
    let model = args.learner.model(args.per_layer);
    let hyperiterations = args.adversary.hyperiterations;
    let plan = Plan::new(&model, (own, points), hyperiterations, args.current);
    let config = &plan.config;
    let attack = args.adversary.attack(own, points)?;
    config.check().map_err(|e| bilevel::out_of_range(&e))?;
    attack.check().map_err(|e| bilevel::out_of_range(&e))?;
    if !args.session.json {
        say(format_args!("{}", bilevel::describe(own).trim_end()));
        say(format_args!(
            "{points} of them are poison, in each of {} divisions of the rows",
            args.splits
        ));
        if !config.hidden.is_empty() {
            say(format_args!("{}", args.learner.describe(config)));
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
    let tested = harden::tested(&folds, source.data.sets.train.rows);
    let scratch = scratch()?;
    let asked = (&*folds, tested, args.session.seed);
    let advice = bilevel::with_bar("harden", &stop, |stop, progress| {
        harden::advise(&plan, &attack, asked, scratch.path(), stop, progress)
    });
    let Some(advice) = advice.map_err(Fails::fails)? else {
        return Ok(stopped(format_args!("nothing was kept")));
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
        folds: &folds,
        config,
        advice: &advice,
        points,
    };
    let text = match args.session.json {
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
fn checked(args: &Harden) -> Result<()> {
    if !(2..=MOST_SPLITS).contains(&args.splits) {
        return Err(usage(
            format!("--splits {}: expected 2 to {MOST_SPLITS}", args.splits),
            "an interval needs at least two divisions; the default is 5",
        ));
    }
    match args.current {
        Some(_) if !args.learner.hidden.is_empty() => Err(usage(
            "--current is of no use to a network, which is compared with having no penalty",
            "leave it or --hidden out",
        )),
        Some(c) if c.is_nan() || c <= 0.0 || (c.is_finite() && !(1e-8..=1e8).contains(&c)) => {
            Err(usage(
                format!("--current {c}: expected a C from 1e-8 to 1e8, or inf"),
                "give the C of your LogisticRegression; inf means no penalty",
            ))
        }
        _ => Ok(()),
    }
}
