//! Whether the batch norms of a file of weights have ever seen an image.

use safetensors::tensor::{Dtype, SafeTensors};
use std::path::Path;

/// A sentence if all batch norms of a file have the statistics of a network that was never trained, mean 0 and variance
/// 1, by which it answers nonsense. `None` of any other, and of a file that cannot be read, which others refuse.
pub fn untouched(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    let file = SafeTensors::deserialize(&bytes).ok()?;
    let mut norms = 0;
    for (name, view) in file.iter() {
        let fresh: f32 = match name.rsplit('.').next() {
            Some("running_mean") => 0.0,
            Some("running_var") => 1.0,
            Some(_) | None => continue,
        };
        let fresh = fresh.to_le_bytes();
        if view.dtype() != Dtype::F32 || view.data().chunks_exact(4).any(|value| value != fresh) {
            return None;
        }
        norms += usize::from(name.ends_with("running_var"));
    }
    (norms > 0).then(|| {
        format!(
            "all {norms} batch norms of {} have the statistics of a network that was never trained (mean 0, variance 1), and in \
             evaluation answers go by these: save the weights after training, with their buffers (`state_dict()` in PyTorch)",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{TensorView, serialize};

    #[test]
    fn statistics_of_no_training_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        let write = |mean: f32, var: f32, end: &str| {
            let tensor = |value: f32| [value.to_le_bytes(), value.to_le_bytes()].concat();
            let (mean, var) = (tensor(mean), tensor(var));
            let view = |data| TensorView::new(Dtype::F32, vec![2], data).unwrap();
            let all = [
                (format!("bn.running_mean{end}"), view(&mean)),
                (format!("bn.running_var{end}"), view(&var)),
            ];
            std::fs::write(&path, serialize(all, None).unwrap()).unwrap();
            untouched(&path)
        };
        let told = write(0.0, 1.0, "").unwrap();
        assert!(
            told.contains("all 1 batch norms") && told.contains("never trained"),
            "{told}"
        );
        assert_eq!(write(0.5, 1.0, ""), None);
        assert_eq!(write(0.0, 1.0, ".other"), None);
    }
}
