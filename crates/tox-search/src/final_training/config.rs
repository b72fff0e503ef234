//! Every number of a final training, and whose it is.

use crate::space::cells::CellSpace;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};
use tox_data::spec::Augment;
use tox_nn::fit::FitConfig;

/// The published training that an architecture's space comes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Of the DARTS space: that of P-DARTS (`train_cifar.py` and `run_train.sh` of the poisoning
    /// paper's fork), which trains what P-DARTS, TE-NAS and RoBoT find.
    Darts,
    /// Of NAS-Bench-201: that of its table's 200-epoch columns (Dong and Yang 2020, table 1;
    /// `hyper-opts/200E.config` of AutoDL-Projects).
    NasBench201,
    /// Of the elastic space: NSGANetV2's (`train_cifar.py` and `scripts/train.sh` of the poisoning
    /// paper's fork). That one begins with the weights of the search, has AutoAugment's policy for
    /// CIFAR-10 too, which we have not, and enlarges images to the architecture's resolution;
    /// weights and images are for the caller to give.
    Elastic,
}

impl From<CellSpace> for Protocol {
    fn from(space: CellSpace) -> Self {
        match space {
            CellSpace::Darts => Self::Darts,
            CellSpace::NasBench201 => Self::NasBench201,
        }
    }
}

impl Protocol {
    const fn title(self) -> &'static str {
        match self {
            Self::Darts => "the DARTS space",
            Self::NasBench201 => "NAS-Bench-201",
            Self::Elastic => "the elastic space",
        }
    }
}

/// The numbers of a final training. What is absent is as published for the space, see [`Protocol`]:
///
/// | | DARTS | NAS-Bench-201 | elastic |
/// |---|---|---|---|
/// | `channels`, `cells` | 36, 20 | 16, 5 a stage | of the architecture |
/// | `epochs`, `batch` | 600, 128 | 200, 256 | 150, 96 |
/// | `lr_max`, `lr_min` | 0.025, 0 | 0.1, 0 | 0.01, 0 |
/// | `momentum`, `nesterov` | 0.9, no | 0.9, yes | 0.9, no |
/// | `weight_decay` | 3e-4 | 5e-4 | 4e-5 |
/// | `grad_clip` | 5 | never | 5 |
/// | `auxiliary_weight` | 0.4 | no head | no head |
/// | `drop_path`, `dropout` | 0.3, none | none | none (published 0.2), 0.2 |
/// | `crop`, `flip`, `cutout` | 4, yes, 16 | 4, yes, none | 4, yes, 16 |
///
/// `crop` and `cutout` are for images of 32x32; on smaller ones say less.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FinalConfig {
    /// Channels of a node of the first cell.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub channels: Option<usize>,
    /// Cells; in NAS-Bench-201 those of each of three stages.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096))]
    pub cells: Option<usize>,
    /// Passes over the training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: Option<usize>,
    /// Images a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 65_536))]
    pub batch: Option<usize>,
    /// Learning rate of the first epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1e-12, max = 1e6))]
    pub lr_max: Option<f64>,
    /// Learning rate that the cosine would reach after the last epoch, at most `lr_max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub lr_min: Option<f64>,
    /// Momentum.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 0.9999))]
    pub momentum: Option<f64>,
    /// Whether the momentum is Nesterov's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nesterov: Option<bool>,
    /// L2 penalty, added to the gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1e3))]
    pub weight_decay: Option<f64>,
    /// Global gradient norm above which the gradient is scaled down, at least 1e-12; 0: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1e12))]
    pub grad_clip: Option<f64>,
    /// Weight of the auxiliary head's loss; 0: no head. Of the DARTS space only, and the head is made for
    /// images of 32x32.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1e3))]
    pub auxiliary_weight: Option<f64>,
    /// Drop-path probability. In the DARTS space it grows linearly from 0 and would be this
    /// after the last epoch; networks of the other spaces have none here, though the published training
    /// of elastic ones has a constant drop connect of 0.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 0.99))]
    pub drop_path: Option<f64>,
    /// Dropout before the classifier. Of the elastic space only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 0.99))]
    pub dropout: Option<f64>,
    /// Zero padding of a random crop, in pixels; 0: no crop.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4096))]
    pub crop: Option<usize>,
    /// Horizontal flip with probability 1/2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flip: Option<bool>,
    /// Side of the square that cutout erases, in pixels; 0: off.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4096))]
    pub cutout: Option<usize>,
    /// Epochs from one test to the next, of which the best counts too; the last epoch is always
    /// tested, and with 0 no other. The published trainings test every epoch.
    #[schemars(range(min = 0, max = 100_000))]
    pub test_every: usize,
}

