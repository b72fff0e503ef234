//! What `compress` and `attack` share: options of images and adversary, checked, and how results are told;
//! [`weights`](super::weights) has what they share of weights.

use super::options::Set;
use super::{Result, say, shell_path, usage};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tox_audits::network::architectures::Arch;
use tox_data::Dataset;
use tox_data::spec::DataSpec;
use tox_data::text::shell_word;
use tox_nn::nets::wrn::{Shape, WrnConfig};
use tox_robust::attack::{Attack, AttackError};
use tox_robust::ball::{Ball, Norm, fraction};
use tox_robust::evaluation::{Evaluation, Gap, Reliable, Untested};
use tox_study::trial::Failure;

/// One in so many training images is held out for validation, unless asked otherwise.
const HELD_OUT: usize = 10;
/// Most of them.
const MOST_VALID: usize = 1000;

/// The images.
#[derive(clap::Args)]
pub struct Images {
    #[command(flatten)]
    pub set: Set,
    /// Training images, the first ones [default: all that --valid leaves]
    #[arg(long, value_name = "N")]
    pub train: Option<usize>,
    /// Validation images, the last of the training file [default: a tenth, at most 1000]
    #[arg(long, value_name = "N")]
    pub valid: Option<usize>,
    /// Grey images become three equal channels
    #[arg(long)]
    pub rgb: bool,
}

impl Images {
    /// How `dataset`, which is `--data` or one like it, is loaded.
    pub fn spec(&self, dataset: &str) -> Result<DataSpec> {
        let mut spec = DataSpec {
            classes: self.set.classes.clone(),
            train: self.train,
            resize: self.set.resize,
            rgb: self.rgb,
            ..DataSpec::of(dataset, self.valid.unwrap_or(0))
        };
        if self.valid.is_none() {
            let found = tox_data::load(&spec, &self.set.folder.dir()?)?.train.len();
            spec.valid = (found / HELD_OUT).clamp(2, MOST_VALID);
        }
        Ok(spec)
    }

    /// The options that were given, as they are written.
    pub fn written(&self) -> String {
        let mut text = format!("--data {}", shell_word(&self.set.data));
        if let Some(classes) = &self.set.classes {
            let classes: Vec<String> = classes.iter().map(u16::to_string).collect();
            text += &format!(" --classes {}", classes.join(","));
        }
        let numbers = [
            ("train", self.train),
            ("valid", self.valid),
            ("resize", self.set.resize),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                text += &format!(" --{name} {number}");
            }
        }
        if self.rgb {
            text += " --rgb";
        }
        if let Some(dir) = &self.set.folder.data_dir {
            text += &format!(" --data-dir {}", shell_path(dir));
        }
        text
    }
}

/// Where the adversary may move an image.
#[derive(clap::Args)]
pub struct Radius {
    /// Radius of the perturbations, where pixels lie in 0..=1: a number or a fraction [default: 8/255 of
    /// linf, 0.5 of l2]
    #[arg(
        long,
        value_name = "EPS",
        value_parser = epsilon,
        allow_hyphen_values = true
    )]
    pub epsilon: Option<f64>,
    /// How a perturbation is measured: linf or l2
    #[arg(long, default_value = "linf", value_parser = norm())]
    pub norm: Norm,
}

/// The usual radius of L2 on CIFAR-10.
const USUAL_L2: f64 = 0.5;
/// The L-inf radius from which every image can be painted in one grey.
const GREY: f64 = 0.5;

impl Radius {
    /// As given, or what is usual in this norm.
    pub fn epsilon(&self) -> f64 {
        self.epsilon.unwrap_or(match self.norm {
            Norm::Linf => 8.0 / 255.0,
            Norm::L2 => USUAL_L2,
        })
    }

    /// As a ball, for these attacks on `classes` classes.
    pub fn ball(&self, attacks: &[Attack], classes: usize) -> Result<Ball> {
        let (norm, epsilon) = (self.norm, self.epsilon());
        let ball = Ball { norm, epsilon };
        for attack in attacks {
            attack.check(ball, classes).map_err(|e| refused(&e))?;
        }
        Ok(ball)
    }

    /// Refuses a radius that allows every image of `size` values, and says what is unusual in it.
    pub fn fits(&self, [c, h, w]: [usize; 3]) -> Result<()> {
        let (epsilon, most) = (self.epsilon(), ((c * h * w) as f64).sqrt());
        match (self.norm, self.epsilon) {
            (Norm::L2, _) if epsilon >= most => {
                return Err(usage(
                    format!(
                        "epsilon {epsilon} in L2 allows every image of {c}x{h}x{w} values in 0..=1, none of \
                         which is farther than {most:.3} from another"
                    ),
                    format!("write --epsilon {epsilon}/255 for a length of {epsilon} grey levels"),
                ));
            }
            (Norm::L2, None) => say(format_args!(
                "note: --norm l2 without --epsilon: it is {USUAL_L2}, as usual for CIFAR-10's 3x32x32 \
                 values; these images are {c}x{h}x{w}"
            )),
            (Norm::Linf, _) if epsilon >= GREY => say(format_args!(
                "note: with an epsilon of {epsilon} every image can be made one grey: no network is robust"
            )),
            (Norm::Linf | Norm::L2, _) => {}
        }
        Ok(())
    }

