//! Weights of PyTorch's wide residual networks, under the names that they come with.

use super::config::{Block, Shape, Stage, WrnConfig};
use crate::layers::{State, WeightsError};
use safetensors::tensor::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::Path;

/// Last parts of the names under which models keep the mean of their images, and their deviation.
const MEANS: [&str; 3] = ["mu", "mean", "_mean"];
const DEVIATIONS: [&str; 3] = ["sigma", "std", "_std"];
/// A mean above this is one of pixels in 0..=255.
const BYTES: f32 = 2.0;

/// What a file of weights says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// What stands before all of the network's names, such as `module.`; mostly nothing.
    pub prefix: String,
    /// The network, where the file's names and shapes are those of one.
    pub network: Option<WrnConfig>,
    /// The normalisation that the model does itself.
    pub normalise: Option<OwnNormalise>,
    /// Whether the names are those of the networks of DeepMind's adversarial training.
    deepmind: bool,
}

/// A normalisation that is a part of the model: two tensors beside the network's.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnNormalise {
    /// Names of the two, in the file.
    pub names: [String; 2],
    /// One number a channel, or one for all, of pixels in 0..=1.
    pub mean: Vec<f32>,
    /// As many.
    pub std: Vec<f32>,
    /// Whether the file has them for pixels in 0..=255.
    pub bytes: bool,
}

/// Replaces the numbers of `state`, one of [`wrn`](super::wrn), by those of a state dict, as
/// [`State::load`] does, and also under other names: behind a common prefix (`module.` of DataParallel,
/// `_orig_mod.` of a compiled model, `model.`, `1.`), with those of robust-residual-network (`stem_conv`,
/// `blocks.0`, `shortcut.0`, `norm1`), and with what is no part of the network and is left out: the
/// `sub_block1` that TRADES' network has and never uses, and the two tensors of a normalisation.
///
/// # Errors
/// Those of [`State::load`]; its messages name the tensors as we do, and say of which network the file is.
pub fn load(state: &mut State, path: &Path) -> Result<Described, WeightsError> {
    let found = describe(path)?;
    let loaded = state.load_as(path, &|name| found.ours(name));
    loaded.map_err(|error| error.with_note(found.note()))?;
    Ok(found)
}

/// What the weights at `path` are of.
///
/// # Errors
/// A file that cannot be read or is no safetensors file, and a normalisation that cannot be.
pub fn describe(path: &Path) -> Result<Described, WeightsError> {
    let bytes = State::bytes(path)?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| WeightsError::Format {
        path: path.to_owned(),
        reason: e.to_string(),
    })?;
    let names = file.names();
    let mut found = Described {
        prefix: prefix(&names),
        network: None,
        normalise: None,
        deepmind: names.iter().any(|name| name.ends_with("init_conv.weight"))
            && names.iter().any(|name| name.ends_with("logits.weight")),
    };
    found.normalise = normalise(&file, path)?;
    let shapes = file.iter().filter_map(|(name, view)| {
        let name = found.ours(name)?;
        Some((name, view.shape().to_vec()))
    });
    found.network = inferred(&shapes.collect());
    Ok(found)
}

impl Described {
    /// Our name of a tensor; `None` if it has no use.
    fn ours(&self, name: &str) -> Option<String> {
        let own = self.normalise.iter().flat_map(|own| &own.names);
        if own.into_iter().any(|own| own == name) {
            return None;
        }
        let bare = match self.prefix.as_str() {
            "" => name.strip_prefix("module."),
            prefix => name.strip_prefix(prefix),
        };
        ours(bare.unwrap_or(name))
    }

    /// What a user who gave it for another network should know.
    fn note(&self) -> String {
        match &self.network {
            Some(network) => format!(
                "the file's own tensors are those of {}, for images of {} channels and {} classes",
                network.shape, network.in_channels, network.classes
            ),
            None if self.deepmind => {
                "the file is of the WideResNet of DeepMind's adversarial training \
                 (`init_conv`, `logits`), whose activations are others; toxscreen cannot run it"
                    .to_owned()
            }
            None => "the file is not of a WideResNet with the usual names (`conv1`, \
                     `block1.layer.0.conv1`, `bn1`, `fc`), which is all that toxscreen can run"
                .to_owned(),
        }
    }
}

/// What stands before the stem's and the last layer's names; of several the shortest.
fn prefix(names: &[&str]) -> String {
    let stems = ["conv1.weight", "stem_conv.weight"];
    let before = names.iter().flat_map(|name| {
        let before = stems.iter().filter_map(|stem| name.strip_suffix(stem));
        before.filter(|before| before.is_empty() || before.ends_with('.'))
    });
    let last = |before: &&str| names.contains(&format!("{before}fc.weight").as_str());
    let shortest = before.filter(last).min_by_key(|before| before.len());
    shortest.unwrap_or_default().to_owned()
}

/// Our name of a tensor without the prefix; `None` if it has no use.
fn ours(name: &str) -> Option<String> {
    if name.starts_with("sub_block1.") {
        return None;
    }
    let whole = [("stem_conv.", "conv1."), ("norm1.", "bn1.")];
    for (theirs, ours) in whole {
        if let Some(rest) = name.strip_prefix(theirs) {
            return Some(format!("{ours}{rest}"));
        }
    }
    let name = (0..3).fold(name.to_owned(), |name, i| {
        match name.strip_prefix(&format!("blocks.{i}.")) {
            Some(rest) => format!("block{}.{rest}", i + 1),
            None => name,
        }
    });
    Some(name.replace(".shortcut.0.", ".convShortcut."))
}

