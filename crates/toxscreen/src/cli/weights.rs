//! Weights that a user brings: which network they are of, how its images are normalised, and what to do
//! where they do not fit.

use super::{Result, say, usage};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::path::Path;
use tox_audits::error::Fails;
use tox_audits::network::architectures::{Arch, Classifier, Images, LIVE, NetworkError, Taken};
use tox_audits::network::own_normalisation;
use tox_data::text::one_line;
use tox_data::{Dataset, Normalise, Split};
use tox_nn::Device;
use tox_nn::layers::WeightsError;
use tox_nn::nets::file::WeightsFile;
use tox_nn::nets::wrn::Shape;
use tox_rcnas::learner::{Constants, Normalisation};
use tox_robust::attack::predicted;

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
    /// That which was asked for; else what the weights say; else the data set's. What is not as one would
    /// expect is said.
    pub fn chosen(&self, file: Option<&WeightsFile>) -> Normalisation {
        let asked = match (&self.normalise, &self.mean, &self.std) {
            (_, Some(mean), Some(std)) => Some(Normalisation::Given(Constants {
                mean: mean.clone(),
                std: std.clone(),
            })),
            (named, _, _) => named.clone(),
        };
        let said = file.and_then(|file| Some((file, own_normalisation(file)?)));
        let Some((file, own)) = said else {
            return asked.unwrap_or_default();
        };
        let has = match &file.normalise {
            Some(tensors) => {
                let [mean, std] = tensors.names.each_ref().map(|name| one_line(name));
                let bytes = match tensors.bytes {
                    true => ", divided by 255, since they are for pixels in 0..=255",
                    false => "",
                };
                format!("have a normalisation of their own (`{mean}`, `{std}`{bytes})")
            }
            None => "say with which normalisation they were trained".to_owned(),
        };
        match asked {
            None => {
                say(format_args!(
                    "note: the weights {has}, which is used:{}",
                    own.written()
                ));
                own
            }
            Some(asked) if asked == own => asked,
            Some(asked) => {
                say(format_args!(
                    "note: the weights {has}; it ({}) is not used, since another was asked for",
                    own.written().trim(),
                ));
                asked
            }
        }
    }
}

/// What a file of weights says.
pub fn read(path: &Path) -> Result<WeightsFile> {
    WeightsFile::read(path).map_err(Fails::fails)
}

/// `--arch`, or what the file says.
pub fn arch(asked: Option<&Arch>, file: &WeightsFile) -> Result<Arch> {
    match asked {
        Some(arch) => Ok(arch.clone()),
        None => {
            let arch = Arch::of(file).map_err(Fails::fails)?;
            say(format_args!(
                "note: {} is of --arch {arch}",
                one_line(&file.path.to_string_lossy()),
            ));
            Ok(arch)
        }
    }
}

/// `--arch` of a wide residual network, or what the file says.
pub fn shape(asked: Option<Shape>, file: Option<&WeightsFile>) -> Result<Shape> {
    let Some(file) = file.filter(|_| asked.is_none()) else {
        return asked.ok_or_else(|| {
            usage(
                "without weights, --arch must say which network",
                "give --arch, such as wrn-28-10 or d2,2,2-w2,2,2-b4",
            )
        });
    };
    let arch = arch(None, file)?;
    Shape::parse(&arch.to_string()).map_err(|_| {
        usage(
            format!(
                "the weights are of --arch {arch}, and this command takes wide residual networks"
            ),
            "give weights with the names conv1, block1.layer.0.conv1, bn1, fc",
        )
    })
}

/// The images that a network for `data` is for.
pub fn images(data: &Dataset) -> Images {
    let [_, c, h, w] = data.train.images.shape;
    Images {
        shape: [c, h, w],
        classes: data.classes,
    }
}

/// A network with the weights of a file, for the images of `data`.
pub fn take(arch: &Arch, file: &WeightsFile, data: &Dataset) -> Result<Taken> {
    fitted(arch, file, data, arch.take(file, images(data)))
}

/// What was made of a file, or with which options it fits.
pub fn fitted<T>(
    arch: &Arch,
    file: &WeightsFile,
    data: &Dataset,
    made: std::result::Result<T, NetworkError>,
) -> Result<T> {
    if !file.prefix.is_empty() {
        say(format_args!(
            "note: `{}` before all names of the weights was taken off",
            one_line(&file.prefix)
        ));
    }
    let images = images(data);
    made.map_err(|error| match &error {
        NetworkError::Weights(WeightsError::Names { .. } | WeightsError::Shape { .. }) => {
            usage(error.to_string(), fitting(arch, file, images))
        }
        NetworkError::Images { .. } => usage(error.to_string(), fitting(arch, file, images)),
        NetworkError::Weights(_) | NetworkError::Unknown { .. } | NetworkError::Other { .. } => {
            error.fails()
        }
    })
}

/// The options with which these weights fit.
fn fitting(asked: &Arch, file: &WeightsFile, images: Images) -> String {
    let mut options = Vec::new();
    let found = Arch::of(file);
    match &found {
        Ok(found) if found != asked => options.push(format!("give --arch {found}")),
        Ok(_) => {}
        Err(error) if asked.sizes(file).is_none() => return error.to_string(),
        Err(_) => {}
    }
    let of = found.as_ref().unwrap_or(asked);
    if let Some([channels, classes]) = of.sizes(file) {
        match (channels, images.shape[0]) {
            (3, 1) => {
                options.push("give --rgb, which makes grey images of three channels".to_owned())
            }
            (1, 3) => options.push("give grey images (without --rgb)".to_owned()),
            (theirs, ours) if theirs != ours => {
                options.push(format!(
                    "give images of {theirs} channels, these have {ours}"
                ));
            }
            _ => {}
        }
        if classes != images.classes {
            options.push(format!(
                "give data of the {classes} classes that they were trained on, these have {} (see --classes)",
                images.classes
            ));
        }
    }
    if options.is_empty() {
        return format!(
            "the weights have tensors beside the network's that mean something, or are of another one than \
             --arch says: save the plain network's state dict; {LIVE}"
        );
    }
    options.join("; ")
}

/// A network that looks at images.
pub struct Look<'a> {
    pub network: &'a dyn Classifier,
    pub data: &'a Dataset,
    pub device: Device,
}

impl Look<'_> {
    /// Which of the first images of `split` are classified correctly: a look at weights before anything
    /// long is begun with them.
    pub fn glance(&self, split: &Split, normalise: &Normalise) -> Vec<bool> {
        let classes = self.data.classes;
        let n = split.len().min(GLANCE);
        let bytes = &split.images.pixels[..n * split.images.stride()];
        let pixels: Vec<f32> = bytes.iter().map(|&b| f32::from(b) / 255.0).collect();
        let (images, device) = (images(self.data), self.device.clone());
        let oracle = self.network.oracle(normalise, images, device);
        let logits = oracle.logits(&pixels);
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
