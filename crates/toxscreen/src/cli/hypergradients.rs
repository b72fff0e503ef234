//! `toxscreen hypergradients`: what each way to a hypergradient costs, measured.

use super::bilevel::{self, Rows, points};
use super::options::{Folder, Poisoned, Session, Set};
use super::progress::Bar;
use super::{Output, Result, json};
use tox_audits::commands::hypergradients::{Ask, compare};
use tox_audits::commands::rows::Held;
use tox_bilevel::hypergradient::compare::table;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen hypergradients
  toxscreen hypergradients --data mnist --classes 0,8 --budget 0.035 --steps 140
  toxscreen hypergradients --hidden 16,4 --steps 50,200,800 --json

Each way computes the same two derivatives of the trusted rows' loss, by the poison's features and by
lambda, for flipped labels that have not moved yet. Errors are against the exact derivative where
training has converged; a network may have no such point, which the table then says.

Exit codes: 0 done, 2 wrong usage, 3 data.")]
pub struct Hypergradients {
    /// An .npz file, a folder of class folders, or digits, mnist, fashion-mnist, cifar10, cifar100
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
        default_value_t = -4.0,
        allow_negative_numbers = true
    )]
    pub lambda: f64,
    /// Lengths of the inner training
    #[arg(long, value_name = "T", value_delimiter = ',', default_values_t = [50, 100, 400])]
    pub steps: Vec<usize>,
    /// Learning rate of the inner training [default: one with which logistic regression is
    /// stable, 1.5 over a bound of the loss's curvature]
    #[arg(long, value_name = "ETA", allow_negative_numbers = true)]
    pub lr: Option<f64>,
    /// Time each way so often and take the least
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub repeats: usize,
    #[command(flatten)]
    pub session: Session,
}

pub fn hypergradients(args: &Hypergradients) -> Result<Output> {
    args.session.cpu_alone("hypergradients")?;
    args.session.pool();
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
    let held = Held {
        valid: None,
        seed: args.session.seed,
        scaling: None,
    };
    let own = rows.load(None, held)?.own;
    let ask = Ask {
        own: &own,
        hidden: &args.hidden,
        lambda: args.lambda,
        steps: &args.steps,
        lr: args.lr,
        repeats: args.repeats,
        seed: args.session.seed,
    };
    let config = ask.config().map_err(|e| bilevel::out_of_range(&e))?;
    let points = points(args.poisoned.budget, None, own.sets.train.len())?;
    let mut bar = Bar::new("hypergradients");
    let compared = compare(&ask, &config, points, &mut |at| {
        let what = match at.next {
            Some((method, steps)) => format!("{} at T = {steps}", method.name()),
            None => "the reference".to_owned(),
        };
        bar.tell(at.done as f64 / at.of as f64, &what);
    });
    bar.close();
    let compared = compared.map_err(|e| bilevel::out_of_range(&e))?;
    Ok(Output::done(match args.session.json {
        true => json(&compared)?,
        false => table(&compared),
    }))
}
