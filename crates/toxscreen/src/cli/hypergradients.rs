//! `toxscreen hypergradients`: what each way to a hypergradient costs, measured.

use super::bilevel::{self, Rows};
use super::options::{Folder, Poisoned, Session, Set};
use super::single::{self, Kept, Single};
use super::{Output, Result, interrupted, json};
use serde_json::json as object;
use std::path::PathBuf;
use tox_audits::hypergradients::{HypergradientsConfig, KIND, part};
use tox_bilevel::hypergradient::compare::{Comparison, Seconds};
use tox_bilevel::hypergradient::table;
use tox_data::ranges;
use tox_study::part::Part;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen hypergradients
  toxscreen hypergradients --data mnist --classes 0,8 --budget 0.035 --steps 140
  toxscreen hypergradients --hidden 16,4 --steps 50,200,800 --json

Each way computes the same two derivatives of the trusted rows' loss, by the poison's features and by
lambda, for flipped labels that have not moved yet. Errors are against the exact derivative where
training has converged; a network may have no such point, which the table then says.

Exit codes: 0 done, 2 wrong usage, 3 data, 130 stopped by Ctrl-C (nothing is kept without --out; with it, the
same command goes on with the next length).")]
pub struct Hypergradients {
    /// An .npz file, a folder of class folders, or a known set (`toxscreen data ls`)
    /// [default: digits, of which 3 and 8]
    #[arg(long, value_name = "DATA")]
    pub data: Option<String>,
    /// Classes to keep, such as 3,8; the first becomes class 0, the next 1
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub classes: Option<Vec<u16>>,
    #[command(flatten)]
    pub folder: Folder,
    #[command(flatten)]
    pub poisoned: Poisoned,
    /// Widths of the hidden layers, such as 32,8 [default: none, logistic regression]
    #[arg(long, value_name = "WIDTHS", value_delimiter = ',')]
    pub hidden: Vec<usize>,
    /// Lambda at which the derivatives are taken
    #[arg(
        long,
        value_name = "X",
        default_value_t = HypergradientsConfig::default().lambda,
        allow_negative_numbers = true
    )]
    pub lambda: f64,
    /// Lengths of the inner training
    #[arg(long, value_name = "T", value_delimiter = ',', default_values_t = HypergradientsConfig::default().steps)]
    pub steps: Vec<usize>,
    /// Learning rate of the inner training [default: one with which logistic regression is
    /// stable, 1.5 over a bound of the loss's curvature]
    #[arg(long, value_name = "ETA", allow_negative_numbers = true)]
    pub lr: Option<f64>,
    /// Time each way so often and take the least
    #[arg(long, value_name = "N", default_value_t = HypergradientsConfig::default().repeats)]
    pub repeats: usize,
    /// Folder of a study of this one trial: its record, to be held against another run with `verify`, its
    /// report, and what the command goes on from when it was stopped [default: nothing is kept]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub session: Session,
}

pub fn hypergradients(args: &Hypergradients) -> Result<Output> {
    args.session.cpu_alone("hypergradients")?;
    args.session.pool();
    let stop = interrupted("stopping")?;
    let rows = Rows {
        set: Set {
            data: args.data.clone().unwrap_or_else(|| "digits".to_owned()),
            classes: match (&args.classes, &args.data) {
                (None, None) => Some(vec![3, 8]),
                (classes, _) => classes.clone(),
            },
            resize: None,
            folder: args.folder.clone(),
        },
        label: None,
    };
    let config = HypergradientsConfig {
        budget: args.poisoned.budget,
        hidden: args.hidden.clone(),
        lambda: args.lambda,
        steps: args.steps.clone(),
        lr: args.lr,
        repeats: args.repeats,
    };
    let out_of_range = |error| bilevel::out_of_range(&error);
    ranges::check(&config).map_err(out_of_range)?;
    let source = rows.read(None)?;
    let (seed, dir) = (args.session.seed, args.folder.dir()?);
    let recipe = single::recipe(KIND, &Part::new(KIND, &config), &rows.spec(0), seed);
    let study = single::study(&recipe, seed, &dir, &[])?;
    let own = source.divide(&study.trials[0].spec, None, 0)?;
    config.plan(&own).map_err(out_of_range)?;
    let single = Single {
        study: &study,
        kept: &Kept::folder(args.out.as_deref()),
        session: &args.session,
        data_dir: args.folder.data_dir.as_deref(),
    };
    let Some(ran) = single.run(KIND, &stop)? else {
        return Ok(Output::stopped());
    };
    let found: Comparison = ran.outcome()?;
    let parts = &ran.record.timing.parts;
    let took = found.rows.iter().map(|row| {
        let [whole, training] = part(row.method, row.steps).map(|name| parts.get(&name).copied());
        Seconds {
            whole,
            training: training.unwrap_or(f64::NAN),
        }
    });
    let took: Vec<Seconds> = took.collect();
    let threads = ran.record.provenance.threads;
    Ok(Output::done(match args.session.json {
        true => {
            let mut report = object!(found);
            report["threads"] = threads.into();
            for (i, took) in took.iter().enumerate() {
                report["rows"][i]["seconds"] = object!(took.whole);
                report["rows"][i]["training_seconds"] = took.training.into();
            }
            json(&report)?
        }
        false => table(&found, &took, threads),
    }))
}
