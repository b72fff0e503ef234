//! Final accuracies of all cells of NAS-Bench-201, looked up instead of trained.
//!
//! The table is a CSV file with one row for each of the 15,625 cells; [`Table::read`] believes it
//! only if every cell stands in it once and every number is in range. [`Table::random_search`]
//! gives what a random search of equal cost would have found, exactly.
//!
//! Where the numbers come from matters: files that circulate disagree in a part of their 200-epoch
//! columns, so a [`Column`] keeps the name that it has in the file, for reports to print.

mod baseline;
mod read;

pub use baseline::{Baseline, Draws, best_of};
pub use read::TableError;

use crate::space::hint;
use crate::space::nasbench201::Cell;
use crate::text::by_text;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where the table stands in the data folder.
pub const FILE: &str = "nasbench201/nasbench201_accuracies.csv";

/// Where the table of robust accuracies stands in the data folder: NAS-RobBench-201 (Wu et al., ICLR 2024) and Jung
/// et al. (ICLR 2023) by arch string.
pub const ROBUST_FILE: &str = "nasbench201/robust.csv";

/// A data set on which all cells were trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DataSet {
    /// CIFAR-10.
    Cifar10,
    /// CIFAR-100.
    Cifar100,
    /// ImageNet16-120: ImageNet's first 120 classes at 16x16.
    ImageNet16,
}

impl DataSet {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cifar10, Self::Cifar100, Self::ImageNet16];

    /// The name as it is written in papers.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Cifar10 => "CIFAR-10",
            Self::Cifar100 => "CIFAR-100",
            Self::ImageNet16 => "ImageNet16-120",
        }
    }

    /// Number of classes.
    pub const fn classes(self) -> usize {
        match self {
            Self::Cifar10 => 10,
            Self::Cifar100 => 100,
            Self::ImageNet16 => 120,
        }
    }

    /// Height and width of the images.
    pub const fn side(self) -> usize {
        match self {
            Self::Cifar10 | Self::Cifar100 => 32,
            Self::ImageNet16 => 16,
        }
    }
}

/// An accuracy that was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// `test_200ep`: test accuracy after 200 epochs, the mean of the published seeds. The final
    /// accuracy.
    Test200,
    /// `val_12ep`: validation accuracy after 12 epochs.
    Valid12,
    /// `test_12ep`: test accuracy after 12 epochs.
    Test12,
    /// `test_200ep_robot`: test accuracy after 200 epochs as RoBoT's authors published it, which
    /// differs from `test_200ep` in two rows of five, mostly by little.
    Test200Robot,
    /// NAS-RobBench-201: accuracy on clean images after adversarial training.
    RobBenchClean,
    /// Under FGSM of radius 3/255.
    RobBenchFgsm3,
    /// Under PGD of radius 3/255.
    RobBenchPgd3,
    /// Under FGSM of radius 8/255.
    RobBenchFgsm8,
    /// Under PGD of radius 8/255.
    RobBenchPgd8,
    /// Under AutoAttack of radius 8/255.
    RobBenchAutoAttack,
    /// Jung et al.: accuracy of a cell that was trained as usual, on clean images.
    JungClean,
    /// Under APGD-CE of radius 1/255.
    JungApgdCe,
    /// Under Square of radius 1/255.
    JungSquare,
    /// Under FGSM of radius 1/255.
    JungFgsm,
    /// Under PGD of radius 1/255.
    JungPgd,
    /// Under common corruptions.
    JungCorruptions,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Test200,
        Self::Valid12,
        Self::Test12,
        Self::Test200Robot,
        Self::RobBenchClean,
        Self::RobBenchFgsm3,
        Self::RobBenchPgd3,
        Self::RobBenchFgsm8,
        Self::RobBenchPgd8,
        Self::RobBenchAutoAttack,
        Self::JungClean,
        Self::JungApgdCe,
        Self::JungSquare,
        Self::JungFgsm,
        Self::JungPgd,
        Self::JungCorruptions,
    ];

    /// Who published it, as columns of [`ROBUST_FILE`] begin, and what its own name is; no publisher of columns of
    /// [`FILE`].
    const fn name(self) -> (Option<&'static str>, &'static str) {
        const ROBBENCH: Option<&str> = Some("robbench");
        const JUNG: Option<&str> = Some("jung");
        match self {
            Self::Test200 => (None, "test_200ep"),
            Self::Valid12 => (None, "val_12ep"),
            Self::Test12 => (None, "test_12ep"),
            Self::Test200Robot => (None, "test_200ep_robot"),
            Self::RobBenchClean => (ROBBENCH, "val_acc"),
            Self::RobBenchFgsm3 => (ROBBENCH, "val_fgsm_3_acc"),
            Self::RobBenchPgd3 => (ROBBENCH, "val_pgd_3_acc"),
            Self::RobBenchFgsm8 => (ROBBENCH, "val_fgsm_8_acc"),
            Self::RobBenchPgd8 => (ROBBENCH, "val_pgd_8_acc"),
            Self::RobBenchAutoAttack => (ROBBENCH, "autoattack"),
            Self::JungClean => (JUNG, "clean"),
            Self::JungApgdCe => (JUNG, "aa_apgd_ce"),
            Self::JungSquare => (JUNG, "aa_square"),
            Self::JungFgsm => (JUNG, "fgsm"),
            Self::JungPgd => (JUNG, "pgd"),
            Self::JungCorruptions => (JUNG, "corr"),
        }
    }
}