impl Default for FinalConfig {
    fn default() -> Self {
        Self {
            channels: None,
            cells: None,
            epochs: None,
            batch: None,
            lr_max: None,
            lr_min: None,
            momentum: None,
            nesterov: None,
            weight_decay: None,
            grad_clip: None,
            auxiliary_weight: None,
            drop_path: None,
            dropout: None,
            crop: None,
            flip: None,
            cutout: None,
            test_every: 1,
        }
    }
}

/// A final training with nothing left open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Channels and cells of a network of a cell space; elastic architectures say theirs.
    pub size: Option<[usize; 2]>,
    /// Schedule and optimiser.
    pub fit: FitConfig,
    pub augment: Augment,
    pub auxiliary_weight: f64,
    pub drop_path: f64,
    pub dropout: f64,
    pub test_every: usize,
}

impl Settings {
    /// As published.
    pub fn published(protocol: Protocol) -> Self {
        let fit = FitConfig {
            epochs: 600,
            batch: 128,
            lr_max: 0.025,
            lr_min: 0.0,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 3e-4,
            grad_clip: Some(5.0),
        };
        let augment = Augment {
            crop: 4,
            flip: true,
            cutout: 16,
            valid: false,
        };
        let darts = Self {
            size: Some([36, 20]),
            fit,
            augment,
            auxiliary_weight: 0.4,
            drop_path: 0.3,
            dropout: 0.0,
            test_every: 1,
        };
        match protocol {
            Protocol::Darts => darts,
            Protocol::NasBench201 => Self {
                size: Some([16, 5]),
                fit: FitConfig {
                    epochs: 200,
                    batch: 256,
                    lr_max: 0.1,
                    nesterov: true,
                    weight_decay: 5e-4,
                    grad_clip: None,
                    ..darts.fit
                },
                augment: Augment {
                    cutout: 0,
                    ..darts.augment
                },
                auxiliary_weight: 0.0,
                drop_path: 0.0,
                ..darts
            },
            Protocol::Elastic => Self {
                size: None,
                fit: FitConfig {
                    epochs: 150,
                    batch: 96,
                    lr_max: 0.01,
                    weight_decay: 4e-5,
                    ..darts.fit
                },
                auxiliary_weight: 0.0,
                // Its published drop connect of 0.2 is not built.
                drop_path: 0.0,
                dropout: 0.2,
                ..darts
            },
        }
    }
}

impl FinalConfig {
    /// With the published numbers in place of absent ones.
    pub fn resolved(&self, protocol: Protocol) -> Settings {
        let published = Settings::published(protocol);
        let (fit, augment) = (published.fit, published.augment);
        let clip = self.grad_clip.or(fit.grad_clip);
        Settings {
            size: published.size.map(|[channels, cells]| {
                [
                    self.channels.unwrap_or(channels),
                    self.cells.unwrap_or(cells),
                ]
            }),
            fit: FitConfig {
                epochs: self.epochs.unwrap_or(fit.epochs),
                batch: self.batch.unwrap_or(fit.batch),
                lr_max: self.lr_max.unwrap_or(fit.lr_max),
                lr_min: self.lr_min.unwrap_or(fit.lr_min),
                momentum: self.momentum.unwrap_or(fit.momentum),
                nesterov: self.nesterov.unwrap_or(fit.nesterov),
                weight_decay: self.weight_decay.unwrap_or(fit.weight_decay),
                grad_clip: clip.filter(|clip| *clip != 0.0),
            },
            augment: Augment {
                crop: self.crop.unwrap_or(augment.crop),
                flip: self.flip.unwrap_or(augment.flip),
                cutout: self.cutout.unwrap_or(augment.cutout),
                valid: false,
            },
            auxiliary_weight: self.auxiliary_weight.unwrap_or(published.auxiliary_weight),
            drop_path: self.drop_path.unwrap_or(published.drop_path),
            dropout: self.dropout.unwrap_or(published.dropout),
            test_every: self.test_every,
        }
    }

    /// Checks every range, and that the space has what is asked for.
    pub fn check(&self, protocol: Protocol) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let settings = self.resolved(protocol);
        settings.fit.check()?;
        if settings.size.is_none() {
            let expected = "none: an architecture of the elastic space says its size";
            for (key, given) in [("channels", self.channels), ("cells", self.cells)] {
                OutOfRange::unless(given.is_none(), key, given.unwrap_or(0), expected)?;
            }
        }
        let expected = format!("0, since networks of {} have none", protocol.title());
        for (key, found, of) in [
            (
                "auxiliary_weight",
                settings.auxiliary_weight,
                Protocol::Darts,
            ),
            ("drop_path", settings.drop_path, Protocol::Darts),
            ("dropout", settings.dropout, Protocol::Elastic),
        ] {
            let holds = of == protocol || found == 0.0;
            OutOfRange::unless(holds, key, found, expected.as_str())?;
        }
        Ok(())
    }
}
