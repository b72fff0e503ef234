//! `toxscreen devices`: what `--device` can name.

use super::{Output, Result, bug, json, system, table};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::process::{Command, Stdio};
use tox_nn::device::{self, Adapter, DeviceError, Opened};
use tox_study::runner::this_program;
use tox_study::trial::Failure;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen devices                  the CPU and the GPUs of this machine, each tried
  toxscreen devices --json

vulkan:N counts all adapters of the Vulkan drivers: discrete GPUs first, then integrated, virtual, other and
software ones, each by its bus and name. A device is tried in a process of its own: it is opened, and a few
sums are held against the CPU's, also with NaN in them.
Exit codes: 0, whatever the devices are.")]
pub struct Devices {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Try this device, or list the adapters, in this process, which a driver may end, and print JSON
    #[arg(long, value_name = "DEVICE", num_args = 0..=1, hide = true)]
    pub here: Option<Option<String>>,
}

/// What became of trying a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Trial {
    /// It can be used.
    Usable(Tried),
    /// It cannot, and why.
    Refused(String),
}

/// A device that computes right numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    adapter: Option<Adapter>,
    loses_nan: Vec<String>,
}

impl Tried {
    /// Refuses a device that loses NaN.
    pub fn keeps_nan(&self, device: &str) -> Result<()> {
        let kept = device::keeps_nan(device, self.adapter.as_ref(), &self.loses_nan);
        kept.map_err(|e| unusable(&e.to_string()))
    }
}

/// A line of the list.
#[derive(Serialize)]
struct Line {
    device: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<Adapter>,
    usable: bool,
    note: String,
}

pub fn devices(args: &Devices) -> Result<Output> {
    match &args.here {
        Some(Some(name)) => return Ok(Output::done(json(&here(name))?)),
        Some(None) => return Ok(Output::done(json(&device::adapters())?)),
        None => {}
    }
    let mut lines = vec![Line {
        device: "cpu".to_owned(),
        adapter: None,
        usable: true,
        note: format!("kernels for {}", tox_nn::kernels::instruction_set()),
    }];
    let mut absent = Vec::new();
    let adapters = elsewhere::<Vec<Adapter>>(&[])?.unwrap_or_else(|ended| {
        absent.push(format!("no device vulkan:N can be used: a driver {ended}"));
        Vec::new()
    });
    for adapter in adapters {
        let (usable, note) = match trial(&adapter.device)? {
            Trial::Usable(tried) if tried.loses_nan.is_empty() => (true, "keeps NaN".to_owned()),
            Trial::Usable(tried) => (true, format!("loses NaN in {}", tried.loses_nan.join(", "))),
            Trial::Refused(why) => (false, why),
        };
        lines.push(Line {
            device: adapter.device.clone(),
            adapter: Some(adapter),
            usable,
            note,
        });
    }
    absent.extend(missing(lines.len() > 1 || !absent.is_empty()));
    if args.json {
        let text = json(&serde_json::json!({ "devices": lines, "absent": absent }))?;
        return Ok(Output::done(text));
    }
    let rows: Vec<_> = lines.iter().map(row).collect();
    let mut text = table(
        &["device", "name", "kind", "driver", "usable", "note"],
        &rows,
    );
    for what in absent {
        text.push_str(&format!("{what}\n"));
    }
    Ok(Output::done(text))
}

fn row(line: &Line) -> Vec<String> {
    let of = |word: fn(&Adapter) -> String| line.adapter.as_ref().map_or_else(String::new, word);
    vec![
        line.device.clone(),
        of(|a| a.name.clone()),
        of(|a| a.kind.word().to_owned()),
        of(|a| format!("{}, {}", a.driver, a.compiler)),
        if line.usable { "yes" } else { "no" }.to_owned(),
        line.note.clone(),
    ]
}

/// What the list does not have, and why; `vulkan`: whether something was said of the Vulkan drivers.
fn missing(vulkan: bool) -> Vec<String> {
    let mut missing = Vec::new();
    match device::built("vulkan:0") {
        Err(e) => missing.push(e.to_string()),
        Ok(()) if vulkan => {}
        Ok(()) => {
            let none = DeviceError::Absent {
                name: "vulkan:0".to_owned(),
                found: Vec::new(),
            };
            missing.push(none.to_string());
        }
    }
    match device::built("cuda:0") {
        Err(e) => missing.push(e.to_string()),
        Ok(()) => missing.push("cuda:N is in this binary, and not listed".to_owned()),
    }
    missing
}

/// Tries a device in this process.
fn here(name: &str) -> Trial {
    match device::open(name) {
        Ok(Opened {
            adapter, loses_nan, ..
        }) => Trial::Usable(Tried { adapter, loses_nan }),
        Err(e) => Trial::Refused(e.to_string()),
    }
}

/// What this program says of its devices in another process, or how a driver ended that.
fn elsewhere<T: DeserializeOwned>(words: &[&str]) -> Result<Result<T, String>> {
    let mut command = Command::new(this_program()?);
    command
        .args(["devices", "--here"])
        .args(words)
        .stdin(Stdio::null());
    let ended = command
        .output()
        .map_err(|e| system("start toxscreen again", &e))?;
    if let Ok(said) = serde_json::from_slice(&ended.stdout) {
        return Ok(Ok(said));
    }
    if ended.status.success() {
        return Err(bug(
            "the process that tries devices answered in other words",
        ));
    }
    let words = String::from_utf8_lossy(&ended.stderr);
    let last = words.lines().rev().find(|line| !line.trim().is_empty());
    let last = last.map_or_else(String::new, |line| format!(" ({})", line.trim()));
    let status = ended.status;
    Ok(Err(format!(
        "ended the process that tried it, with {status}{last}"
    )))
}

/// Tries a device in another process.
fn trial(name: &str) -> Result<Trial> {
    let refused = |ended| Trial::Refused(format!("{name} cannot be used: its driver {ended}"));
    Ok(elsewhere(&[name])?.unwrap_or_else(refused))
}

/// The device of a name, tried in another process.
///
/// # Errors
/// Why it cannot be used.
pub fn tried(name: &str) -> Result<Tried, Failure> {
    match trial(name)? {
        Trial::Usable(tried) => Ok(tried),
        Trial::Refused(why) => Err(unusable(&why)),
    }
}

/// A device that cannot be used.
pub fn unusable(why: &str) -> Failure {
    Failure::usage(why.to_owned()).hinted(
        "`toxscreen devices` lists what this machine has; leave --device out to use the CPU",
    )
}
