//! Weights of PyTorch's wide residual networks, under the names that they come with.

use super::config::{Block, Shape, Stage, WrnConfig};
use crate::layers::{State, WeightsError};
use crate::nets::file::WeightsFile;
use std::collections::BTreeMap;
use std::path::Path;

/// Replaces the numbers of `state`, one of [`wrn`](super::wrn), by those of a state dict, as
/// [`State::load`] does, and also under other names: behind a common prefix (`module.` of DataParallel,
/// `_orig_mod.` of a compiled model, `model.`, `1.`), with those of robust-residual-network (`stem_conv`,
/// `blocks.0`, `shortcut.0`, `norm1`), and with what is no part of the network and is left out: the
/// `sub_block1` that TRADES' network has and never uses, and the two tensors of a normalisation.
///
/// # Errors
/// Those of [`State::load`]; its messages name the tensors as we do, and say of which network the file is.
pub fn load(state: &mut State, path: &Path) -> Result<WeightsFile, WeightsError> {
    let file = WeightsFile::read(path)?;
    let loaded = file.load(state, &ours);
    loaded.map_err(|error| error.with_note(note(&file)))?;
    Ok(file)
}

/// The network that a file is of, where its names and shapes are those of one.
pub fn infer(file: &WeightsFile) -> Option<WrnConfig> {
    let shapes = file.shapes.iter();
    let shapes = shapes.filter_map(|(name, shape)| Some((ours(name)?, shape.clone())));
    inferred(&shapes.collect())
}

/// Whether the names are those of the networks of DeepMind's adversarial training.
pub fn is_deepminds(file: &WeightsFile) -> bool {
    file.shape("init_conv.weight").is_some() && file.shape("logits.weight").is_some()
}

/// What a user who gave the file for another network should know.
fn note(file: &WeightsFile) -> String {
    match infer(file) {
        Some(network) => format!(
            "the file's own tensors are those of {}, for images of {} channels and {} classes",
            network.shape, network.in_channels, network.classes
        ),
        None if is_deepminds(file) => {
            "the file is of the WideResNet of DeepMind's adversarial training \
             (`init_conv`, `logits`), whose activations are others; toxscreen cannot run it"
                .to_owned()
        }
        None => "the file is not of a WideResNet with the usual names (`conv1`, \
                 `block1.layer.0.conv1`, `bn1`, `fc`)"
            .to_owned(),
    }
}

/// Our name of a tensor without the prefix; `None` if it has no use.
pub fn ours(name: &str) -> Option<String> {
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
    use super::ours;

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
}
