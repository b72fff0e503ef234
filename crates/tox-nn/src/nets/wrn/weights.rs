//! Weights of PyTorch's wide residual networks, under the names that they come with.

use crate::layers::{State, WeightsError};
use std::path::Path;

/// Replaces the numbers of `state`, one of [`wrn`](super::wrn), by those of a state dict, as
/// [`State::load`] does, and also under other names: with `module.` before all of them (DataParallel),
/// with those of robust-residual-network (`stem_conv`, `blocks.0`, `shortcut.0`, `norm1`), and with the
/// `sub_block1` that TRADES' network has and never uses, which is left out.
///
/// # Errors
/// Those of [`State::load`]; its messages name the tensors as we do.
pub fn load(state: &mut State, path: &Path) -> Result<(), WeightsError> {
    state.load_as(path, &ours)
}

/// Our name of a tensor; `None` if it has no use.
fn ours(name: &str) -> Option<String> {
    let name = name.strip_prefix("module.").unwrap_or(name);
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

#[cfg(test)]
mod tests {
    use super::ours;

    #[test]
    fn names_of_others_are_ours() {
        let pairs = [
            ("module.conv1.weight", Some("conv1.weight")),
            ("bn1.running_var", Some("bn1.running_var")),
            ("module.sub_block1.layer.0.bn1.weight", None),
            ("stem_conv.weight", Some("conv1.weight")),
            ("norm1.bias", Some("bn1.bias")),
            ("blocks.2.layer.6.bn1.bias", Some("block3.layer.6.bn1.bias")),
            (
                "module.blocks.0.layer.0.shortcut.0.weight",
                Some("block1.layer.0.convShortcut.weight"),
            ),
        ];
        for (theirs, expected) in pairs {
            assert_eq!(ours(theirs).as_deref(), expected, "{theirs}");
        }
    }
}
