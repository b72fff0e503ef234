//! What the reports of all learners have in common.

use minijinja::Value;
use tox_report::figure::{self, Figure};
use tox_report::run::Run;

/// What a report shows of a run, drawn.
pub struct Drawn<'a, C> {
    pub run: &'a Run,
    pub cells: Vec<C>,
    pub figures: Vec<Figure>,
}

impl<C> Drawn<'_, C> {
    /// Name and content of every figure file.
    pub fn files(&self) -> Vec<(String, String)> {
        figure::files(&self.figures)
    }

    /// The figures that have something to show, for the page.
    pub fn shown(&self) -> Vec<Value> {
        let drawn = self.figures.iter().filter(|f| !f.panels.is_empty());
        drawn.map(Figure::value).collect()
    }
}

/// The reporter of a learner whose `Report` is in scope: its kind and structures, what is foreign to it, its own
/// table and what a terminal shows.
macro_rules! reporter {
    (
        $name:ident, $kind:literal, $config:ty, $outcome:ty;
        $(foreign: $foreign:expr;)?
        wide: $wide:expr;
        headline: $headline:expr;
    ) => {
        /// Made by this module.
        pub struct $name;

        impl tox_report::Reporter for $name {
            fn kind(&self) -> &'static str {
                $kind
            }

            fn types(&self) -> tox_report::run::Types {
                tox_report::run::Types::of::<$config, $outcome>()
            }

            $(fn foreign(&self, spec: &tox_study::spec::TrialSpec) -> bool {
                let foreign: fn(&tox_study::spec::TrialSpec) -> bool = $foreign;
                foreign(spec)
            })?

            fn make(
                &self,
                _house: &tox_study::house::House,
                run: &tox_report::run::Run,
            ) -> Result<tox_report::Made, tox_report::ReportError> {
                let wide: fn(&tox_report::run::Run) -> Result<String, tox_report::ReportError> = $wide;
                let report = Report::new(run);
                Ok(tox_report::Made {
                    wide: wide(run)?,
                    html: report.html()?,
                    figures: report.files(),
                })
            }

            fn headline(&self, _house: &tox_study::house::House, run: &tox_report::run::Run) -> String {
                let headline: fn(&tox_report::run::Run) -> String = $headline;
                headline(run)
            }
        }
    };
}
pub(crate) use reporter;
