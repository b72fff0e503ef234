//! `toxscreen attack`: robust accuracy of a user's trained network.

use super::args::device;
use super::progress::Bar;
use super::robust::{self, Images, Radius, guessing, network, reasons, reliable};
use super::{INTERRUPTED, Output, Usage, interrupted, json, notes, say, table};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tox_data::Split;
use tox_data::checkpoint::Hooks;
use tox_nn::nets::wrn::{Shape, WrnConfig};
use tox_robust::attack;
use tox_robust::evaluation::{Evaluation, EvaluationError, Inputs, evaluate};
use tox_robust::model::Model;
use tox_search::compress::Normalisation;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen attack --weights wrn.safetensors --arch wrn-28-10 --data cifar10
  toxscreen attack --weights wrn.safetensors --arch wrn-28-10 --data cifar10 --normalise none --attack autoattack
  toxscreen attack --weights l2.safetensors --arch wrn-16-2 --data cifar10 --norm l2 --epsilon 0.5 --json

Weights are a PyTorch state dict, written by safetensors.torch.save_file(model.state_dict(), FILE), with the
names of the usual WideResNet code; `module.` before them is fine. --normalise must be what they were trained
with: `data` subtracts the data set's mean and divides by its standard deviation, `none` leaves pixels in
0..=1, as most models of RobustBench have them. Whatever it is, epsilon is in units of pixels in 0..=1.

A result that is not reliable is told as such, with the signs that speak against it; the exit code is 0.
Exit codes: 0 done, 2 wrong usage or weights of another network, 3 data or weights damaged, 130 stopped by
Ctrl-C (nothing is kept).")]
pub struct Attack {
    /// The network's weights, .safetensors
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// Its shape: wrn-28-10, wrn-34-r, wrn-a1 to wrn-a4, d14,14,7-w5,7,3-r001, ..., with -b4 behind it for
    /// 4 channels at width 1 in place of 16
    #[arg(long, value_name = "ARCH", value_parser = robust::shape)]
    pub arch: Shape,
    #[command(flatten)]
    pub images_of: Images,
    /// fgsm, pgd20, cw40 (any number of steps), apgd-ce, apgd-dlr, fab, square, autoattack
    #[arg(
        long,
        value_name = "ATTACKS",
        value_delimiter = ',',
        default_value = "fgsm,pgd20,cw40,autoattack"
    )]
    pub attack: Vec<attack::Attack>,
    #[command(flatten)]
    pub radius: Radius,
    /// What the first layer sees: data (mean and standard deviation of the data set) or none
    #[arg(long, default_value = "data", value_parser = robust::normalisation())]
    pub normalise: Normalisation,
    /// Images, the first ones of the split, at most all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub images: usize,
    /// Which images: test, valid or train
    #[arg(long, default_value = "test", value_parser = ["test", "valid", "train"])]
    pub split: String,
    /// Seed of the attacks' random draws
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// cpu, vulkan:N or cuda:N
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub device: String,
    /// Threads [default: all cores]; results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

