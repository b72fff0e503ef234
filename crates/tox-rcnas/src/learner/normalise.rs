//! What a network's first layer sees.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::{Dataset, Normalise};

/// What a network's first layer sees. It is a part of the network: weights that were trained with one
/// mean nothing with the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// Pixels less the data set's mean, over its standard deviation, of every channel.
    #[default]
    Data,
    /// Pixels in 0..=1: what models have whose normalisation is a layer that was left out of the
    /// weights, or that have none.
    None,
    /// Mean and deviation 0.5: pixels from -1 to 1.
    Half,
    /// The constants of ImageNet, which are used on other data too.
    Imagenet,
    /// Constants of CIFAR-10 of wide circulation, whose deviations, 0.2023, 0.1994 and 0.2010, are not
    /// those of the training set's pixels, which `data` has.
    #[serde(rename = "cifar10-common")]
    Cifar10Common,
    /// Those of the training images of Fashion-MNIST, 0.2860 and 0.3530; `data` has 0.2856 and 0.3385.
    FashionMnistCommon,
    /// Numbers of one's own.
    #[serde(untagged)]
    Given(Constants),
}

/// Mean and standard deviation of pixels in 0..=1: of each channel, or one for all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Constants {
    /// Subtracted first.
    pub mean: Vec<f64>,
    /// Divided by next; above 0.
    pub std: Vec<f64>,
}

/// Constants that do not fit images.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NormaliseError {
    #[error(
        "the normalisation has {means} means and {deviations} deviations, the images {channels} \
         channels; give one number for all or one for each"
    )]
    Channels {
        means: usize,
        deviations: usize,
        channels: usize,
    },
    #[error(
        "the normalisation has {what} {found}; expected {expected}, for pixels in 0..=1: divide constants \
         for pixels in 0..=255 by 255"
    )]
    Number {
        what: &'static str,
        found: f64,
        expected: &'static str,
    },
}

impl Normalisation {
    /// Those with a name.
    pub const NAMED: [(&str, Self); 6] = [
        ("data", Self::Data),
        ("none", Self::None),
        ("half", Self::Half),
        ("imagenet", Self::Imagenet),
        ("cifar10-common", Self::Cifar10Common),
        ("fashion-mnist-common", Self::FashionMnistCommon),
    ];

    /// Its constants, where they are not the data set's.
    fn constants(&self) -> Option<Constants> {
        let (mean, std): (&[f64], &[f64]) = match self {
            Self::Data => return None,
            Self::None => (&[0.0], &[1.0]),
            Self::Half => (&[0.5], &[0.5]),
            Self::Imagenet => (&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]),
            Self::Cifar10Common => (&[0.4914, 0.4822, 0.4465], &[0.2023, 0.1994, 0.2010]),
            Self::FashionMnistCommon => (&[0.2860], &[0.3530]),
            Self::Given(given) => (&given.mean, &given.std),
        };
        let (mean, std) = (mean.to_vec(), std.to_vec());
        Some(Constants { mean, std })
    }

    /// What it makes of images of `channels` channels whose data set has the constants `data`.
    ///
    /// # Errors
    /// Another number of channels, numbers that are not finite or not those of pixels in 0..=1,
    /// deviations that are not above 0.
    pub fn of(&self, data: &Normalise, channels: usize) -> Result<Normalise, NormaliseError> {
        let Some(Constants { mean, std }) = self.constants() else {
            return Ok(data.clone());
        };
        let number = |what, found: f64, fine, expected| match fine {
            true => Ok(found as f32),
            false => Err(NormaliseError::Number {
                what,
                found,
                expected,
            }),
        };
        let [means, deviations] = [&mean, &std].map(|v| match v.len() {
            1 => v.repeat(channels),
            _ => v.clone(),
        });
        if means.len() != channels || deviations.len() != channels {
            return Err(NormaliseError::Channels {
                means: mean.len(),
                deviations: std.len(),
                channels,
            });
        }
        let mean = means.into_iter().map(|m| {
            let fine = (-2.0..=2.0).contains(&m);
            number("the mean", m, fine, "a number in -2..=2")
        });
        let std = deviations.into_iter().map(|s| {
            let fine = (1e-6..=10.0).contains(&s);
            number("the deviation", s, fine, "a number in 1e-6..=10")
        });
        Ok(Normalise {
            mean: mean.collect::<Result<_, _>>()?,
            std: std.collect::<Result<_, _>>()?,
        })
    }

    /// Makes it that of `data`.
    ///
    /// # Errors
    /// See [`Normalisation::of`].
    pub fn apply(&self, data: &mut Dataset) -> Result<(), NormaliseError> {
        data.normalise = self.of(&data.normalise, data.train.images.shape[1])?;
        Ok(())
    }

    /// The options of the command line that stand for it; nothing for the data set's.
    pub fn written(&self) -> String {
        let list = |numbers: &[f64]| {
            let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
            numbers.join(",")
        };
        match self {
            Self::Data => String::new(),
            Self::Given(given) => {
                format!(" --mean {} --std {}", list(&given.mean), list(&given.std))
            }
            Self::None
            | Self::Half
            | Self::Imagenet
            | Self::Cifar10Common
            | Self::FashionMnistCommon => {
                let named = Self::NAMED.iter().find(|(_, named)| named == self);
                named.map_or(String::new(), |(name, _)| format!(" --normalise {name}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_as_they_are_written() {
        for (name, normalisation) in Normalisation::NAMED {
            let text = serde_json::to_string(&normalisation).unwrap();
            assert_eq!(text, format!("\"{name}\""));
            let read: Normalisation = serde_json::from_str(&text).unwrap();
            assert_eq!(read, normalisation);
        }
        let text = r#"{"mean":[0.4914],"std":[0.25]}"#;
        let given: Normalisation = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&given).unwrap(), text);
        assert_eq!(given.written(), " --mean 0.4914 --std 0.25");
        assert!(serde_json::from_str::<Normalisation>("\"dta\"").is_err());
    }

    #[test]
    fn constants_fit_the_channels_or_are_refused() {
        let data = Normalise::identity(3);
        let given = |mean: &[f64], std: &[f64]| {
            let (mean, std) = (mean.to_vec(), std.to_vec());
            Normalisation::Given(Constants { mean, std }).of(&data, 3)
        };
        assert_eq!(given(&[0.5], &[0.25]).unwrap().std, [0.25; 3]);
        assert_eq!(Normalisation::Data.of(&data, 3).unwrap(), data);
        assert_eq!(Normalisation::None.of(&data, 3).unwrap(), data);
        assert_eq!(Normalisation::Imagenet.of(&data, 3).unwrap().mean[0], 0.485);
        for (mean, std, reason) in [
            (&[0.5, 0.5][..], &[0.2][..], "2 means"),
            (&[123.7], &[58.4], "divide"),
            (&[0.5], &[0.0], "deviation"),
            (&[f64::NAN], &[0.5], "mean NaN"),
        ] {
            let error = given(mean, std).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let grey = Normalisation::Imagenet.of(&Normalise::identity(1), 1);
        assert!(grey.unwrap_err().to_string().contains("1 channels"));
    }
}
