//! `toxscreen compress`: one compression of a user's network, as a trial in this process.

mod recipe;
mod result;

use super::options::Session;
use super::robust::{self, Images, Radius};
use super::weights::{self, FirstLayer, Look};
use super::{
    FAILED, Output, Result, bug, interrupted, json, notes, say, single, stopped, this_command,
    usage,
};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::{Path, PathBuf};
use tox_audits::network::architectures::{Arch, FILE};
use tox_audits::rcnas;
use tox_data::{Dataset, Normalise};
use tox_nn::Device;
use tox_nn::layers::Init;
use tox_nn::nets::wrn::{self, Shape, WrnConfig};
use tox_rcnas::learner::{CompressConfig, Normalisation};
use tox_rcnas::{Budget, Method, RcnasError, Space};
use tox_robust::attack::{self, Attack};
use tox_robust::evaluation::EvaluationError;
use tox_study::child::Options;
use tox_study::files;
use tox_study::recipe::Study;
use tox_study::spec::TrialSpec;
use tox_study::store::{StoreError, other_content, unoccupied};
use tox_study::trial::Exit;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen compress --teacher wrn.safetensors --arch wrn-28-10 --budget 1.0G --data cifar10 --device cuda:0
  toxscreen compress --arch wrn-16-2 --budget 40% --data cifar10 --train 5000 --resize 16 --epochs 5 --final-epochs 20
  toxscreen compress --arch wrn-16-4 --budget 500M --data cifar10 --meta-data cifar100 --meta-teachers wrn-16-2,wrn-22-4
  toxscreen compress --arch d2,2,2-w2,2,2-b4 --budget 50% --data digits --evaluations 8 --epochs 2 --final-epochs 10

Stopped or killed at any point, the same command goes on. The teacher's weights are a PyTorch state dict as for
`toxscreen attack`; --normalise, or --mean and --std, must be what they were trained with.

Without --method, a search with tasks to meta-train on (--meta-data, --meta-attacks, --meta-teachers) is rc-nas;
with the one task alone there is nothing to transfer from, and it is from-scratch, the same agent without
meta-training. Meta-training evaluates far more sub-networks than the target: see --set learner.search.meta.rounds.

Exit codes: 0 done, 1 nothing within the budget could be trained, 2 wrong usage or weights of another network,
3 data or weights missing or damaged, 130 stopped by Ctrl-C.")]
pub struct Compress {
    /// The teacher's weights, .safetensors [default: it is trained first]
    #[arg(long, value_name = "FILE")]
    pub teacher: Option<PathBuf>,
    /// Its shape: wrn-28-10, wrn-34-r, wrn-a1 to wrn-a4, d14,14,7-w5,7,3-r001, ..., with -b4 behind it for
    /// 4 channels at width 1 in place of 16 [default: what the teacher's names and shapes say]
    #[arg(long, value_name = "ARCH", value_parser = robust::shape)]
    pub arch: Option<Shape>,
    /// What the sub-network may cost: multiply-accumulates of an image (1.0G, 500M, 250k), or a share of
    /// the teacher's (40%, 0.4x)
    #[arg(long, value_name = "MACS", value_parser = budget, allow_hyphen_values = true)]
    pub budget: Budget,
    #[command(flatten)]
    pub images_of: Images,
    #[arg(
        long,
        help = format!("The attack that candidates are measured under: {}", attack::names()),
        default_value = "pgd20"
    )]
    pub attack: Attack,
    #[command(flatten)]
    pub radius: Radius,
    #[command(flatten)]
    pub first_layer: FirstLayer,
    /// How sub-networks are searched [default: see below]
    #[arg(long, value_parser = method())]
    pub method: Option<Method>,
    /// Sub-networks that are trained and attacked
    #[arg(long, value_name = "N", default_value_t = 25)]
    pub evaluations: usize,
    /// How networks are trained: trades, sat, mart or standard
    #[arg(long, default_value = "trades", value_parser = ["trades", "sat", "mart", "standard"])]
    pub training: String,
    /// Epochs of a candidate, which begins with the teacher's weights
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub epochs: usize,
    /// Epochs of the result, and of a teacher without weights
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub final_epochs: usize,
    /// Images a step of every training
    #[arg(long, value_name = "B", default_value_t = 128)]
    pub batch: usize,
    /// Learning rate of every training's first epoch
    #[arg(
        long,
        value_name = "ETA",
        default_value_t = 0.1,
        allow_negative_numbers = true
    )]
    pub lr: f64,
    /// Attacks on teacher and result in the end
    #[arg(
        long,
        value_name = "ATTACKS",
        value_delimiter = ',',
        default_value = "fgsm,pgd20,cw40,autoattack"
    )]
    pub judge: Vec<Attack>,
    /// Test images in the end, the first ones, at most all
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub images: usize,
    /// Further data sets to meta-train on
    #[arg(long, value_name = "DATA", value_delimiter = ',')]
    pub meta_data: Vec<String>,
    /// Further attacks to meta-train on, in the same ball
    #[arg(long, value_name = "ATTACKS", value_delimiter = ',')]
    pub meta_attacks: Vec<Attack>,
    /// Further teachers to meta-train on; may be given again, since a shape may have commas
    #[arg(long, value_name = "ARCH", value_parser = shapes)]
    pub meta_teachers: Vec<Shapes>,
    /// Folder of the results [default: runs/compress-ARCH]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Change a key of the recipe that this command writes, such as learner.search.meta.rounds=20; may be
    /// given again
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub session: Session,
}

