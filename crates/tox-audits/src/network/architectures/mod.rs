//! Networks whose weights somebody brings: an architecture is a file here and a line in [`ARCHITECTURES`].
//!
//! An architecture says how `--arch` writes it, sees by names and shapes whether a file is of it, and builds
//! it. Help, schema, messages and the guide are made of what it says of itself.

mod arch;
mod cells;
mod darts;
mod elastic;
mod enas;
mod found;
mod nasbench201;
mod nearest;
mod resnet18;
mod wrn;

pub use arch::{Arch, ArchError};
pub use found::{FILE, Found, constants};

use std::path::PathBuf;
use tox_data::Normalise;
use tox_nn::Device;
use tox_nn::layers::{Network, State, WeightsError};
use tox_nn::nets::file::WeightsFile;
use tox_robust::model::Model;
use tox_robust::oracle::Oracle;

/// All architectures.
pub const ARCHITECTURES: &[&dyn Architecture] = &[
    &wrn::WideResNet,
    &resnet18::ResNet18,
    &nasbench201::NasBench201,
    &darts::Darts,
    &enas::Enas,
    &elastic::Elastic,
];

/// A kind of network.
pub trait Architecture: Sync {
    /// What it is called, and what `--arch` begins with.
    fn name(&self) -> &'static str;

    /// How `--arch` writes it, such as `wrn-28-10`.
    fn notation(&self) -> &'static str;

    /// What it is, in a few words.
    fn about(&self) -> &'static str;

    /// Names of its first and last tensors, by which people know it.
    fn tensors(&self) -> &'static str;

    /// Names of the convolution that reads the images and of the weight that makes the logits.
    fn ends(&self) -> [&'static str; 2];

    /// A text of `--arch` as this architecture writes it; `None` if it is of another. `Err` says what is
    /// wrong with it.
    fn read(&self, text: &str) -> Option<Result<String, String>>;

    /// Our name of a tensor, without the file's prefix; `None` of one that has no use.
    fn ours(&self, name: &str) -> Option<String>;

    /// What a file's names and shapes say.
    fn infer(&self, file: &WeightsFile) -> Inferred;

    /// The network of a text that [`Architecture::read`] wrote, with the file's numbers.
    ///
    /// # Errors
    /// Weights of another network, images for which there is none.
    fn take(&self, text: &str, file: &WeightsFile, images: Images) -> Result<Taken, NetworkError>;

    /// Names of the tensors of a small network with all that one can have, to find out what a strange file
    /// is nearest to.
    fn example(&self) -> Vec<String>;
}

/// What a file's names and shapes say of an architecture.
pub enum Inferred {
    /// It is of another.
    Other,
    /// It is of this network.
    Arch(String),
    /// It is of this architecture, but names and shapes do not say all: what `--arch` has to.
    Unsaid(String),
    /// It is like this architecture, but cannot be taken: why.
    Refused(String),
}

/// The images that a network is for.
#[derive(Clone, Copy, Debug)]
pub struct Images {
    /// Channels, height, width.
    pub shape: [usize; 3],
    pub classes: usize,
}

/// A network with its weights.
pub struct Taken {
    pub network: Box<dyn Classifier>,
    pub parameters: u64,
    /// Multiply-accumulates of an image.
    pub macs: u64,
}

/// A network with its weights that can be asked.
pub trait Classifier {
    /// It as an oracle, in evaluation, with this normalisation of its images. `device` is a plain one.
    fn oracle<'a>(
        &'a self,
        normalise: &'a Normalise,
        images: Images,
        device: Device,
    ) -> Box<dyn Oracle + 'a>;
}

impl<N: Network> Classifier for (N, State) {
    fn oracle<'a>(
        &'a self,
        normalise: &'a Normalise,
        images: Images,
        device: Device,
    ) -> Box<dyn Oracle + 'a> {
        let (network, state) = self;
        let shape = (images.shape, images.classes);
        Box::new(Model::new(network, state, normalise, shape, device))
    }
}

/// A network that cannot be had from a file.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The file is damaged, or of another network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The file is of no architecture, or does not say all.
    #[error("{}: {reason}", path.display())]
    Unknown { path: PathBuf, reason: String },
    /// There is no such network for the images.
    #[error(
        "--arch {arch} cannot be built for images of {}x{}x{} in {} classes: {reason}",
        images.shape[0], images.shape[1], images.shape[2], images.classes
    )]
    Images {
        arch: String,
        images: Images,
        reason: String,
    },
    /// The file says that it is of another.
    #[error("{} is of --arch {of}, and --arch {asked} was asked for", path.display())]
    Other {
        path: PathBuf,
        of: String,
        asked: String,
    },
}

/// What can be written for `arch`, for help and schema.
pub fn notations() -> String {
    let all = ARCHITECTURES.iter();
    let all = all.map(|a| format!("{} ({})", a.notation(), a.about()));
    all.collect::<Vec<_>>().join("; ")
}

/// What to do with a network of another kind.
pub const LIVE: &str = "a network of another kind is attacked as a live model of Python: \
                        toxscreen.evaluate(model, x, y)";

/// The text behind `NAME:`, or a text of this architecture without that.
fn behind<'t>(name: &str, text: &'t str, begins: &str) -> Option<&'t str> {
    let text = text.trim();
    match text.split_once(':') {
        Some((before, rest)) if before.eq_ignore_ascii_case(name) => Some(rest.trim()),
        _ => (!begins.is_empty() && text.starts_with(begins)).then_some(text),
    }
}
