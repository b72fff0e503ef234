//! No search: the architecture that a recipe gives.
//!
//! It is what users hold a search against who have an architecture already, and how an architecture that
//! somebody has published is trained and attacked in the place of one that is found here. No data reach it.
//! With the seed of a search that found the same architecture its final training is the same, number by number.

mod file;

use crate::genes::Architecture;
use crate::nas::{
    self, Course, Facts, Leftover, NasConfig, NasError, NasSpace, Numbers, Reads, Refused, Trace,
    TypesOf,
};
use crate::space::cells::{CellGenotype, CellSpace};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tox_data::checkpoint::Hooks;
use tox_data::ranges::OutOfRange;

/// The architecture that a recipe gives.
pub struct Fixed;

/// Which architecture that is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FixedConfig {
    /// The architecture: `Genotype(...)` of DARTS cells or an arch string of NAS-Bench-201, or a file that has it, `FILE`, or
    /// `FILE#NAME` of one that has several, `NAME = Genotype(...)` each, as `genotypes.py` of the published codes
    /// has them. A trial keeps the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub genotype: Option<String>,
}

const FORMS: &str = "Genotype(normal=[...], normal_concat=range(2, 6), reduce=[...], \
                     reduce_concat=range(2, 6)) of DARTS cells, or |op~0|+|op~0|op~1|+|op~0|op~1|op~2| of \
                     NAS-Bench-201";

impl FixedConfig {
    /// The architecture, of which this is the text.
    ///
    /// # Errors
    /// No text, or one that is no architecture of published ops.
    pub fn architecture(&self) -> Result<CellGenotype, OutOfRange> {
        let Some(text) = &self.genotype else {
            let expected =
                format!("the architecture that is to be trained: {FORMS}; or FILE, or FILE#NAME");
            return Err(OutOfRange::new("genotype", "none", expected));
        };
        let wrong = |expected: String| OutOfRange::new("genotype", file::short(text), expected);
        let found: CellGenotype = text.parse().map_err(|e| wrong(format!("{FORMS}: {e}")))?;
        match found.bad_ops().first() {
            Some(op) => Err(wrong(format!("published ops alone, and not `{op}`"))),
            None => Ok(found),
        }
    }
}

impl Numbers for FixedConfig {
    fn check_in(&self, space: NasSpace) -> Result<(), OutOfRange> {
        let found = self.architecture()?.space();
        let is = match found {
            CellSpace::Darts => "darts",
            CellSpace::NasBench201 => "nasbench201",
        };
        let fits = space.cells().is_none_or(|space| space == found);
        let expected = format!(
            "one of {}; write space = \"{is}\" for this one",
            space.title()
        );
        let text = self.genotype.as_deref().unwrap_or_default();
        OutOfRange::unless(fits, "genotype", file::short(text), expected)
    }

    fn with_files(self, folder: &Path) -> Result<Self, Refused> {
        // The check has the words for none.
        let Some(written) = self.genotype else {
            return Ok(self);
        };
        let refused = |message, hint: &str| Refused {
            key: "genotype".to_owned(),
            message,
            hint: Some(hint.to_owned()),
        };
        let is_text = written.contains('|') || written.contains("Genotype(");
        let (text, from) = match is_text {
            true => (written, "the architecture that is given".to_owned()),
            false => {
                let read = file::read(folder, &written);
                let text = read.map_err(|(message, hint)| refused(message, hint))?;
                (text, written)
            }
        };
        let found: CellGenotype = text.parse().map_err(|e| {
            let hint = format!("an architecture is written as {FORMS}");
            refused(format!("{from}: {e}"), &hint)
        })?;
        Ok(Self {
            genotype: Some(found.to_string()),
        })
    }
}

/// It has no course.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedTrace {}

impl Course for FixedTrace {}

const FACTS: Facts = Facts {
    given: true,
    ..Facts::of(
        "fixed",
        "fixed architecture",
        "No search: the architecture that the recipe gives.",
        TypesOf::<FixedConfig, FixedTrace>::NEW,
    )
};

impl nas::Search for Fixed {
    fn facts(&self) -> &'static Facts {
        &FACTS
    }

    fn reads(&self, _config: &NasConfig) -> Reads {
        Reads::Nothing
    }

    fn run(&self, inputs: &nas::Inputs<'_>, _hooks: Hooks<'_>) -> nas::Ended {
        let config: FixedConfig = inputs.config.numbers()?;
        config
            .check_in(inputs.config.space)
            .map_err(|e| e.below(FACTS.kind))
            .map_err(NasError::from)?;
        Ok(Some(nas::Found {
            genotype: Architecture::Cell(config.architecture()?),
            trace: Trace::of(&Self, &FixedTrace {}),
            left: Leftover::None,
        }))
    }
}
