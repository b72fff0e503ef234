//! File formats: each module turns files into the training and the test file of a data set.

pub(crate) mod cifar;
pub(crate) mod digits;
pub(crate) mod folder;
pub(crate) mod idx;
pub(crate) mod npy;
pub(crate) mod npz;

/// Names for classes that only have numbers.
pub(crate) fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

/// `a x b x c`, for messages.
pub(crate) fn dimensions(shape: &[usize]) -> String {
    shape
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" x ")
}
