//! A file of weights before it is known whose: names, shapes, and what stands beside them.

use crate::layers::{State, WeightsError};
use safetensors::tensor::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Last parts of the names under which models keep the mean of their images, and their deviation.
const MEANS: [&str; 3] = ["mu", "mean", "_mean"];
const DEVIATIONS: [&str; 3] = ["sigma", "std", "_std"];
/// A mean above this is one of pixels in 0..=255.
const BYTES: f32 = 2.0;

/// What a file of weights says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightsFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What stands before all of the network's names, such as `module.`; mostly nothing.
    pub prefix: String,
    /// The normalisation that the model does itself.
    pub normalise: Option<OwnNormalise>,
    /// Shapes by name, of all tensors but those of the normalisation, without the prefix.
    pub shapes: BTreeMap<String, Vec<usize>>,
    /// What [`State::save_noted`] wrote.
    pub note: Option<String>,
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

impl WeightsFile {
    /// Reads names and shapes.
    ///
    /// # Errors
    /// A file that cannot be read or is no safetensors file, and a normalisation that cannot be.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let bytes = State::bytes(path)?;
        let format = |e: safetensors::SafeTensorError| WeightsError::Format {
            path: path.to_owned(),
            reason: e.to_string(),
        };
        let file = SafeTensors::deserialize(&bytes).map_err(format)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(format)?;
        let note = header.metadata().as_ref();
        let normalise = normalise(&file, path)?;
        let mut names = file.names();
        names.retain(|name| !is_of(normalise.as_ref(), name));
        let mut found = Self {
            path: path.to_owned(),
            prefix: prefix(&names),
            normalise,
            shapes: BTreeMap::new(),
            note: note.and_then(|note| note.get(State::NOTE)).cloned(),
        };
        let shapes = file.iter().filter_map(|(name, view)| {
            let name = found.bare(name)?.to_owned();
            Some((name, view.shape().to_vec()))
        });
        found.shapes = shapes.collect();
        Ok(found)
    }

    /// A tensor's name without the prefix; `None` of the normalisation's.
    pub fn bare<'n>(&self, name: &'n str) -> Option<&'n str> {
        let other = !is_of(self.normalise.as_ref(), name);
        let bare = match self.prefix.as_str() {
            // That of DataParallel, also before some names alone.
            "" => name.strip_prefix("module."),
            prefix => name.strip_prefix(prefix),
        };
        other.then(|| bare.unwrap_or(name))
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.shapes.get(name).map(Vec::as_slice)
    }

    /// Replaces the numbers of `state` by those of the file: `ours` gives the network's name of a bare
    /// name, or `None` of a tensor that has no use.
    ///
    /// # Errors
    /// Those of [`State::load`].
    pub fn load(
        &self,
        state: &mut State,
        ours: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(), WeightsError> {
        state.load_as(&self.path, &|name| ours(self.bare(name)?))
    }
}

fn is_of(normalise: Option<&OwnNormalise>, name: &str) -> bool {
    normalise.is_some_and(|own| own.names.iter().any(|own| own == name))
}

/// The parts that all names begin with; none where one name alone would have no part left.
fn prefix(names: &[&str]) -> String {
    let mut parts = names.iter().map(|name| name.split_inclusive('.'));
    let Some(first) = parts.next() else {
        return String::new();
    };
    let mut shared: Vec<&str> = first.filter(|part| part.ends_with('.')).collect();
    for name in parts {
        let same = name.zip(&shared).take_while(|(a, b)| a == *b);
        let same = same.count();
        shared.truncate(same);
    }
    match names.len() {
        1 => String::new(),
        _ => shared.concat(),
    }
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

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn a_prefix_is_what_all_names_share() {
        let of = |before: &str| {
            let names = ["conv1.weight", "block1.layer.0.conv1.weight", "fc.weight"];
            let names = names.map(|name| format!("{before}{name}"));
            prefix(&names.each_ref().map(String::as_str))
        };
        for before in ["", "module.", "_orig_mod.", "module.model.net.", "1."] {
            assert_eq!(of(before), before);
        }
        assert_eq!(prefix(&["module.conv1.weight", "other.fc.weight"]), "");
        assert_eq!(prefix(&["conv1.weight", "conv1x.weight"]), "");
        assert_eq!(prefix(&["a.b.weight"]), "");
    }
}
