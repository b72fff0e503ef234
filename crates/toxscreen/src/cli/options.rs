//! Options that several commands have.

use super::{Result, devices, usage};
use std::path::PathBuf;
use tox_audits::rows::BUDGET;
use tox_data::DataDir;
use tox_nn::Device;

/// Where data sets are.
#[derive(Clone, clap::Args)]
pub struct Folder {
    /// Folder of the data sets [default: $TOXSCREEN_DATA, or the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl Folder {
    pub fn dir(&self) -> Result<DataDir> {
        Ok(DataDir::resolve(self.data_dir.as_deref())?)
    }
}

/// A data set of the user's.
#[derive(clap::Args)]
pub struct Set {
    /// An .npz file (x_train and y_train, perhaps x_test and y_test; or images and labels, or x and
    /// y), two .npy files (X.npy,y.npy), a folder of class folders, a .csv file (rows alone), or a known
    /// set such as digits (`toxscreen data ls`)
    #[arg(long, value_name = "DATA")]
    pub data: String,
    /// Classes to keep, such as 3,8; the first becomes class 0, the next 1
    #[arg(long, value_name = "LABELS", value_delimiter = ',')]
    pub classes: Option<Vec<u16>>,
    /// Side in pixels to which images are resized
    #[arg(long, value_name = "SIDE")]
    pub resize: Option<usize>,
    #[command(flatten)]
    pub folder: Folder,
}

/// How many rows are poison.
#[derive(clap::Args)]
pub struct Poisoned {
    /// Share of the training rows that poison replaces, between 0 and 1
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = BUDGET,
        allow_negative_numbers = true
    )]
    pub budget: f64,
}

/// How a command runs and prints.
#[derive(clap::Args)]
pub struct Session {
    /// Seed of all that is drawn
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// cpu, vulkan:N or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// Threads [default: all cores]; results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Session {
    pub fn device(&self) -> Result<Device> {
        fits(&self.device)
    }

    /// Threads in number.
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(cores, usize::from)
    }

    /// Makes rayon's global pool, which Burn's own ops ask for too, one of that many threads.
    pub fn pool(&self) {
        // It can be built once; results do not depend on it.
        let _ = rayon::ThreadPoolBuilder::new()
            .num_threads(self.threads())
            .build_global();
    }

    /// Refuses a device that is of no use to `what`.
    pub fn cpu_alone(&self, what: &str) -> Result<()> {
        match self.device.as_str() {
            "cpu" => Ok(()),
            device => Err(usage(
                format!("{what} runs on the CPU, not on {device}"),
                "leave --device out",
            )),
        }
    }
}

/// The device of a name, open, if this program and machine have it. What its driver makes of it is tried in
/// another process first, so that a driver that dies takes no command with it.
pub fn fits(device: &str) -> Result<Device> {
    if device != "cpu" {
        devices::tried(device)?;
    }
    tox_nn::device::parse(device).map_err(|e| devices::unusable(&e.to_string()))
}

/// A device's name as `run` and `trial` take it, for a process that is yet to start.
pub fn device(text: &str) -> Result<String, String> {
    let numbered = text.split_once(':').is_some_and(|(kind, number)| {
        ["vulkan", "cuda"].contains(&kind) && number.parse::<u8>().is_ok()
    });
    if text == "cpu" || numbered {
        Ok(text.to_owned())
    } else {
        Err("expected cpu, vulkan:N or cuda:N, such as vulkan:0".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_with_their_number() {
        for right in ["cpu", "vulkan:0", "cuda:11"] {
            assert!(device(right).is_ok());
        }
        for wrong in ["gpu", "cuda", "cuda:", "cpu:0", "vulkan:-1"] {
            assert!(device(wrong).is_err(), "{wrong}");
        }
    }
}
