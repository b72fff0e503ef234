//! Devices by name.
//!
//! `cpu` is always there. `vulkan:N` (feature `vulkan`) is the N-th adapter of [`adapters`], of whatever
//! kind, and `cuda:N` (feature `cuda`) the N-th NVIDIA GPU. A device is opened and [checked](check) before
//! anything is computed on it.

mod adapter;
pub mod check;
#[cfg(feature = "vulkan")]
mod vulkan;

pub use adapter::{Adapter, Kind};

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
    /// No adapter has this number.
    #[error("there is no device {name}: {}", adapter::offered(found))]
    Absent {
        /// What was asked for.
        name: String,
        /// What there is.
        found: Vec<Adapter>,
    },
    /// The driver does not open it, or lacks what is needed.
    #[error("{name} ({adapter}) cannot be used: {reason}")]
    Refused {
        /// What was asked for.
        name: String,
        /// What it is, in words.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// It computes something else than the CPU.
    #[error(
        "{name} ({adapter}) computes wrong numbers: {what} differs from the CPU's; a newer driver may help"
    )]
    Wrong {
        /// What was asked for.
        name: String,
        /// What it is, in words.
        adapter: String,
        /// The computation.
        what: String,
    },
    /// It loses NaN where an outcome rests on it.
    #[error(
        "{name} ({adapter}) loses NaN in {what}, on which `nan_policy = \"torch\"` rests; run it on the CPU, or \
         with `nan_policy = \"guarded\"`"
    )]
    LosesNan {
        /// What was asked for.
        name: String,
        /// What it is, in words.
        adapter: String,
        /// The ops that lose it.
        what: String,
    },
}

/// A device that is open.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The device.
    pub device: Device,
    /// What it is; `None` for the CPU.
    pub adapter: Option<Adapter>,
    /// Ops in which it loses NaN, none on a device that computes as PyTorch does.
    pub loses_nan: Vec<String>,
}

impl Opened {
    /// Of what is no adapter that can be asked for its name.
    fn unnamed(device: Device) -> Self {
        Self {
            device,
            adapter: None,
            loses_nan: Vec::new(),
        }
    }

    /// Refuses a device, called `name`, that loses NaN.
    ///
    /// # Errors
    /// The ops in which it does.
    pub fn keeps_nan(&self, name: &str) -> Result<(), DeviceError> {
        keeps_nan(name, self.adapter.as_ref(), &self.loses_nan)
    }
}

/// As [`Opened::keeps_nan`], of a device that another process opened.
///
/// # Errors
/// The ops in which it loses NaN.
pub fn keeps_nan(
    name: &str,
    adapter: Option<&Adapter>,
    lost: &[String],
) -> Result<(), DeviceError> {
    if lost.is_empty() {
        return Ok(());
    }
    Err(DeviceError::LosesNan {
        name: name.to_owned(),
        adapter: adapter.map_or_else(String::new, Adapter::to_string),
        what: lost.join(", "),
    })
}

/// The device called `name`: `cpu`, `vulkan:N` (feature `vulkan`), `cuda:N` (feature `cuda`).
///
/// # Errors
/// When the name is unknown, the binary was built without the backend, or the device cannot be used.
pub fn parse(name: &str) -> Result<Device, DeviceError> {
    Ok(open(name)?.device)
}

/// Whether this program has the kind of device that `name` asks for, whatever the machine has.
///
/// # Errors
/// When the name is unknown or the binary was built without the backend.
pub fn built(name: &str) -> Result<(), DeviceError> {
    match Name::read(name)? {
        Name::Cpu => Ok(()),
        Name::Vulkan(_) if cfg!(feature = "vulkan") => Ok(()),
        Name::Vulkan(_) => Err(not_built(name, "vulkan")),
        Name::Cuda(_) if cfg!(feature = "cuda") => Ok(()),
        Name::Cuda(_) => Err(not_built(name, "cuda")),
    }
}

/// A device's name, read.
enum Name {
    Cpu,
    Vulkan(usize),
    Cuda(usize),
}

impl Name {
    fn read(name: &str) -> Result<Self, DeviceError> {
        let number = |text: &str| text.parse().ok();
        match name.split_once(':') {
            None if name == "cpu" => Some(Self::Cpu),
            None if name == "vulkan" => Some(Self::Vulkan(0)),
            None if name == "cuda" => Some(Self::Cuda(0)),
            Some(("vulkan", index)) => number(index).map(Self::Vulkan),
            Some(("cuda", index)) => number(index).map(Self::Cuda),
            None | Some(_) => None,
        }
        .ok_or_else(|| DeviceError::Unknown(name.to_owned()))
    }
}

fn not_built(name: &str, feature: &'static str) -> DeviceError {
    DeviceError::NotBuilt {
        name: name.to_owned(),
        feature,
    }
}

/// As [`parse`], with what is known of the device. A device is opened and checked once a process.
///
/// # Errors
/// As of [`parse`].
pub fn open(name: &str) -> Result<Opened, DeviceError> {
    match Name::read(name)? {
        Name::Cpu => Ok(Opened::unnamed(Device::flex())),
        Name::Vulkan(index) => vulkan(name, index),
        Name::Cuda(index) => cuda(name, index),
    }
}

/// All adapters of the Vulkan drivers of this machine, whatever their kind, in the order in which
/// `vulkan:N` counts them: discrete, integrated, virtual, other and software ones, each by bus and name.
/// None of a build without the feature.
pub fn adapters() -> Vec<Adapter> {
    #[cfg(feature = "vulkan")]
    return vulkan::adapters();
    #[cfg(not(feature = "vulkan"))]
    Vec::new()
}

#[cfg(feature = "vulkan")]
fn vulkan(name: &str, index: usize) -> Result<Opened, DeviceError> {
    vulkan::open(name, index)
}

#[cfg(not(feature = "vulkan"))]
fn vulkan(name: &str, _: usize) -> Result<Opened, DeviceError> {
    Err(not_built(name, "vulkan"))
}

#[cfg(feature = "cuda")]
fn cuda(_: &str, index: usize) -> Result<Opened, DeviceError> {
    let device = Device::cuda(index);
    let loses_nan = check::lost_nan(&device);
    Ok(Opened {
        loses_nan,
        ..Opened::unnamed(device)
    })
}

#[cfg(not(feature = "cuda"))]
fn cuda(name: &str, _: usize) -> Result<Opened, DeviceError> {
    Err(not_built(name, "cuda"))
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

    #[cfg(not(feature = "vulkan"))]
    #[test]
    fn a_build_without_the_feature_says_how_to_get_it() {
        let error = parse("vulkan:0").unwrap_err().to_string();
        assert_eq!(
            error,
            "device 'vulkan:0' is not in this binary: build it with `cargo build --release --features vulkan`"
        );
        assert!(adapters().is_empty());
    }

    #[test]
    fn a_device_that_loses_nan_is_named_with_the_op() {
        let lossy = Opened {
            adapter: Some(Adapter::made_up(0, "Card", Kind::Discrete)),
            loses_nan: vec!["max pool".into()],
            ..Opened::unnamed(Device::flex())
        };
        let error = lossy.keeps_nan("vulkan:0").unwrap_err().to_string();
        for word in ["vulkan:0", "Card", "max pool", "nan_policy = \"torch\""] {
            assert!(error.contains(word), "{error}");
        }
    }
}
