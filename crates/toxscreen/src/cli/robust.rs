//! What `compress` and `attack` share: options of images and adversary, checked, weights, and how results
//! are told.

use super::{DATA, USAGE, Usage};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::{Path, PathBuf};
use tox_data::spec::DataSpec;
use tox_data::{DataDir, DataError, Dataset};
use tox_nn::Device;
use tox_nn::layers::{State, WeightsError};
use tox_nn::nets::wrn::{self, Shape, Wrn, WrnConfig};
use tox_robust::attack::{Attack, AttackError, predicted};
use tox_robust::ball::{Ball, Norm, fraction};
use tox_robust::evaluation::{Evaluation, Warning};
use tox_robust::model::Model;
use tox_robust::oracle::Oracle;
use tox_search::compress::Normalisation;

/// One in so many training images is held out for validation, unless asked otherwise.
const HELD_OUT: usize = 10;
/// Most of them.
const MOST_VALID: usize = 1000;

/// Images of [`glance`].
const GLANCE: usize = 64;

/// The images.
#[derive(clap::Args)]
pub struct Images {
    /// digits, mnist, fashion-mnist, cifar10, cifar100, an .npz file, two .npy files (X.npy,y.npy), or a
    /// folder of class folders
    #[arg(long, value_name = "DATA")]
    pub data: String,
    /// Classes to keep, such as 3,8; the first becomes class 0, the next 1
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub classes: Option<Vec<u16>>,
    /// Training images, the first ones [default: all that --valid leaves]
    #[arg(long, value_name = "N")]
    pub train: Option<usize>,
    /// Validation images, the last of the training file [default: a tenth, at most 1000]
    #[arg(long, value_name = "N")]
    pub valid: Option<usize>,
    /// Side in pixels to which images are resized
    #[arg(long, value_name = "S")]
    pub resize: Option<usize>,
    /// Grey images become three equal channels
    #[arg(long)]
    pub rgb: bool,
    /// Folder of the data sets [default: $TOXSCREEN_DATA, or the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl Images {
    /// Where data sets are.
    pub fn dir(&self) -> Result<DataDir, DataError> {
        DataDir::resolve(self.data_dir.as_deref())
    }

    /// How `dataset`, which is `--data` or one like it, is loaded.
    pub fn spec(&self, dataset: &str) -> Result<DataSpec, DataError> {
        let mut spec = DataSpec {
            classes: self.classes.clone(),
            train: self.train,
            resize: self.resize,
            rgb: self.rgb,
            ..DataSpec::of(dataset, self.valid.unwrap_or(0))
        };
        if self.valid.is_none() {
            let found = tox_data::load(&spec, &self.dir()?)?.train.len();
            spec.valid = (found / HELD_OUT).clamp(2, MOST_VALID);
        }
        Ok(spec)
    }

    /// The options that were given, as they are written.
    pub fn written(&self) -> String {
        let mut text = format!("--data {}", self.data);
        if let Some(classes) = &self.classes {
            let classes: Vec<String> = classes.iter().map(u16::to_string).collect();
            text += &format!(" --classes {}", classes.join(","));
        }
        let numbers = [
            ("train", self.train),
            ("valid", self.valid),
            ("resize", self.resize),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                text += &format!(" --{name} {number}");
            }
        }
        if self.rgb {
            text += " --rgb";
        }
        if let Some(dir) = &self.data_dir {
            text += &format!(" --data-dir {}", dir.display());
        }
        text
    }
}

/// Where the adversary may move an image.
#[derive(clap::Args)]
pub struct Radius {
    /// Radius of the perturbations, where pixels lie in 0..=1: a number or a fraction
    #[arg(
        long,
        value_name = "EPS",
        default_value = "8/255",
        value_parser = epsilon,
        allow_hyphen_values = true
    )]
    pub epsilon: f64,
    /// How a perturbation is measured: linf or l2
    #[arg(long, default_value = "linf", value_parser = norm())]
    pub norm: Norm,
}

impl Radius {
    /// As a ball, for these attacks on `classes` classes.
    pub fn ball(&self, attacks: &[Attack], classes: usize) -> Result<Ball, Usage> {
        let (norm, epsilon) = (self.norm, self.epsilon);
        let ball = Ball { norm, epsilon };
        for attack in attacks {
            attack.check(ball, classes).map_err(|e| refused(&e))?;
        }
        Ok(ball)
    }

