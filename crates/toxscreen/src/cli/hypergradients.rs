//! `toxscreen hypergradients`: what each way to a hypergradient costs, measured.

use super::bilevel::{self, Held, Learner, Rows, points};
use super::progress::Bar;
use super::{Output, json};
use tox_bilevel::config::Victim;
use tox_bilevel::hypergradient::compare::{Settings, run, table};
use tox_bilevel::inner::Problem;
use tox_bilevel::points::TrainingSet;
use tox_bilevel::victim::{self, Poison};
use tox_data::rng::stream;

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
    /// Folder of the data sets [default: $TOXSCREEN_DATA, or the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<std::path::PathBuf>,
    /// Share of the training rows that is poison, between 0 and 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.1,
        allow_negative_numbers = true
    )]
    pub budget: f64,
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
    /// Seed of all that is drawn: rows held out, rows replaced, initial weights
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub fn hypergradients(args: &Hypergradients) -> anyhow::Result<Output> {
    let rows = Rows {
        data: args.data.clone().unwrap_or_else(|| "digits".to_owned()),
        label: None,
        resize: None,
        classes: match (&args.classes, &args.data) {
            (None, None) => Some(vec![3, 8]),
            (classes, _) => classes.clone(),
        },
        data_dir: args.data_dir.clone(),
    };
    let held = Held {
        valid: None,
        seed: args.seed,
        scaling: None,
    };
    let own = rows.load(None, held)?.own;
    let sets = &own.sets;
    let learner = Learner {
        hidden: args.hidden.clone(),
        penalty: Default::default(),
        steps: args.steps.first().copied().or(Some(1)),
        lr: args.lr,
    };
    let mut config = learner.config(&own, 0, 1, false);
    config.victim = Victim::Large;
    config.lambda.large = args.lambda;
    config.check().map_err(|e| bilevel::usage(&e))?;

    let poison = Poison::flipped(
        sets,
        points(args.budget, None, sets.train.len())?,
        args.seed,
    );
    let clean = poison.leaves(&sets.train);
    let poison = poison.points(sets.train.features);
    let model = victim::model(&config, sets);
    let start = model.start(config.bias_start, &mut stream(args.seed, "start", &[0, 0]));
    let problem = Problem {
        model: &model,
        train: TrainingSet {
            fixed: vec![&clean],
            poison: &poison,
        },
        valid: &sets.valid,
        regulariser: victim::regulariser(&config, &[args.lambda]),
        start: &start,
        steps: config.inner.steps,
        lr: config.inner.lr as f32,
    };
    let settings = Settings {
        steps: args.steps.clone(),
        repeats: args.repeats,
        ..Settings::default()
    };
    let mut bar = Bar::new("hypergradients");
    let compared = run(&problem, &settings, &mut |at| {
        let what = match at.next {
            Some((method, steps)) => format!("{} at T = {steps}", method.name()),
            None => "the reference".to_owned(),
        };
        bar.tell(at.done as f64 / at.of as f64, &what);
    });
    bar.close();
    let compared = compared.map_err(|e| bilevel::usage(&e))?;
    Ok(Output::done(match args.json {
        true => json(&compared)?,
        false => table(&compared),
    }))
}