/// Shapes of one `--meta-teachers`.
#[derive(Clone, Debug)]
pub struct Shapes(Vec<Shape>);

/// One shape, which may have commas, or several without.
fn shapes(text: &str) -> Result<Shapes, String> {
    if let Ok(shape) = Shape::parse(text) {
        return Ok(Shapes(vec![shape]));
    }
    text.split(',')
        .map(robust::shape)
        .collect::<Result<_, _>>()
        .map(Shapes)
}

fn method() -> impl TypedValueParser<Value = Method> {
    PossibleValuesParser::new(Method::ALL.map(Method::word)).map(|word| {
        let named = |method: &Method| method.word() == word;
        Method::ALL.into_iter().find(named).unwrap_or_default()
    })
}

/// `1.0G`, `500M`, `250k`, `40%`, `0.4x`.
fn budget(text: &str) -> Result<Budget, String> {
    let expected = || {
        "expected multiply-accumulates such as 1.0G, 500M or 250k, or a share of the teacher's such as 40% \
         or 0.4x"
            .to_owned()
    };
    let end = text
        .char_indices()
        .last()
        .filter(|(_, c)| !c.is_ascii_digit());
    let (number, unit) = match end {
        Some((at, unit)) => (&text[..at], Some(unit)),
        None => (text, None),
    };
    let number: f64 = number.trim().parse().map_err(|_| expected())?;
    let budget = match unit {
        None => Budget::Macs(number.round() as u64),
        Some('k' | 'K') => Budget::Macs((number * 1e3).round() as u64),
        Some('m' | 'M') => Budget::Macs((number * 1e6).round() as u64),
        Some('g' | 'G') => Budget::Macs((number * 1e9).round() as u64),
        Some('%') => Budget::Share(number / 100.0),
        Some('x') => Budget::Share(number),
        Some(_) => return Err(expected()),
    };
    if !number.is_finite() {
        return Err(expected());
    }
    budget.check().map_err(|e| e.to_string())?;
    Ok(budget)
}

/// What the weights say where an option does not.
pub struct Teacher {
    shape: Shape,
    normalisation: Normalisation,
}

impl Teacher {
    fn new(args: &Compress) -> Result<Self> {
        let path = args.teacher.as_deref();
        let file = path.map(weights::read).transpose()?;
        Ok(Self {
            shape: weights::shape(args.arch, file.as_ref())?,
            normalisation: args.first_layer.chosen(file.as_ref()),
        })
    }
}

pub fn compress(args: &Compress) -> Result<Output> {
    let device = args.session.device()?;
    let mut attacks = vec![args.attack.clone()];
    attacks.extend(args.judge.iter().chain(&args.meta_attacks).cloned());
    // Before the data are read; their classes are checked below.
    args.radius.ball(&attacks, usize::MAX)?;
    let teacher = Teacher::new(args)?;
    let data_dir = args.images_of.set.folder.dir()?;
    let study = recipe::study(args, &teacher, &data_dir)?;
    let spec = &study.trials[0].spec;
    if spec.learner.kind != rcnas::KIND {
        return Err(usage(
            "--set learner.kind: this command compresses",
            "write a recipe for other learners",
        ));
    }
    let config: CompressConfig = spec.learner.read().map_err(|e| bug(&e.to_string()))?;
    let config = &config;
    let mut data = tox_data::load_seeded(&spec.data, &data_dir, spec.seed)?;
    notes(&data.notes);
    notes(&data.first(&data.valid, config.candidate.images)?);
    if let Some(judge) = &config.judge {
        notes(&data.first(&data.test, judge.images)?);
    }
    let own = data.normalise.clone();
    let normalise = &config.candidate.normalise;
    normalise
        .apply(&mut data)
        .map_err(|e| usage(e.to_string(), "see --normalise, --mean and --std"))?;
    args.radius.ball(&attacks, data.classes)?;
    let [_, c, h, w] = data.train.images.shape;
    args.radius.fits([c, h, w])?;
    args.session.pool();
    feasible(config, (&data, &own), device)?;
    let default = || PathBuf::from("runs").join(format!("compress-{}", teacher.shape));
    let dir = args.out.clone().unwrap_or_else(default);
    prepare(&dir, &study, spec)?;

    let stop = interrupted("stopping: the checkpoint is written")?;
    let options = Options {
        spec: dir.join("spec.json"),
        dir: dir.clone(),
        data_dir: args.images_of.set.folder.data_dir.clone(),
        shared: None,
        shared_only: false,
        device: args.session.device.clone(),
        threads: args.session.threads(),
    };
    let record = match single::run("compress", &options, &stop) {
        Err(failure) if failure.exit == Exit::Stopped => {
            return Ok(stopped(format_args!("go on with: {}", this_command())));
        }
        record => record?,
    };
    let result = result::Found::new(args, &dir, config, &data, &record)?;
    let text = match args.session.json {
        true => json(&result.json())?,
        false => result.text(),
    };
    let code = if result.found() { 0 } else { FAILED };
    Ok(Output { text, code })
}