/// A column of accuracies, in percent. As text (`FromStr`, `Display`, serde) it is its name in the
/// file: `cifar10_test_200ep`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Column {
    /// On which data set.
    pub data: DataSet,
    pub measure: Measure,
}

impl Column {
    /// Whether it is a column of [`ROBUST_FILE`], and not of [`FILE`].
    pub fn is_robust(self) -> bool {
        self.measure.name().0.is_some()
    }

    /// All that a table may have.
    pub fn all() -> impl Iterator<Item = Self> {
        let of = |data| Measure::ALL.map(|measure| Self { data, measure });
        let all = DataSet::ALL.into_iter().flat_map(of);
        // Nobody measured it.
        all.filter(|column| {
            (column.data, column.measure) != (DataSet::ImageNet16, Measure::JungCorruptions)
        })
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let data = match self.data {
            DataSet::Cifar10 => "cifar10",
            DataSet::Cifar100 => "cifar100",
            DataSet::ImageNet16 => "imagenet16",
        };
        match self.measure.name() {
            (Some(publisher), measure) => write!(f, "{publisher}_{data}_{measure}"),
            (None, measure) => write!(f, "{data}_{measure}"),
        }
    }
}

/// A name that no column of accuracies has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no column of accuracies is called `{found}`{hint}; the columns are {known}; and of robust accuracies, such \
     as robbench_cifar10_autoattack and jung_cifar10_pgd"
)]
pub struct UnknownColumn {
    found: String,
    hint: String,
    known: String,
}

impl FromStr for Column {
    type Err = UnknownColumn;

    fn from_str(text: &str) -> Result<Self, UnknownColumn> {
        let found = Self::all().find(|column| column.to_string() == text);
        found.ok_or_else(|| {
            let (robust, usual): (Vec<Self>, Vec<Self>) = Self::all().partition(|c| c.is_robust());
            let names = usual.iter().chain(&robust).map(Self::to_string);
            let (usual, names): (usize, Vec<String>) = (usual.len(), names.collect());
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            UnknownColumn {
                found: text.to_owned(),
                hint: hint(text, &known),
                known: known[..usual].join(", "),
            }
        })
    }
}

by_text!(Column, UnknownColumn);

impl JsonSchema for Column {
    fn schema_name() -> Cow<'static, str> {
        "Column".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<String> = Self::all().map(|column| column.to_string()).collect();
        json_schema!({
            "description": "A column of accuracies, in percent, by its name in the table's file.",
            "type": "string",
            "enum": names,
        })
    }
}