    /// As it is written.
    pub fn written(&self) -> String {
        let norm = match self.norm {
            Norm::Linf => "linf",
            Norm::L2 => "l2",
        };
        // A fraction of 255 where it is one, as everybody writes it.
        let epsilon = self.epsilon();
        let pixels = epsilon * 255.0;
        let epsilon = match (pixels.round(), pixels.round() / 255.0 == epsilon) {
            (whole, true) if whole > 0.0 => format!("{whole}/255"),
            _ => epsilon.to_string(),
        };
        format!("--epsilon {epsilon} --norm {norm}")
    }
}

fn refused(error: &AttackError) -> Failure {
    let hint = match error {
        AttackError::Ball(_) => {
            "write --epsilon 8/255 for 8 of 255 grey levels, or --norm l2 with a length"
        }
        AttackError::Settings { .. } | AttackError::Classes { .. } => {
            "leave the attack out, or use another"
        }
    };
    usage(error.to_string(), hint)
}

/// For `--epsilon`.
fn epsilon(text: &str) -> Result<f64, String> {
    fraction::parse(text).ok_or_else(|| "expected a number, or a fraction such as 8/255".to_owned())
}

fn norm() -> impl TypedValueParser<Value = Norm> {
    PossibleValuesParser::new(["linf", "l2"]).map(|name| match name.as_str() {
        "l2" => Norm::L2,
        _ => Norm::Linf,
    })
}

/// For `--arch`.
pub fn shape(text: &str) -> Result<Shape, String> {
    Shape::parse(text).map_err(|e| e.to_string())
}

/// For `--arch` of any network.
pub fn arch(text: &str) -> Result<Arch, String> {
    text.parse::<Arch>().map_err(|e| e.to_string())
}

/// A network for the images of `data`.
pub fn network(shape: &Shape, data: &Dataset) -> WrnConfig {
    WrnConfig::new(*shape, data.train.images.shape[1], data.classes)
}

/// What a user must know before any number of an evaluation: that the network is no better than a constant
/// answer, or that one class was tested.
pub fn hollow(evaluation: &Evaluation) -> Option<&str> {
    let hollow = |u: &&Untested| match u.gap {
        Gap::OneClass | Gap::NoneCorrect | Gap::Majority => true,
        Gap::NoAttack | Gap::NoRoom | Gap::FewImages | Gap::WeakAttacks => false,
    };
    let found = evaluation.untested.iter().find(hollow);
    found.map(|untested| untested.reason.as_str())
}

/// What is said beside the numbers of an evaluation, of the network `whose`, on stderr.
pub fn notes(evaluation: &Evaluation, whose: &str) {
    if let Some(reason) = hollow(evaluation) {
        say(format_args!("note: {whose}: {reason}"));
    }
    match evaluation.reliable {
        Reliable::Yes => {}
        Reliable::No => say(format_args!(
            "note: the numbers of {whose} are NOT reliable: robust accuracy is most likely overestimated"
        )),
        Reliable::NotTested => say(format_args!(
            "note: whether the numbers of {whose} are reliable was not tested; robust accuracies are \
             upper bounds"
        )),
    }
}

/// Why an evaluation is not to be trusted, or not yet, a line each, and what its own probe found.
pub fn reasons(evaluation: &Evaluation) -> String {
    // Its name in JSON.
    let word = |kind: serde_json::Result<serde_json::Value>| {
        let kind = kind.unwrap_or_default();
        kind.as_str().unwrap_or_default().to_owned()
    };
    let mut text = String::new();
    for warning in &evaluation.warnings {
        let kind = word(serde_json::to_value(warning.kind));
        let of = match &warning.attack {
            Some(attack) => format!(" ({attack})"),
            None => String::new(),
        };
        text += &format!("  {kind}{of}: {}\n", warning.reason);
    }
    for untested in &evaluation.untested {
        let gap = word(serde_json::to_value(untested.gap));
        text += &format!("  {gap}: {}\n", untested.reason);
    }
    for note in &evaluation.notes {
        text += &format!("  note: {note}\n");
    }
    if let Some(own) = &evaluation.own {
        text += &format!("  {}\n", own.sentence());
    }
    text
}

/// 5.25G, 36.5M, 1.2k.
pub fn count(number: u64) -> String {
    let value = number as f64;
    match number {
        0..1000 => number.to_string(),
        1000..1_000_000 => format!("{:.1}k", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1}M", value / 1e6),
        _ => format!("{:.2}G", value / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn radii_are_written_as_they_are_read() {
        for text in ["8/255", "0.5", "0", "1/255"] {
            let (epsilon, norm) = (Some(epsilon(text).unwrap()), Norm::L2);
            let written = Radius { epsilon, norm }.written();
            assert_eq!(written, format!("--epsilon {text} --norm l2"));
        }
        assert!(epsilon("8/0").is_err() && epsilon("eight").is_err());
    }
}
