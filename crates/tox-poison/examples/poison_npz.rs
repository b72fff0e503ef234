//! Flips a tenth of the labels of an archive, checks what that did, and writes the poisoned copy.
//!
//!     cargo run --release -p tox-poison --example poison_npz [DATA.npz OUT.npz]
//!
//! Without arguments it poisons the embedded digits and writes into a temporary folder.

use std::error::Error;
use std::path::{Path, PathBuf};
use tox_data::DataDir;
use tox_data::features::FeatureSets;
use tox_poison::data::flip;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let data = arguments.next().unwrap_or_else(|| "digits".to_owned());
    let temporary = tempfile::tempdir()?;
    let out = arguments.next().map(PathBuf::from);
    let out = out.unwrap_or_else(|| temporary.path().join("poisoned.npz"));

    let mut sets = FeatureSets::open(&data, None, &DataDir::resolve(Some(Path::new(".")))?)?;
    let clean = sets.train.clone();

    // The same seed gives the same rows; a larger budget adds rows to those of a smaller one.
    let crafted = flip::random(&clean, 0.1, 0)?;
    let check = &crafted.check;
    println!(
        "{} of {} rows changed, {} labels flipped",
        check.points, check.rows, check.flipped
    );
    match &check.unreliable {
        None => println!("the poison did what it is for"),
        Some(why) => println!("not to be trusted: {why}"),
    }

    // The patch holds the changed rows alone and fits the clean set alone: it knows its hash. The copy is for
    // programs that know no patches.
    let mut patch = crafted.patch;
    patch.save(&out.with_extension("patch.npz"))?;
    patch.apply(&mut sets.train)?;
    sets.save(&out)?;

    let again = FeatureSets::load(&out)?;
    let pairs = again.train.labels.iter().zip(&clean.labels);
    println!(
        "{} labels differ in the copy",
        pairs.filter(|(a, b)| a != b).count()
    );
    // Loaded again, the same patch is refused by any other rows.
    let refused = patch.apply(&mut sets.train).err();
    println!(
        "applied twice: {}",
        refused.map_or_else(String::new, |e| e.to_string())
    );
    Ok(())
}
