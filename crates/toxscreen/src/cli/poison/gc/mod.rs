//! `--attack gc`: images moved until their gradient cancels that of the clean ones.

mod options;

pub use options::GcOptions;

use super::Poison;
use super::made::{Beside, Made};
use crate::cli::{Result, table};
use clap::ArgMatches;
use serde_json::json;
use tox_audits::commands::gc::{self, Ask};
use tox_data::features::Features;
use tox_poison::data::gc::{Alignment, Gc};

/// Trains the victim and cancels; `None` if it was stopped.
pub fn craft(
    args: &Poison,
    clean: &Features,
    given: &ArgMatches,
    desk: &Beside<'_>,
) -> Result<Option<Made>> {
    let kind = options::victim(args, given)?;
    let ask = Ask {
        clean,
        name: &args.rows.set.data,
        gc: Gc {
            bound: args.images.bound,
            radius: args.gc.radius.unwrap_or(kind.targets().radius()),
            ascent_lr: args.gc.ascent_lr,
            lr: args.gc.gc_lr,
            iterations: args.gc.iterations,
            batch: args.gc.gc_batch,
            ..Gc::default()
        },
        kind,
        budget: args.poisoned.budget,
        seed: args.session.seed,
        device: (args.session.device()?, &args.session.device),
    };
    let made = gc::craft(&ask, desk).map_err(options::refused)?;
    Ok(made.map(|made| Made {
        text: tell(&made),
        report: json!({
            "victim": made.victim,
            "guessing_loss": made.guessing,
            "warnings": made.warning.iter().collect::<Vec<_>>(),
        }),
        crafted: made.crafted,
        leftovers: made.leftovers,
    }))
}

fn tell(made: &gc::Made) -> String {
    let (learned, guessing) = (&made.learned, made.guessing);
    let Some(cancelled) = &made.crafted.check.cancelled else {
        return String::new();
    };
    let mut text = format!(
        "the victim, with an error of {:.1} % in its last epoch, was moved uphill by {:.3} (L2), to a \
         loss of {:.3} on the clean images; guessing has {guessing:.3}\n",
        learned.error, cancelled.ascent, cancelled.clean_loss
    );
    if let Some(searched) = &learned.searched {
        text.push_str(&format!("its search ended with {}\n", searched.genotype));
    }
    let row = |name: &str, found: Alignment| {
        let (loss, cosine) = (
            format!("{:.3e}", found.loss),
            format!("{:.3}", found.cosine),
        );
        vec![name.to_owned(), loss, cosine]
    };
    let head = ["gradient there", "cancelling loss", "cos(clean, poison)"];
    let rows = [
        row("images before", cancelled.before()),
        row("poison, 8-bit", cancelled.after),
    ];
    text.push('\n');
    text.push_str(&table(&head, &rows));
    text.push('\n');
    if let Some(warning) = &made.warning {
        text.push_str(&format!("WARNING: {warning}\n"));
    }
    text
}
