//! `toxscreen harden`: whether another regularisation withstands poison better than what is in use.

mod told;

use super::bilevel::{self, Adversary, Learner, Rows, Scaled};
use super::options::{Poisoned, Session};
use super::single::{self, Kept, Single};
use super::{Output, Result, UNDECIDED, interrupted, json, say, warn};
use serde_json::json as object;
use std::path::PathBuf;
use std::time::Instant;
use tox_audits::harden::outcome::HardenOutcome;
use tox_audits::harden::{self, HardenConfig, InUse, Plan};
use tox_study::part::Part;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen harden --data my.npz --trusted trusted.npz
  toxscreen harden --data my.npz --trusted trusted.npz --budget 0.05 --penalty l1 --current 10
  toxscreen harden --data table.npz --scale minmax --valid 100
  toxscreen harden --data digits --classes 3,8 --valid 60
  toxscreen harden --data my.npz --trusted trusted.npz --hidden 32,8 --per-layer --json
  toxscreen harden --data my.npz --trusted trusted.npz --out runs/harden

Each candidate is trained as you would train it (logistic regression until it has converged) and
judged by the worst of all poison that was crafted, also against that very candidate. It is
recommended only if, on test rows that had no say in the choice, its worst case is better than that
of what you have and of cross-validation by more than a 95 % interval, it costs no more on the data
as they are than it gains, and it is better than always answering the most frequent class. The
worst case is what this attack found with the budget: another may do worse.

Exit codes: 0 a regularisation is recommended, 4 none is: keep what you have, 1 training diverged,
2 wrong usage, 3 data, 130 stopped by Ctrl-C (nothing is kept without --out; with it, the same command
goes on).")]
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
    #[arg(long, value_name = "N", default_value_t = HardenConfig::default().splits)]
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
    /// Folder of a study of this one trial: its record, to be held against another run with `verify`, its
    /// report, and what the command goes on from when it was stopped [default: nothing is kept]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub session: Session,
}

impl Harden {
    fn config(&self) -> HardenConfig {
        HardenConfig {
            trusted: self.trusted.as_deref().map(|file| self.rows.trusted(file)),
            budget: self.poisoned.budget,
            current: self.current.map(|c| match c {
                f64::INFINITY => InUse::None,
                c => InUse::C(c),
            }),
            splits: self.splits,
            scale: self.scaled.scale,
            hidden: self.learner.hidden.clone(),
            penalty: self.learner.penalty,
            steps: self.learner.steps,
            lr: self.learner.lr,
            per_layer: self.per_layer,
            hyperiterations: self.adversary.hyperiterations,
            poison_lr: self.adversary.poison_lr,
            batch: self.adversary.batch,
        }
    }
}

pub fn harden(args: &Harden) -> Result<Output> {
    let begun = Instant::now();
    args.session.cpu_alone("harden")?;
    args.session.pool();
    let stop = interrupted("stopping")?;
    let config = args.config();
    config.check().map_err(|e| bilevel::out_of_range(&e))?;
    let source = args.rows.read(args.trusted.as_deref())?;
    let learner = Part::new(harden::KIND, &config);
    let data = args.rows.spec(args.valid.unwrap_or(0));
    let (seed, dir) = (args.session.seed, args.rows.set.folder.dir()?);
    let recipe = single::recipe("harden", &learner, &data, seed);
    let study = single::study(&recipe, seed, &dir, &[])?;
    let own = source.divide(&study.trials[0].spec, config.scale, 0)?;
    let plan = Plan::new(&config, &own).map_err(|e| bilevel::out_of_range(&e))?;
    if !args.session.json {
        say(format_args!("{}", bilevel::describe(&own).trim_end()));
        say(format_args!(
            "{} of them are poison, in each of {} divisions of the rows",
            plan.attack.points(),
            args.splits
        ));
        if !config.hidden.is_empty() {
            say(format_args!("{}", args.learner.describe(&plan.config)));
        }
    }
    let mut warnings = bilevel::warnings(&own);
    if config.hidden.is_empty() && (config.steps.is_some() || config.lr.is_some()) {
        warnings.push(
            "--steps and --lr are of no use to logistic regression, which is trained until it has \
             converged"
                .to_owned(),
        );
    }
    warn(&warnings);
    let single = Single {
        study: &study,
        kept: &Kept::folder(args.out.as_deref()),
        session: &args.session,
        data_dir: args.rows.set.folder.data_dir.as_deref(),
    };
    let Some(ran) = single.run("harden", &stop)? else {
        return Ok(Output::stopped());
    };
    let found: HardenOutcome = ran.outcome()?;
    bilevel::warn_useless(found.no_better_than_majority.as_ref(), &own, &mut warnings);
    let short = found.short_of_convergence();
    warn(short.as_slice());
    warnings.extend(short);
    let text = match args.session.json {
        true => {
            let mut report = told::report(&found);
            report["warnings"] = object!(warnings);
            report["seconds"] = begun.elapsed().as_secs_f64().into();
            json(&report)?
        }
        false => told::tell(&found, &config.hidden, &warnings),
    };
    let code = if found.advice.recommended() {
        0
    } else {
        UNDECIDED
    };
    Ok(Output { text, code })
}