    /// As it is written.
    pub fn written(&self) -> String {
        let norm = match self.norm {
            Norm::Linf => "linf",
            Norm::L2 => "l2",
        };
        // A fraction of 255 where it is one, as everybody writes it.
        let pixels = self.epsilon * 255.0;
        let epsilon = match (pixels.round(), pixels.round() / 255.0 == self.epsilon) {
            (whole, true) if whole > 0.0 => format!("{whole}/255"),
            _ => self.epsilon.to_string(),
        };
        format!("--epsilon {epsilon} --norm {norm}")
    }
}

fn refused(error: &AttackError) -> Usage {
    let hint = match error {
        AttackError::Epsilon { .. } | AttackError::EveryImage { .. } => {
            "write --epsilon 8/255 for 8 of 255 grey levels, or --norm l2 with a length"
        }
        _ => "leave the attack out, or use another",
    };
    Usage::new(error.to_string(), hint)
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

/// For `--normalise`.
pub fn normalisation() -> impl TypedValueParser<Value = Normalisation> {
    PossibleValuesParser::new(["data", "none"]).map(|name| match name.as_str() {
        "none" => Normalisation::None,
        _ => Normalisation::Data,
    })
}

/// For `--arch`.
pub fn shape(text: &str) -> Result<Shape, String> {
    Shape::parse(text).map_err(|e| e.to_string())
}

/// A network for the images of `data`.
pub fn network(shape: &Shape, data: &Dataset) -> WrnConfig {
    WrnConfig::new(*shape, data.train.images.shape[1], data.classes)
}

/// A network with the weights of a file.
pub fn weights(config: &WrnConfig, path: &Path) -> Result<(Wrn, State), WeightsError> {
    // All that is drawn is replaced.
    let (network, mut state) = wrn::wrn(config, wrn::INIT, (0, "weights"));
    wrn::load(&mut state, path)?;
    Ok((network, state))
}

/// Percent of the first validation images that a network classifies correctly, and how many they were: a
/// look at weights before anything long is begun with them.
pub fn glance((network, state): &(Wrn, State), data: &Dataset, device: Device) -> (f64, usize) {
    let (split, classes) = (&data.valid, data.classes);
    let [_, c, h, w] = split.images.shape;
    let n = split.len().min(GLANCE);
    let bytes = &split.images.pixels[..n * split.images.stride()];
    let pixels: Vec<f32> = bytes.iter().map(|&b| f32::from(b) / 255.0).collect();
    let model = Model::new(
        network,
        state,
        &data.normalise,
        ([c, h, w], classes),
        device,
    );
    let logits = model.logits(&pixels);
    let rows = logits.chunks_exact(classes).zip(&split.labels);
    let correct = rows.filter(|(row, label)| predicted(row) == Some((**label).into()));
    (100.0 * correct.count() as f64 / n.max(1) as f64, n)
}

/// Burn's own ops ask for rayon's global pool, so ours is that one. 0: all cores.
pub fn pool(threads: Option<u16>) {
    let threads = usize::from(threads.unwrap_or(0));
    // It can be built once; results do not depend on it.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
}

/// The exit code of weights that cannot be used: of another network, or damaged.
pub fn exit_code(error: &WeightsError) -> u8 {
    match error {
        WeightsError::Names { .. } | WeightsError::Shape { .. } => USAGE,
        _ => DATA,
    }
}

/// What a user should look at first where an evaluation is no better than guessing.
pub fn guessing(evaluation: &Evaluation, classes: usize) -> Option<String> {
    let chance = 100.0 / classes as f64;
    (evaluation.clean < 1.5 * chance).then(|| {
        format!(
            "note: a clean accuracy of {:.2} % is hardly better than guessing ({chance:.2} %): see \
             whether the weights need --normalise none (or data), and whether they are of these classes \
             in this order",
            evaluation.clean
        )
    })
}

/// Why an evaluation is not to be trusted, a line each; empty if it is.
pub fn reasons(evaluation: &Evaluation) -> String {
    let line = |warning: &Warning| {
        // Its name in JSON.
        let kind = serde_json::to_value(warning.kind).unwrap_or_default();
        let kind = kind.as_str().unwrap_or_default().to_owned();
        match &warning.attack {
            Some(attack) => format!("  {kind} ({attack}): {}\n", warning.reason),
            None => format!("  {kind}: {}\n", warning.reason),
        }
    };
    evaluation.warnings.iter().map(line).collect()
}

/// `yes` or `NO`.
pub fn reliable(evaluation: &Evaluation) -> &'static str {
    if evaluation.reliable { "yes" } else { "NO" }
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
            let (epsilon, norm) = (epsilon(text).unwrap(), Norm::L2);
            let written = Radius { epsilon, norm }.written();
            assert_eq!(written, format!("--epsilon {text} --norm l2"));
        }
        assert!(epsilon("8/0").is_err() && epsilon("eight").is_err());
    }
}
