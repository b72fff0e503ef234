//! Devices by name.

use burn::tensor::Device;

/// A device name that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not a name that we know.
    #[error("unknown device '{0}': expected cpu, vulkan:N or cuda:N, with N the number of the GPU")]
    Unknown(String),
    /// The binary was built without it.
    #[error(
        "device '{name}' is not in this binary: build it with `cargo build --release --features {feature}`"
    )]
    NotBuilt {
        /// What was asked for.
        name: String,
        /// The cargo feature that brings it.
        feature: &'static str,
    },
}

/// The device called `name`: `cpu`, `vulkan:N` (feature `vulkan`), `cuda:N` (feature `cuda`).
///
/// # Errors
/// When the name is unknown or the binary was built without the backend.
pub fn parse(name: &str) -> Result<Device, DeviceError> {
    let unknown = || DeviceError::Unknown(name.to_owned());
    let (kind, index) = name.split_once(':').unwrap_or((name, "0"));
    let index: usize = index.parse().map_err(|_| unknown())?;
    match kind {
        "cpu" if !name.contains(':') => Ok(Device::flex()),
        "vulkan" => vulkan(name, index),
        "cuda" => cuda(name, index),
        _ => Err(unknown()),
    }
}

#[cfg(feature = "vulkan")]
fn vulkan(_: &str, index: usize) -> Result<Device, DeviceError> {
    use burn::tensor::DeviceKind::{DefaultDevice, DiscreteGpu};
    // The default is the best adapter of any kind, integrated ones included.
    Ok(Device::vulkan(if index == 0 {
        DefaultDevice
    } else {
        DiscreteGpu(index)
    }))
}

#[cfg(not(feature = "vulkan"))]
fn vulkan(name: &str, _: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt {
        name: name.to_owned(),
        feature: "vulkan",
    })
}

#[cfg(feature = "cuda")]
fn cuda(_: &str, index: usize) -> Result<Device, DeviceError> {
    Ok(Device::cuda(index))
}

#[cfg(not(feature = "cuda"))]
fn cuda(name: &str, _: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt {
        name: name.to_owned(),
        feature: "cuda",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(parse("cpu").is_ok());
        for name in ["", "gpu", "cpu:1", "vulkan:x", "vulkan:-1"] {
            assert_eq!(parse(name), Err(DeviceError::Unknown(name.into())));
        }
    }
}
