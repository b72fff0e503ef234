//! The most suspicious rows are dropped or relabelled.

use super::Inputs;
use super::report::{Judged, Verdict};
use crate::suspects::{COMBINED, Case, Settings, find, named, words};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use tox_data::checkpoint::Hooks;
use tox_data::ranges::OutOfRange;

/// Drops the rows that are most likely mislabelled or poisoned, or gives them the label that the methods
/// suggest. The command `toxscreen suspects` shows the same ranks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Suspects {
    /// Share of the rows that are taken for poisoned, rounded down to whole rows: the budget that
    /// the defender believes the adversary to have.
    #[schemars(range(min = 0.0, max = 0.999_999_999))]
    pub share: f64,
    /// What ranks the rows: one method, or `combined`, the mean of the ranks of all that can be asked. Without
    /// `trusted`, `loss` and `hypergradient` cannot.
    #[schemars(schema_with = "methods")]
    pub method: String,
    /// Suspects get the suggested label in place of being dropped. One that no method suggests another label for
    /// stays as it is.
    pub relabel: bool,
    /// Trusted rows, which the defender has labelled with care. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 1_000_000_000))]
    pub trusted: Option<usize>,
    /// Numbers of the methods.
    pub settings: Settings,
}

/// Every word of `method`.
fn methods(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "enum": words() })
}

impl Default for Suspects {
    fn default() -> Self {
        Self {
            share: 0.1,
            method: COMBINED.to_owned(),
            relabel: false,
            trusted: None,
            settings: Settings::default(),
        }
    }
}

impl Suspects {
    /// What no attribute says of it.
    pub(super) fn relations(&self) -> Result<(), OutOfRange> {
        let asked = named(&[&self.method])?;
        let can = self.trusted.is_some() || !asked.iter().all(|method| method.needs_trusted());
        let method = &self.method;
        let expected = format!("a number of rows, which the method `{method}` learns from");
        OutOfRange::unless(can, "trusted", "none", expected)
    }

    pub(super) fn verdict(&self, inputs: &Inputs<'_>, hooks: Hooks<'_>) -> Judged {
        let mut verdict = Verdict::none(inputs.data);
        let count = tox_data::share::of(self.share, verdict.pool.rows);
        let case = Case::new(&verdict.pool, inputs.trusted, &self.settings, inputs.seed)?;
        let mut go_on = |done: f64, what: &str| {
            (hooks.progress)(done, what);
            !(hooks.stop)()
        };
        let Some(found) = find(&case, &named(&[&self.method])?, &mut go_on)? else {
            return Ok(None);
        };
        for &row in &found.order[..count] {
            match self.relabel {
                true => verdict.pool.labels[row] = found.suggested[row],
                false => verdict.keep[row] = false,
            }
        }
        Ok(Some(verdict))
    }
}
