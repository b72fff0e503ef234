//! Weights that a user brings: which network they are of, how its images are normalised, and what to do
//! where they do not fit.

use super::robust::network;
use super::{Result, say, usage};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::Path;
use tox_audits::error::Fails;
use tox_data::text::one_line;
use tox_data::{Dataset, Normalise, Split};
use tox_nn::Device;
use tox_nn::layers::{State, WeightsError};
use tox_nn::nets::wrn::{self, Described, OwnNormalise, Shape, Wrn, WrnConfig};
use tox_rcnas::learner::{Constants, Normalisation};
use tox_robust::attack::predicted;
use tox_robust::model::Model;
use tox_robust::oracle::Oracle;

/// Images that are looked at.
const GLANCE: usize = 64;
/// By how many standard deviations of chance another normalisation must be better to be named.
const DEVIATIONS: f64 = 3.0;

/// What the first layer sees.
#[derive(clap::Args)]
pub struct FirstLayer {
    /// What the first layer sees: data (mean and standard deviation of the data set), none (pixels in
    /// 0..=1), half (0.5 and 0.5), imagenet, cifar10-common, fashion-mnist-common [default: that of the
    /// model, if the weights have one, else data]
    #[arg(long, value_name = "NAME", value_parser = named())]
    pub normalise: Option<Normalisation>,
    /// Its means in place of a name, of pixels in 0..=1: one for each channel, or one for all
    #[arg(
        long,
        value_name = "M,...",
        value_delimiter = ',',
        requires = "std",
        conflicts_with = "normalise",
        allow_negative_numbers = true
    )]
    pub mean: Option<Vec<f64>>,
    /// Its standard deviations
    #[arg(long, value_name = "S,...", value_delimiter = ',', requires = "mean")]
    pub std: Option<Vec<f64>>,
}

fn named() -> impl TypedValueParser<Value = Normalisation> {
    let names = Normalisation::NAMED.map(|(name, _)| name);
    PossibleValuesParser::new(names).map(|name| {
        let mut all = Normalisation::NAMED.into_iter();
        all.find(|named| named.0 == name)
            .map_or_else(Normalisation::default, |named| named.1)
    })
}

impl FirstLayer {
    /// That which was asked for; else the model's own; else the data set's. What is not as one would
    /// expect is said.
    pub fn chosen(&self, own: Option<&OwnNormalise>) -> Normalisation {
        let asked = match (&self.normalise, &self.mean, &self.std) {
            (_, Some(mean), Some(std)) => Some(Normalisation::Given(Constants {
                mean: mean.clone(),
                std: std.clone(),
            })),
            (named, _, _) => named.clone(),
        };
        let Some(own) = own else {
            return asked.unwrap_or_default();
        };
        // As they are written: 0.4914, not the nearest f32 in f64.
        let decimal = |values: &[f32]| -> Vec<f64> {
            let read = |v: &f32| v.to_string().parse().unwrap_or_else(|_| f64::from(*v));
            values.iter().map(read).collect()
        };
        let given = Normalisation::Given(Constants {
            mean: decimal(&own.mean),
            std: decimal(&own.std),
        });
        let [mean, std] = own.names.each_ref().map(|name| one_line(name));
        let bytes = match own.bytes {
            true => ", divided by 255, since they are for pixels in 0..=255",
            false => "",
        };
        match asked {
            None => {
                say(format_args!(
                    "note: the weights have a normalisation of their own (`{mean}`, `{std}`{bytes}), which \
                     is used:{}",
                    given.written()
                ));
                given
            }
            Some(asked) => {
                say(format_args!(
                    "note: the normalisation that the weights have of their own (`{mean}`, `{std}`{bytes}:{}) \
                     is not used, since another was asked for",
                    given.written()
                ));
                asked
            }
        }
    }
}

/// `--arch`, or what the file says.
pub fn arch(asked: Option<Shape>, file: Option<(&Described, &Path)>) -> Result<Shape> {
    let told = file.and_then(|(described, _)| described.network);
    match (asked, told, file) {
        (Some(shape), ..) => Ok(shape),
        (None, Some(network), Some((_, path))) => {
            say(format_args!(
                "note: {} is of --arch {}",
                one_line(&path.to_string_lossy()),
                network.shape
            ));
            Ok(network.shape)
        }
        (None, None, Some((_, path))) => Err(usage(
            format!(
                "the names and shapes in {} are not those of a WideResNet with the usual names",
                path.display()
            ),
            "give --arch, and weights with the names conv1, block1.layer.0.conv1, bn1, fc",
        )),
        (None, _, None) => Err(usage(
            "without weights, --arch must say which network",
            "give --arch, such as wrn-28-10 or d2,2,2-w2,2,2-b4",
        )),
    }
}