/// Refuses what would be refused after the data are loaded, before a folder is made.
/// `own` are the constants of the data set.
fn feasible(
    config: &CompressConfig,
    (data, own): (&Dataset, &Normalise),
    device: Device,
) -> Result<()> {
    if config.judge.is_some() && data.test.is_empty() {
        return Err(usage(
            EvaluationError::NoImages.to_string(),
            "the result is judged on test images, which these data have not: add x_test and y_test",
        ));
    }
    let [_, _, h, w] = data.train.images.shape;
    let network = |shape: &Shape| WrnConfig {
        cells: config.candidate.cells,
        ..robust::network(shape, data)
    };
    let teacher = network(&config.teacher);
    let given = match &config.weights {
        Some(file) => {
            let file = weights::read(Path::new(&file.path))?;
            let (network, mut state) = wrn::wrn(&teacher, Init::Zero, (0, "weights"));
            let loaded = wrn::load(&mut state, &file.path).map(|_| (network, state));
            let arch = Arch::wrn(&config.teacher);
            Some(weights::fitted(
                &arch,
                &file,
                data,
                loaded.map_err(Into::into),
            )?)
        }
        None => None,
    };
    let cheapest = Space::new(&config.teacher, &config.search.space).cheapest();
    let (least, most) = (network(&cheapest).macs(h, w), teacher.macs(h, w));
    let budget = config.budget.macs(most);
    if budget >= least {
        if let Some(given) = &given {
            let look = Look {
                network: given,
                data,
                device,
            };
            let seen = look.glance(&data.valid, &data.normalise);
            let clean = seen.iter().filter(|right| **right).count();
            say(format_args!(
                "the teacher classifies {:.2} % of {} validation images correctly; if that is less than you \
                 know of it, see --normalise (pixels: {})",
                100.0 * clean as f64 / seen.len().max(1) as f64,
                seen.len(),
                weights::constants(&data.normalise),
            ));
            if let Some(better) = look.better(&data.valid, own, &config.candidate.normalise) {
                say(format_args!("note: {better}"));
            }
        }
        return Ok(());
    }
    let refused = RcnasError::Budget {
        teacher: Box::new(config.teacher),
        data: data.name.clone(),
        budget,
        cheapest: Box::new(cheapest),
        least,
        most,
    };
    let share = 100.0 * least as f64 / most as f64;
    Err(usage(
        refused.to_string(),
        format!("the least that can be asked is --budget {least}, {share:.2} % of the teacher"),
    ))
}

/// Makes the folder, or sees that it is that of the same compression.
fn prepare(dir: &Path, study: &Study, spec: &TrialSpec) -> Result<()> {
    let path = dir.join("spec.json");
    let text = serde_json::to_string_pretty(spec).map_err(|e| bug(&e.to_string()))?;
    if path.is_file() {
        let kept: Option<TrialSpec> = serde_json::from_str(&files::read(&path)?).ok();
        if kept.as_ref() == Some(spec) {
            return Ok(());
        }
        if let Some(changes) = kept.and_then(|kept| other_content(&kept, spec)) {
            return Err(StoreError::OtherData {
                dir: dir.to_owned(),
                changes,
            }
            .into());
        }
        return Err(usage(
            format!(
                "{} has another compression, with other options",
                dir.display()
            ),
            "give --out another folder, or delete this one",
        ));
    }
    let others = ["recipe.toml", "record.json", "network.json"];
    unoccupied(dir, others.into_iter().chain([FILE]))?;
    files::create_dir(dir)?;
    files::write_atomic(&dir.join("recipe.toml"), study.to_toml().as_bytes())?;
    files::write_atomic(&path, text.as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_counts_or_shares() {
        for (text, expected) in [
            ("1.0G", Budget::Macs(1_000_000_000)),
            ("500M", Budget::Macs(500_000_000)),
            ("2.5k", Budget::Macs(2500)),
            ("1234", Budget::Macs(1234)),
            ("40%", Budget::Share(0.4)),
            ("0.25x", Budget::Share(0.25)),
        ] {
            assert_eq!(budget(text), Ok(expected), "{text}");
        }
        for text in ["", "G", "1T", "-1G", "0", "0%", "101%", "NaN", "infG", "1µ"] {
            assert!(budget(text).is_err(), "{text}");
        }
    }
}
