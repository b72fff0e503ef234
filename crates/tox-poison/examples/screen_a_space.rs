//! Looks for poisonous ops in a search space, before any search, and drops them.
//!
//!     cargo run --release -p tox-poison --example screen_a_space
//!
//! The screen trains nothing. It passes real images through each op of a fresh network and judges by what it
//! measures, never by an op's name, so it finds ops that nobody thought of.

use std::error::Error;
use std::path::Path;
use tox_data::spec::DataSpec;
use tox_data::{DataDir, load};
use tox_nn::Device;
use tox_poison::screen::{OpReport, ScreenConfig, screen, table};
use tox_search::space::{Op, Space, SpaceOp};

fn main() -> Result<(), Box<dyn Error>> {
    // The six clean ops of ENAS, and two that a careless colleague added: a dropout that leaves nothing, and nine
    // copies of a good op, which take half of what a controller samples.
    let mut space = Space::enas();
    for (op, count) in [(Op::Dropout { p: 1.0 }, 1), (Op::Conv { k: 3 }, 8)] {
        let poison = false; // what a person would believe; the screen does not read it
        space.ops.push(SpaceOp { op, count, poison });
    }

    // The digits are embedded, so the folder is not looked at. Training images are enough.
    let data = load(
        &DataSpec::of("digits", 0),
        &DataDir::resolve(Some(Path::new(".")))?,
    )?;
    let reports = screen(&space, &data, &ScreenConfig::default(), 0, &Device::flex())?;
    println!("{}", table(&reports));

    let kept: Vec<String> = (reports.iter().filter(|report| !report.poisonous()))
        .map(|report: &OpReport| report.op.to_string())
        .collect();
    println!("kept: {}", kept.join(", "));
    Ok(())
}