/// The name of the column of seconds that 12 epochs on CIFAR-10 took (on the publishers' GPU).
pub const COST: &str = "cifar10_cost_12ep_s";

/// A cell's place among all cells by one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rank {
    /// One more than the number of cells that are better: 1 is the best.
    pub rank: usize,
    /// Number of cells with exactly this accuracy, this one included.
    pub tied: usize,
    /// Number of cells in the table.
    pub of: usize,
}

/// Accuracies of all cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    path: PathBuf,
    /// BLAKE3 of the file.
    hash: String,
    /// The columns that the file has, with a value for each cell by its index.
    columns: Vec<(Column, Vec<f64>)>,
    /// Seconds of 12 epochs on CIFAR-10, if the file has them.
    cost: Option<Vec<f64>>,
}

impl Table {
    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// BLAKE3 (hexadecimal) of the file.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The columns that the file has.
    pub fn columns(&self) -> impl Iterator<Item = Column> {
        self.columns.iter().map(|(column, _)| *column)
    }

    /// The accuracies of all cells in percent, by [`Cell::index`].
    pub fn values(&self, column: Column) -> Result<&[f64], TableError> {
        let found = self.columns.iter().find(|(c, _)| *c == column);
        match found {
            Some((_, values)) => Ok(values),
            None => Err(self.no_column(column.to_string())),
        }
    }

    fn no_column(&self, column: String) -> TableError {
        let mut found: Vec<String> = self.columns().map(|column| column.to_string()).collect();
        found.extend(self.cost.as_ref().map(|_| COST.to_owned()));
        TableError::NoColumn {
            path: self.path.clone(),
            column,
            found: found.join(", "),
        }
    }

    /// A cell's accuracy in percent; none of a cell with a bad op.
    pub fn accuracy(&self, cell: &Cell, column: Column) -> Result<f64, TableError> {
        let index = cell.index().ok_or(TableError::BadOp(Box::new(*cell)))?;
        Ok(self.values(column)?[index])
    }

    /// A cell's place among all.
    pub fn rank(&self, cell: &Cell, column: Column) -> Result<Rank, TableError> {
        let values = self.values(column)?;
        let own = self.accuracy(cell, column)?;
        Ok(Rank {
            rank: 1 + values.iter().filter(|v| **v > own).count(),
            tied: values.iter().filter(|v| **v == own).count(),
            of: values.len(),
        })
    }

    /// Seconds of 12 epochs on CIFAR-10 for all cells, by [`Cell::index`]: what a search spends for
    /// each cell that it trains so far.
    pub fn costs(&self) -> Result<&[f64], TableError> {
        self.cost
            .as_deref()
            .ok_or_else(|| self.no_column(COST.to_owned()))
    }

    /// A random one of the cells that `holds` accepts; `None` if there is none.
    pub fn random_of(
        &self,
        column: Column,
        holds: impl Fn(&Cell) -> bool,
    ) -> Result<Option<Baseline>, TableError> {
        let values = Cell::all().zip(self.values(column)?);
        let chosen = values.filter(|(cell, _)| holds(cell)).map(|(_, v)| *v);
        Ok(Baseline::of(&chosen.collect::<Vec<f64>>()))
    }

    /// What a random search finds that draws cells, takes the best of them by `select` and reports
    /// its `report`. Refused are no draws and, without replacement, more draws than cells.
    pub fn random_search(
        &self,
        select: Column,
        report: Column,
        draws: usize,
        kind: Draws,
    ) -> Result<Baseline, TableError> {
        let (select, report) = (self.values(select)?, self.values(report)?);
        best_of(select, report, draws, kind).ok_or(TableError::Draws {
            found: draws,
            highest: match kind {
                Draws::Distinct => Some(select.len()),
                Draws::Independent => None,
            },
        })
    }
}
