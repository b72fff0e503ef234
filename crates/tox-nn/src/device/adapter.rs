//! What a device is.

use serde::{Deserialize, Serialize};

/// What an adapter says it is, in the order in which adapters are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the CPU's memory.
    Integrated,
    /// A share of a GPU, of a virtual machine.
    Virtual,
    /// It does not say.
    Other,
    /// The CPU, by a software driver.
    Software,
}

impl Kind {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Other => "other",
            Self::Software => "software",
        }
    }
}

/// An adapter of a driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapter {
    /// What `--device` calls it, such as `vulkan:0`.
    pub device: String,
    /// What its driver calls it.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Its driver, with its version.
    pub driver: String,
    /// What kernels are written in for it.
    pub compiler: String,
}

impl std::fmt::Display for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, kind, driver) = (&self.name, self.kind.word(), &self.driver);
        write!(f, "{name}, {kind}, driver {driver}")
    }
}

/// What there is in place of what was asked for.
pub(super) fn offered(found: &[Adapter]) -> String {
    if found.is_empty() {
        return "no Vulkan driver of this machine offers an adapter; install the driver of its GPU, or a \
                software one (Debian: mesa-vulkan-drivers)"
            .to_owned();
    }
    let line = |adapter: &Adapter| format!("{} ({adapter})", adapter.device);
    let lines: Vec<String> = found.iter().map(line).collect();
    format!(
        "the Vulkan drivers of this machine offer {}",
        lines.join("; ")
    )
}

#[cfg(test)]
impl Adapter {
    pub(super) fn made_up(index: usize, name: &str, kind: Kind) -> Self {
        Self {
            device: format!("vulkan:{index}"),
            name: name.to_owned(),
            kind,
            driver: "made up 1.2".to_owned(),
            compiler: "WGSL".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::DeviceError;
    use super::*;

    #[test]
    fn an_absent_device_is_told_what_there_is() {
        let absent = |found| DeviceError::Absent {
            name: "vulkan:7".into(),
            found,
        };
        let none = absent(Vec::new()).to_string();
        assert!(
            none.starts_with("there is no device vulkan:7: no Vulkan driver"),
            "{none}"
        );
        let two = absent(vec![
            Adapter::made_up(0, "Card", Kind::Discrete),
            Adapter::made_up(1, "pipe", Kind::Software),
        ]);
        assert_eq!(
            two.to_string(),
            "there is no device vulkan:7: the Vulkan drivers of this machine offer vulkan:0 (Card, discrete, \
             driver made up 1.2); vulkan:1 (pipe, software, driver made up 1.2)"
        );
    }

    #[test]
    fn kinds_are_counted_from_the_discrete_to_the_software_ones() {
        let mut kinds = [
            Kind::Software,
            Kind::Other,
            Kind::Discrete,
            Kind::Virtual,
            Kind::Integrated,
        ];
        kinds.sort();
        let words = kinds.map(Kind::word);
        assert_eq!(
            words,
            ["discrete", "integrated", "virtual", "other", "software"]
        );
    }
}