/// A network with the weights of a file.
pub fn load(config: &WrnConfig, path: &Path) -> Result<(Wrn, State)> {
    // All that is drawn is replaced.
    let (network, mut state) = wrn::wrn(config, wrn::INIT, (0, "weights"));
    match wrn::load(&mut state, path) {
        Ok(described) => {
            if !described.prefix.is_empty() {
                say(format_args!(
                    "note: `{}` before all names of the weights was taken off",
                    one_line(&described.prefix)
                ));
            }
            Ok((network, state))
        }
        Err(error @ (WeightsError::Names { .. } | WeightsError::Shape { .. })) => {
            let described = wrn::describe(path).map_err(Fails::fails)?;
            Err(usage(error.to_string(), fitting(&described, config)))
        }
        Err(error) => Err(error.fails()),
    }
}

/// The options with which these weights fit.
fn fitting(described: &Described, asked: &WrnConfig) -> String {
    let Some(found) = &described.network else {
        return "give the weights of a WideResNet, written by \
                safetensors.torch.save_file(model.state_dict(), FILE)"
            .to_owned();
    };
    let mut options = Vec::new();
    if found.shape != asked.shape {
        options.push(format!("give --arch {}", found.shape));
    }
    match (found.in_channels, asked.in_channels) {
        (3, 1) => options.push("give --rgb, which makes grey images of three channels".to_owned()),
        (1, 3) => options.push("give grey images (without --rgb)".to_owned()),
        (theirs, ours) if theirs != ours => {
            options.push(format!(
                "give images of {theirs} channels, these have {ours}"
            ));
        }
        _ => {}
    }
    if found.classes != asked.classes {
        options.push(format!(
            "give data of the {} classes that they were trained on, these have {} (see --classes)",
            found.classes, asked.classes
        ));
    }
    if options.is_empty() {
        return "the weights have tensors beside the network's that mean something: save the plain \
                network's state dict"
            .to_owned();
    }
    options.join("; ")
}

/// A network that looks at images.
pub struct Look<'a> {
    pub weights: &'a (Wrn, State),
    pub data: &'a Dataset,
    pub device: Device,
}

impl Look<'_> {
    /// Which of the first images of `split` are classified correctly: a look at weights before anything
    /// long is begun with them.
    pub fn glance(&self, split: &Split, normalise: &Normalise) -> Vec<bool> {
        let (classes, [_, c, h, w]) = (self.data.classes, split.images.shape);
        let n = split.len().min(GLANCE);
        let bytes = &split.images.pixels[..n * split.images.stride()];
        let pixels: Vec<f32> = bytes.iter().map(|&b| f32::from(b) / 255.0).collect();
        let (network, state) = self.weights;
        let shape = ([c, h, w], classes);
        let model = Model::new(network, state, normalise, shape, self.device.clone());
        let logits = model.logits(&pixels);
        let rows = logits.chunks_exact(classes).zip(&split.labels);
        rows.map(|(row, label)| predicted(row) == Some((*label).into()))
            .collect()
    }

    /// A known normalisation under which the network is so much better on these images that the weights
    /// were most likely trained with it. `data` are the data set's constants.
    pub fn better(&self, split: &Split, data: &Normalise, used: &Normalisation) -> Option<String> {
        let channels = split.images.shape[1];
        let ours = self.glance(split, &used.of(data, channels).ok()?);
        // Whether the first is right so much oftener than the second that it is no accident.
        let ahead = |theirs: &[bool], ours: &[bool]| {
            let pairs = || theirs.iter().zip(ours);
            let won = pairs().filter(|(theirs, ours)| **theirs && !**ours).count();
            let lost = pairs().filter(|(theirs, ours)| !**theirs && **ours).count();
            won as f64 - lost as f64 > DEVIATIONS * ((won + lost) as f64).sqrt()
        };
        let mut best: Option<(Vec<bool>, &str)> = None;
        for (name, normalisation) in &Normalisation::NAMED {
            let Ok(constants) = normalisation.of(data, channels) else {
                continue;
            };
            let theirs = self.glance(split, &constants);
            // Of several that are as good, the first: the data set's own.
            let least = best.as_ref().map_or(&ours, |(best, _)| best);
            if ahead(&theirs, least) {
                best = Some((theirs, name));
            }
        }
        let (best, name) = best?;
        let count = |right: &[bool]| right.iter().filter(|right| **right).count();
        let (n, now, right) = (ours.len(), count(&ours), count(&best));
        Some(format!(
            "of the first {n} images the network classifies {now} correctly, with --normalise {name} it \
             would be {right}: the weights were most likely trained with that"
        ))
    }
}

/// `0.4914, 0.4822, 0.4465`.
pub fn constants(normalise: &Normalise) -> String {
    let list = |values: &[f32]| {
        let values: Vec<String> = values.iter().map(|v| format!("{v:.4}")).collect();
        values.join(", ")
    };
    format!(
        "mean {}, deviation {}",
        list(&normalise.mean),
        list(&normalise.std)
    )
}

/// The shape that `--arch` or the file says, for these data.
pub fn config(shape: &Shape, data: &Dataset) -> Result<WrnConfig> {
    let config = network(shape, data);
    let checked = config.check().map(|()| config);
    checked.map_err(|e| usage(e.to_string(), "change --arch"))
}