pub fn attack(args: &Attack) -> anyhow::Result<Output> {
    let device = tox_nn::device::parse(&args.device)
        .map_err(|e| Usage::new(e.to_string(), "leave --device out to use the CPU"))?;
    // Before the data are read; their classes are checked below.
    args.radius.ball(&args.attack, usize::MAX)?;
    let spec = args.images_of.spec(&args.images_of.data)?;
    let mut data = tox_data::load(&spec, &args.images_of.dir()?)?;
    notes(&data.notes);
    args.normalise.apply(&mut data);
    let ball = args.radius.ball(&args.attack, data.classes)?;
    let config = network(&args.arch, &data);
    config
        .check()
        .map_err(|e| Usage::new(e.to_string(), "change --arch"))?;
    let (network, state) = robust::weights(&config, &args.weights)?;
    let split: &Split = match args.split.as_str() {
        "train" => &data.train,
        "valid" => &data.valid,
        _ => &data.test,
    };
    if split.is_empty() || args.images == 0 {
        return Err(Usage::new(
            EvaluationError::NoImages.to_string(),
            "give --images at least 1, and a --split that the data have",
        )
        .into());
    }
    notes(&data.first(split, args.images)?);
    let stop = interrupted("stopping after this batch")?;
    robust::pool(args.threads);
    let [_, c, h, w] = split.images.shape;
    let model = Model::new(
        &network,
        &state,
        &data.normalise,
        ([c, h, w], data.classes),
        device,
    );
    let rows: Vec<u32> = (0..args.images.min(split.len()) as u32).collect();
    let inputs = Inputs {
        oracle: &model,
        split,
        rows: &rows,
        ball,
        attacks: &args.attack,
        seed: args.seed,
    };
    let scratch = tempfile::tempdir()?;
    let mut bar = Bar::new("attack");
    let hooks = Hooks {
        checkpoint: &scratch.path().join("checkpoint"),
        key: "attack",
        save_every: Duration::MAX,
        stop: &mut || stop.load(Ordering::SeqCst),
        progress: &mut |share, what| bar.tell(share, what),
    };
    let evaluation = evaluate(&inputs, hooks);
    bar.close();
    let Some(evaluation) = evaluation? else {
        say(format_args!("stopped; nothing was kept"));
        return Ok(Output {
            text: String::new(),
            code: INTERRUPTED,
        });
    };
    if let Some(note) = guessing(&evaluation, data.classes) {
        say(format_args!("{note}"));
    }
    if !evaluation.reliable {
        say(format_args!(
            "note: these numbers are NOT reliable: robust accuracy is most likely overestimated"
        ));
    }
    Ok(Output::done(match args.json {
        true => json(&serde_json::json!({
            "weights": args.weights,
            "arch": args.arch,
            "data": data.name,
            "data_hash": data.hash,
            "data_notes": data.notes,
            "split": args.split,
            "seed": args.seed,
            "normalise": args.normalise,
            "parameters": config.parameters(),
            "macs": config.macs(h, w),
            "evaluation": evaluation,
        }))?,
        false => tell(args, &config, (h, w), &evaluation),
    }))
}

fn tell(args: &Attack, config: &WrnConfig, (h, w): (usize, usize), found: &Evaluation) -> String {
    let percent = |share: f64| format!("{share:.2} %");
    let passes = |mean: f64, median: f64| format!("{mean:.1} ({median})");
    let clean = ["none".to_owned(), percent(found.clean)];
    let mut rows = vec![clean.to_vec()];
    rows.extend(found.attacks.iter().map(|attacked| {
        let queries = &attacked.queries;
        vec![
            attacked.attack.name(),
            percent(attacked.accuracy),
            attacked.eight_bit.map_or("-".to_owned(), percent),
            passes(queries.mean_forward, queries.median_forward),
            passes(queries.mean_backward, queries.median_backward),
        ]
    }));
    rows.push(vec!["worst case".to_owned(), percent(found.worst_case)]);
    let head = [
        "attack",
        "accuracy",
        "errors left in 8 bits",
        "forward passes",
        "backward passes",
    ];
    let mut text = format!(
        "{}: {} parameters, {} MACs, on {} images of {} ({}), {}\n\n{}\n",
        args.arch,
        robust::count(config.parameters()),
        robust::count(config.macs(h, w)),
        found.images,
        args.images_of.data,
        args.split,
        args.radius.written(),
        table(&head, &rows),
    );
    for attacked in found.attacks.iter().filter(|a| !a.parts.is_empty()) {
        let parts = attacked.parts.iter();
        let parts: Vec<_> = parts
            .map(|part| format!("{} {:.2} %", part.attack, part.fooled))
            .collect();
        let name = attacked.attack.name();
        text += &format!("{name} fooled, one after the other: {}\n", parts.join(", "));
    }
    text += &format!("reliable: {}\n{}", reliable(found), reasons(found));
    text += "Passes are of an image, mean (median). Accuracies are upper bounds: another attack may find \
             more.\n";
    text
}