/// A mean and a deviation beside one another.
fn normalise(file: &SafeTensors<'_>, path: &Path) -> Result<Option<OwnNormalise>, WeightsError> {
    for name in file.names() {
        let (parent, last) = match name.rsplit_once('.') {
            Some((parent, last)) => (format!("{parent}."), last),
            None => (String::new(), name),
        };
        let Some(which) = MEANS.iter().position(|mean| *mean == last) else {
            continue;
        };
        let other = format!("{parent}{}", DEVIATIONS[which]);
        let (Ok(mean), Ok(std)) = (file.tensor(name), file.tensor(&other)) else {
            continue;
        };
        let numbers = |view: safetensors::tensor::TensorView<'_>| -> Option<Vec<f32>> {
            let values = (view.dtype() == Dtype::F32).then(|| view.data().as_chunks::<4>().0)?;
            (1..=4)
                .contains(&values.len())
                .then(|| values.iter().map(|w| f32::from_le_bytes(*w)).collect())
        };
        let (Some(mut mean), Some(mut std)) = (numbers(mean), numbers(std)) else {
            continue;
        };
        if mean.len() != std.len() {
            continue;
        }
        let refuse = |name: &str, index, found, expected| WeightsError::Value {
            path: path.to_owned(),
            name: name.to_owned(),
            index,
            found,
            expected,
        };
        if let Some(i) = mean.iter().position(|m| !m.is_finite()) {
            return Err(refuse(name, i, mean[i], "a finite number"));
        }
        if let Some(i) = std.iter().position(|s| !(*s > 0.0 && s.is_finite())) {
            return Err(refuse(&other, i, std[i], "a deviation above 0"));
        }
        let bytes = mean.iter().any(|m| *m > BYTES);
        if bytes {
            mean.iter_mut().chain(&mut std).for_each(|v| *v /= 255.0);
        }
        return Ok(Some(OwnNormalise {
            names: [name.to_owned(), other],
            mean,
            std,
            bytes,
        }));
    }
    Ok(None)
}

/// The network that has tensors of these shapes, by our names.
fn inferred(shapes: &BTreeMap<String, Vec<usize>>) -> Option<WrnConfig> {
    let shape = |name: &str| shapes.get(name).map(Vec::as_slice);
    let ([base, in_channels, ..], [classes, _]) = (shape("conv1.weight")?, shape("fc.weight")?)
    else {
        return None;
    };
    let base = *base;
    let mut stages: Vec<(usize, usize, usize)> = Vec::new();
    for stage in 1..=3 {
        let at = |place: usize, part: &str| {
            let found = shapes.get(&format!("block{stage}.layer.{place}.{part}.weight"));
            found.and_then(|shape| shape.first()).copied()
        };
        let blocks = (0..).take_while(|&place| at(place, "conv1").is_some());
        let blocks = blocks.count();
        let robust = (0..blocks).filter(|&place| at(place, "conv3").is_some());
        let robust = robust.count();
        let channels = at(0, "conv3").or(at(0, "conv1"))?;
        stages.push((blocks, robust, channels));
    }
    let all = stages.iter().all(|(blocks, robust, _)| blocks == robust);
    let block = if all { Block::Robust } else { Block::Basic };
    let mut built = Shape::new([1; 3], [1; 3], [false; 3]);
    (built.base, built.block) = (base, block);
    for (i, (blocks, robust, channels)) in stages.into_iter().enumerate() {
        built.stages[i].width = 1;
        let unit = built.channels(i);
        let appended = !all && robust == 1;
        if unit == 0 || channels % unit != 0 || (!all && robust > 1) {
            return None;
        }
        built.stages[i] = Stage {
            depth: blocks - usize::from(appended),
            width: channels / unit,
            robust: appended,
        };
    }
    let config = WrnConfig::new(built, *in_channels, *classes);
    config.check().is_ok().then_some(config)
}

#[cfg(test)]
mod tests {
    use super::{Described, ours, prefix};

    #[test]
    fn names_of_others_are_ours() {
        let pairs = [
            ("conv1.weight", Some("conv1.weight")),
            ("bn1.running_var", Some("bn1.running_var")),
            ("sub_block1.layer.0.bn1.weight", None),
            ("stem_conv.weight", Some("conv1.weight")),
            ("norm1.bias", Some("bn1.bias")),
            ("blocks.2.layer.6.bn1.bias", Some("block3.layer.6.bn1.bias")),
            (
                "blocks.0.layer.0.shortcut.0.weight",
                Some("block1.layer.0.convShortcut.weight"),
            ),
        ];
        for (theirs, expected) in pairs {
            assert_eq!(ours(theirs).as_deref(), expected, "{theirs}");
        }
    }

    #[test]
    fn a_prefix_is_what_stem_and_head_share() {
        let of = |before: &str| {
            let names = ["conv1.weight", "block1.layer.0.conv1.weight", "fc.weight"];
            let names = names.map(|name| format!("{before}{name}"));
            prefix(&names.each_ref().map(String::as_str))
        };
        for before in ["", "module.", "_orig_mod.", "module.model.net.", "1."] {
            assert_eq!(of(before), before);
        }
        assert_eq!(prefix(&["module.conv1.weight", "other.fc.weight"]), "");
        let described = Described {
            prefix: "1.".to_owned(),
            network: None,
            normalise: None,
            deepmind: false,
        };
        let name = "1.norm1.bias";
        assert_eq!(described.ours(name).as_deref(), Some("bn1.bias"));
    }
}
