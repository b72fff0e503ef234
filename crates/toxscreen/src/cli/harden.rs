//! `toxscreen harden`: learn on a trusted set how strongly to regularise, and try it under attack.

use super::bilevel::{self, Adversary, Learner, Loaded, Rows, lambdas, points};
use super::{INTERRUPTED, Output, json, say, table};
use serde_json::{Value, json as object};
use std::time::Instant;
use tox_bilevel::advice::{Advice, Question, Treatment, advise};
use tox_bilevel::config::{BilevelConfig, Penalty, Victim};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen harden --data my.npz --trusted trusted.npz
  toxscreen harden --data my.npz --trusted trusted.npz --budget 0.05 --penalty l1
  toxscreen harden --data digits --classes 3,8 --valid 60
  toxscreen harden --data my.npz --trusted trusted.npz --hidden 32,8 --per-layer --json

The worst case is the strongest poison that this attack found with the budget, against that very
lambda: another attack, model or budget may do worse. Lambda belongs to features scaled as they are
here (8-bit ones as pixel / 255) and to the mean cross-entropy.

Exit codes: 0 done, 1 training diverged, 2 wrong usage, 3 data, 130 stopped by Ctrl-C (nothing is
kept).")]
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

pub fn harden(args: &Harden) -> anyhow::Result<Output> {
    let begun = Instant::now();
    let stop = bilevel::interrupted()?;
    let loaded = args
        .rows
        .load(args.trusted.as_deref(), args.valid, args.seed)?;
    let sets = &loaded.own.sets;
    let points = points(args.budget, None, sets.train.len())?;
    let config = args
        .learner
        .config(&loaded.own, args.adversary.hyperiterations, args.per_layer);
    let attack = args.adversary.attack(&loaded.own, points)?;
    config.check().map_err(|e| bilevel::usage(&e))?;
    attack.check().map_err(|e| bilevel::usage(&e))?;
    if !args.json {
        say(format_args!("{}", loaded.say().trim_end()));
    }
    let question = Question {
        sets,
        config: &config,
        attack: &attack,
        seed: args.seed,
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
    let text = match args.json {
        true => {
            let mut report = report(&loaded, &config, &advice);
            report["points"] = points.into();
            report["share"] = (points as f64 / sets.train.len() as f64).into();
            report["seconds"] = begun.elapsed().as_secs_f64().into();
            json(&report)?
        }
        false => tell(&loaded, &config, &advice, points),
    };
    Ok(Output::done(text))
}

/// exp(lambda), the factor of the penalty.
fn strengths(advice: &Advice) -> Vec<f64> {
    advice.lambda.iter().map(|l| l.exp()).collect()
}

/// C of scikit-learn's logistic regression, which weighs the sum of the losses and not the penalty.
fn inverse(config: &BilevelConfig, loaded: &Loaded, advice: &Advice) -> Option<f64> {
    let n = loaded.own.sets.train.len() as f64;
    let lambda = advice.lambda.first()?;
    (config.hidden.is_empty()).then(|| 1.0 / (n * lambda.exp()))
}

/// What it means that a lambda ended at the edge of what was tried, if one did.
fn at_edge(config: &BilevelConfig, advice: &Advice) -> Option<&'static str> {
    let box_ = &config.lambda;
    if advice.lambda.iter().any(|&lambda| lambda >= box_.max) {
        Some(
            "a lambda is the largest that is stable at this learning rate: a lower --lr tries more",
        )
    } else if advice.lambda.iter().all(|&lambda| lambda <= box_.min) {
        Some("the trusted rows ask for no regularisation: lambda fell to the least that was tried")
    } else {
        None
    }
}

fn name(treatment: &Treatment) -> &'static str {
    match treatment.victim {
        Victim::None => "no regularisation",
        Victim::CrossValidated => "cross-validated",
        _ => "advised",
    }
}

fn report(loaded: &Loaded, config: &BilevelConfig, advice: &Advice) -> Value {
    let treatment = |t: &Treatment| {
        object!({
            "name": name(t),
            "lambda": t.lambda,
            "test_error": t.clean,
            "worst_test_error": t.worst,
            "diverged": t.divergence.is_some(),
        })
    };
    let treatments: Vec<Value> = advice.treatments.iter().map(treatment).collect();
    object!({
        "lambda": advice.lambda,
        "at_edge": at_edge(config, advice).is_some(),
        "penalty": config.penalty,
        "weight_decay": (config.penalty == Penalty::L2).then(|| strengths(advice)),
        "sklearn_c": inverse(config, loaded, advice),
        "treatments": treatments,
        "rows": loaded.json(),
    })
}

fn tell(loaded: &Loaded, config: &BilevelConfig, advice: &Advice, points: usize) -> String {
    let rows = loaded.own.sets.train.len();
    let share = 100.0 * points as f64 / rows as f64;
    let percent = |error: Option<f64>| match error {
        Some(error) => format!("{error:.2} %"),
        None => "diverged".to_owned(),
    };
    let row = |t: &Treatment| {
        vec![
            name(t).to_owned(),
            lambdas(&t.lambda),
            percent(t.clean),
            percent(t.worst),
        ]
    };
    let worst = format!("worst found, {share:.1} % poison");
    let head = [
        "regularisation",
        "lambda",
        "test error, data as they are",
        &worst,
    ];
    let mut text = table(&head, &advice.treatments.each_ref().map(row));
    let [_, validated, advised] = &advice.treatments;
    text.push_str(&format!(
        "\nadvised lambda: {}, learned on {} trusted rows while {points} of {rows} training rows were \
         poison\n",
        lambdas(&advice.lambda),
        loaded.own.sets.valid.len()
    ));
    if let Some(edge) = at_edge(config, advice) {
        text.push_str(&format!("{edge}\n"));
    }
    if let (Some(advised), Some(validated)) = (advised.worst, validated.worst)
        && advised >= validated
    {
        text.push_str(
            "here it withstands this poison no better than the cross-validated lambda: regularisation \
             may not be the defence for these data\n",
        );
    }
    text.push_str(&usage(loaded, config, advice));
    text.push_str(&format!(
        "This holds for this model ({}), these features and this budget; the worst case is what this \
         attack found, not a bound.\n",
        match config.hidden.as_slice() {
            [] => "logistic regression".to_owned(),
            widths => format!("a network with hidden layers of {widths:?}"),
        }
    ));
    text
}

/// How to use the advice elsewhere.
fn usage(loaded: &Loaded, config: &BilevelConfig, advice: &Advice) -> String {
    let strengths = strengths(advice);
    let listed: Vec<String> = strengths.iter().map(|s| format!("{s:.3e}")).collect();
    let listed = listed.join(", ");
    let each = match strengths.len() {
        1 => "",
        _ => " (one for each layer's weights, input first)",
    };
    let mut text = match config.penalty {
        Penalty::L2 => format!(
            "PyTorch       torch.optim.SGD(weights, lr, weight_decay={listed}){each}, on the mean \
             cross-entropy, with no decay of biases\n"
        ),
        Penalty::L1 => format!(
            "PyTorch       add {listed} * w.abs().sum() of the weights{each} to the mean \
             cross-entropy\n"
        ),
    };
    if let Some(c) = inverse(config, loaded, advice) {
        let penalty = match config.penalty {
            Penalty::L2 => "",
            Penalty::L1 => ", penalty=\"l1\", solver=\"saga\"",
        };
        text.push_str(&format!(
            "scikit-learn  LogisticRegression(C={c:.4}{penalty}), C = 1 / (n exp(lambda)) for n = {} \
             training rows\n",
            loaded.own.sets.train.len()
        ));
    }
    text
}
