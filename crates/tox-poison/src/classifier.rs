//! A ResNet-18 trained on some images: CLF asks it which rows it is sure of, countermeasures ask it
//! which rows look wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::{CheckpointError, Hooks};
use tox_data::ranges::{self, OutOfRange};
use tox_data::spec::Augment;
use tox_data::{Normalise, Split};
use tox_nn::Device;
use tox_nn::fit::{FitConfig, Inputs, evaluate, fit};
use tox_nn::layers::{Init, State};
use tox_nn::nets::resnet::{ResNet, WIDTH, resnet18};

/// The network and its training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Classifier {
    /// Channels of the ResNet-18's first stage; the published network has 64, fewer make
    /// one for laptops.
    #[schemars(range(min = 1, max = 1024))]
    pub width: usize,
    /// Its training.
    pub fit: FitConfig,
}

impl Default for Classifier {
    fn default() -> Self {
        Self {
            width: WIDTH,
            fit: FitConfig::default(),
        }
    }
}

/// What it is trained on, and where.
#[derive(Clone)]
pub struct Task<'a> {
    /// Training images.
    pub images: &'a Split,
    /// Classes of their labels.
    pub classes: usize,
    pub normalise: &'a Normalise,
    /// What happens to training batches; answers are of images as they are.
    pub augment: &'a Augment,
    pub seed: u64,
    /// Last part of the streams' keys.
    pub name: &'a str,
    pub device: Device,
}

/// Why there is no trained classifier.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages name the fields")]
pub enum ClassifierError {
    /// A number is out of its range.
    #[error(transparent)]
    Range(#[from] OutOfRange),
    /// Its checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// It did not end in numbers.
    #[error(
        "the training of the classifier of {name} diverged ({nonfinite_steps} steps whose gradient \
         was not finite): its answers are no numbers; lower `lr_max` or set `grad_clip`"
    )]
    Diverged { name: String, nonfinite_steps: u64 },
    /// The logistic regression of a table did not end in numbers.
    #[error("the logistic regression of the table: {0}; scale its columns to like sizes first")]
    Descent(tox_bilevel::Diverged),
    /// Keys of the network, beside rows that are no images.
    #[error(
        "the keys of the classifier describe a ResNet-18 of images, and these are the rows of a table, \
         which a logistic regression learns: leave them out"
    )]
    Keys,
}

/// A trained classifier.
pub struct Trained<'a> {
    network: ResNet,
    state: State,
    nonfinite_steps: u64,
    task: Task<'a>,
}

impl Classifier {
    /// One for laptops: minutes where the published one takes hours, and still sure of most rows.
    pub fn small() -> Self {
        Self {
            width: 16,
            fit: FitConfig {
                epochs: 15,
                ..FitConfig::default()
            },
        }
    }

    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        self.fit.check().map_err(|e| e.below("fit"))
    }

    /// Refuses keys that have no effect on a table.
    ///
    /// # Errors
    /// [`ClassifierError::Keys`].
    pub fn check_table(&self) -> Result<(), ClassifierError> {
        match *self == Self::default() {
            true => Ok(()),
            false => Err(ClassifierError::Keys),
        }
    }

    /// Trains it, from its checkpoint if there is one. `None` means that it was asked to stop and has
    /// saved itself.
    ///
    /// # Errors
    /// Settings out of range, and a checkpoint that cannot be used.
    pub fn train<'a>(
        &self,
        task: Task<'a>,
        hooks: Hooks<'_>,
    ) -> Result<Option<Trained<'a>>, ClassifierError> {
        self.check()?;
        let init = (task.seed, task.name);
        let channels = task.images.images.shape[1];
        let (network, state) = resnet18(channels, task.classes, self.width, Init::Torch, init);
        let inputs = Inputs {
            train: task.images,
            normalise: task.normalise,
            augment: task.augment,
            config: &self.fit,
            seed: task.seed,
            name: task.name,
            device: task.device.clone(),
        };
        let fitted = fit(network.clone(), state, &inputs, hooks)?;
        Ok(fitted.map(|fitted| Trained {
            network,
            state: fitted.state,
            nonfinite_steps: fitted.nonfinite_steps,
            task,
        }))
    }
}

impl Trained<'_> {
    /// Logits of every image, in order and row-major.
    ///
    /// # Errors
    /// When they are no numbers.
    pub fn logits(&self, images: &Split) -> Result<Vec<f32>, ClassifierError> {
        let (state, normalise, device) = (&self.state, self.task.normalise, &self.task.device);
        self.finite(evaluate::logits(
            &self.network,
            state,
            images,
            normalise,
            device,
        ))
    }

    /// What the last layer sees of every image, in order and row-major, 8 `width` values each.
    ///
    /// # Errors
    /// When they are no numbers.
    pub fn features(&self, images: &Split) -> Result<Vec<f32>, ClassifierError> {
        let (state, normalise, device) = (&self.state, self.task.normalise, &self.task.device);
        let all = evaluate::outputs(state, images, normalise, device, |pass, x| {
            self.network.features(pass, x)
        });
        self.finite(all)
    }

    fn finite(&self, values: Vec<f32>) -> Result<Vec<f32>, ClassifierError> {
        match values.iter().all(|value| value.is_finite()) {
            true => Ok(values),
            false => Err(ClassifierError::Diverged {
                name: self.task.name.to_owned(),
                nonfinite_steps: self.nonfinite_steps,
            }),
        }
    }
}
