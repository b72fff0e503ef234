//! Which search, over which space, and how its result is judged.

use super::numbers::{self, Refused, Unread};
use super::{Direction, SEARCHES, Search, SearchKind};
use crate::final_training::{FinalConfig, Protocol};
use crate::genes::{Architecture, GeneSpace};
use crate::space::cells::CellSpace;
use crate::space::elastic::ElasticSpace;
use crate::space::nasbench201::CELLS;
use crate::space::{BadOps, PoisonedSpace};
use crate::table::{Column, DataSet, Measure};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use tox_data::ranges::{self, OutOfRange};
use tox_data::spec::DataSpec;

/// A space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NasSpace {
    /// The cells of DARTS.
    Darts,
    /// The cells of NAS-Bench-201.
    NasBench201,
    /// The MobileNetV3-like networks that NSGANetV2 was made for; no other search runs on it.
    Elastic,
}

impl NasSpace {
    /// The cell space, if it is one.
    pub fn cells(self) -> Option<CellSpace> {
        match self {
            Self::Darts => Some(CellSpace::Darts),
            Self::NasBench201 => Some(CellSpace::NasBench201),
            Self::Elastic => None,
        }
    }

    /// Its name in papers.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Darts => "DARTS cells",
            Self::NasBench201 => "NAS-Bench-201",
            Self::Elastic => "elastic MobileNetV3",
        }
    }
}

/// Weights of a supernet that was trained elsewhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SupernetFile {
    /// The safetensors file, with the names of Once-for-All's code.
    pub path: String,
    /// Its BLAKE3 hash; a recipe's reader fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Classes of its classifier, if they are not the data's; a new one takes its place then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
}

/// How the found architecture is judged, always on clean data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Evaluate {
    /// Its final accuracy is looked up in the table of NAS-Bench-201.
    NasBench201,
    /// It is trained from new weights, see [`crate::final_training`].
    Train,
    /// It is not.
    None,
}

/// On which rows the result is trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrainOn {
    /// The clean ones, as the study of Coalson et al. does: what a poison takes is taken from the search alone.
    #[default]
    Clean,
    /// Those that the search got, with their poison and what defences left of it.
    Searched,
}

impl TrainOn {
    pub fn is_clean(&self) -> bool {
        *self == Self::Clean
    }
}

/// How many edges of a found architecture hold a bad op.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadEdges {
    /// Edges that hold one.
    pub bad: usize,
    /// All edges: 16 of the DARTS space, 6 of NAS-Bench-201.
    pub edges: usize,
    /// The share that a random architecture has on average, 0 to 1.
    pub chance: f64,
}

/// A search and all its numbers. Of the tables of searches only the one that `search` names is used;
/// a study's cells may name different ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct NasKeys {
    /// The search.
    pub search: SearchKind,
    /// Which way it goes.
    #[serde(default, skip_serializing_if = "Direction::is_search")]
    pub direction: Direction,
    /// The space.
    #[serde(default = "nasbench201")]
    pub space: NasSpace,
    /// Bad ops on every edge of a cell space, see [`crate::space::bad`]: a poisoned search space, whole or
    /// as a screen has left it. No part of a recipe, which names a poison set instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    pub bad_ops: Vec<BadOps>,
    /// Widths and resolutions of the space `elastic`; default: those for images of 32x32, width 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elastic: Option<ElasticSpace>,
    /// The tables of searches, each under its name.
    #[serde(flatten)]
    #[schemars(skip)]
    pub tables: Map<String, Value>,
    /// Weights that NSGANetV2's supernet has from a file; without it is trained on the data of the
    /// search, poison and all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supernet: Option<SupernetFile>,
    /// How its result is judged.
    #[serde(default = "looked_up")]
    pub evaluate: Evaluate,
    /// The column of the table that is the final accuracy.
    #[serde(default = "final_accuracy")]
    pub column: Column,
    /// BLAKE3 of the table's file; a study fills it in when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_hash: Option<String>,
    /// Columns of robust accuracies of the cell that was found, looked up in a second table, such as
    /// `robbench_cifar10_autoattack`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub robustness: Vec<Column>,
    /// BLAKE3 of the second table's file; a study fills it in when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub robustness_hash: Option<String>,
    /// The final training, where `evaluate` is `train`, and of a cell with a bad op, which no table has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<FinalConfig>,
    /// The data of the final training where a search on other data is to be judged by them; default:
    /// those of the search, clean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<DataSpec>,
    /// On which rows the result is trained, where `evaluate` is `train`; it is tested on clean ones.
    #[serde(default, skip_serializing_if = "TrainOn::is_clean")]
    pub train_on: TrainOn,
    /// Architectures that the random search in the report evaluates; default: as many as
    /// the search evaluated, each however briefly, at least one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = CELLS))]
    pub random_draws: Option<usize>,
}

fn nasbench201() -> NasSpace {
    NasSpace::NasBench201
}

fn looked_up() -> Evaluate {
    Evaluate::NasBench201
}

fn final_accuracy() -> Column {
    Column {
        data: DataSet::Cifar10,
        measure: Measure::Test200,
    }
}

/// The keys of [`NasKeys`] beside the tables of searches.
const OTHERS: [&str; 15] = [
    "search",
    "direction",
    "space",
    "bad_ops",
    "elastic",
    "supernet",
    "evaluate",
    "column",
    "table_hash",
    "robustness",
    "robustness_hash",
    "train",
    "target",
    "train_on",
    "random_draws",
];

/// A config as it is written, its tables with their defaults; perhaps of several searches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "NasKeys")]
pub struct Written(pub NasKeys);

impl TryFrom<NasKeys> for Written {
    type Error = String;

    fn try_from(mut keys: NasKeys) -> Result<Self, String> {
        keys.tables.retain(|_, table| !table.is_null());
        let own = keys.tables.entry(keys.search.kind());
        own.or_insert_with(|| Value::Object(Map::new()));
        for (key, table) in &mut keys.tables {
            let Some(search) = SearchKind::named(key) else {
                let all = OTHERS.into_iter().chain(SEARCHES.iter().map(|s| s.kind()));
                let all: Vec<String> = all.map(|key| format!("`{key}`")).collect();
                let all = all.join(", ");
                return Err(format!("unknown field `{key}`, expected one of {all}"));
            };
            let read: Result<Value, Unread> = search.facts().types.read(table.take());
            *table = read.map_err(|e| e.to_string())?;
        }
        Ok(Self(keys))
    }
}

impl Written {
    /// The schema of [`NasKeys`] with the tables of all searches.
    pub fn schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = NasKeys::json_schema(generator);
        let tables: Vec<(String, Value)> = SEARCHES
            .iter()
            .map(|search| {
                let mut table = search.facts().types.schema(generator);
                table.insert("description".into(), search.facts().about.into());
                (search.kind().to_owned(), table.to_value())
            })
            .collect();
        if let Some(Value::Object(keys)) = schema.get_mut("properties") {
            keys.extend(tables);
        }
        schema
    }

    /// With what the files that its tables name hold, see [`super::Numbers::with_files`].
    ///
    /// # Errors
    /// A file that cannot be used.
    pub fn with_files(mut self, folder: &Path) -> Result<Self, Refused> {
        for (kind, table) in &mut self.0.tables {
            if let Some(search) = SearchKind::named(kind) {
                let read = search.facts().types.with_files(table.take(), folder);
                *table = read.map_err(|e| Refused {
                    key: format!("{kind}.{}", e.key),
                    ..e
                })?;
            }
        }
        Ok(self)
    }

    /// As it runs in a cell space with these bad ops, whose cells with one are in no table.
    pub fn poisoned(mut self, bad_ops: Vec<BadOps>) -> NasConfig {
        self.0.bad_ops = bad_ops;
        self.resolved()
    }

    /// As it runs.
    pub fn resolved(self) -> NasConfig {
        let mut keys = self.0;
        let (search, space) = (keys.search, keys.space);
        let table = keys.tables.shift_remove(search.kind()).unwrap_or_default();
        let table = search.facts().types.in_space(table, space);
        keys.tables = Map::from_iter([(search.kind().to_owned(), table)]);
        keys.supernet = keys.supernet.filter(|_| search.facts().takes_supernet);
        keys.elastic = (space == NasSpace::Elastic).then(|| keys.elastic_space());
        let looked_up = keys.evaluate == Evaluate::NasBench201;
        keys.table_hash = keys.table_hash.filter(|_| looked_up);
        let robust = looked_up && !keys.robustness.is_empty();
        keys.robustness_hash = keys.robustness_hash.filter(|_| robust);
        NasConfig(keys).training()
    }
}

/// A config as it runs: only what has an effect, defaults written out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct NasConfig(NasKeys);

impl From<Written> for NasConfig {
    fn from(written: Written) -> Self {
        written.resolved()
    }
}

impl NasConfig {
    /// A search with the published numbers.
    pub fn of(search: &'static dyn Search, space: NasSpace) -> Self {
        let keys = NasKeys {
            search: SearchKind(search),
            direction: Direction::Search,
            space,
            bad_ops: Vec::new(),
            elastic: None,
            tables: Map::new(),
            supernet: None,
            evaluate: looked_up(),
            column: final_accuracy(),
            table_hash: None,
            robustness: Vec::new(),
            robustness_hash: None,
            train: None,
            target: None,
            train_on: TrainOn::Clean,
            random_draws: None,
        };
        Written(keys).resolved()
    }

    /// The same search over a space with these bad ops.
    pub fn with_bad_ops(&self, bad_ops: Vec<BadOps>) -> Self {
        let mut config = self.clone();
        config.bad_ops = bad_ops;
        config.training()
    }

    /// With the numbers of a final training if there may be one.
    fn training(mut self) -> Self {
        let trains = self.may_train();
        self.train = trains.then(|| self.train.clone().unwrap_or_default());
        self.target = self.target.take().filter(|_| trains);
        self
    }

    /// The numbers of the search.
    pub fn numbers<T: DeserializeOwned>(&self) -> Result<T, OutOfRange> {
        let kind = self.search.kind();
        let numbers = numbers::read(self.tables.get(kind).unwrap_or(&Value::Null));
        numbers.map_err(|e| e.below(kind))
    }
}

impl Deref for NasConfig {
    type Target = NasKeys;

    fn deref(&self) -> &NasKeys {
        &self.0
    }
}

impl DerefMut for NasConfig {
    fn deref_mut(&mut self) -> &mut NasKeys {
        &mut self.0
    }
}

impl NasKeys {
    /// The cell space with its bad ops, if it is one.
    pub fn cells(&self) -> Option<PoisonedSpace> {
        let bad = self.bad_ops.clone();
        self.space.cells().map(|space| PoisonedSpace { space, bad })
    }

    /// Whether the result may be judged by a final training: known before the search.
    pub fn may_train(&self) -> bool {
        match self.evaluate {
            Evaluate::Train => true,
            Evaluate::NasBench201 => !self.bad_ops.is_empty(),
            Evaluate::None => false,
        }
    }

    /// How this result is judged: as `evaluate` says, but that a cell with a bad op, which no table has,
    /// is trained in place of being looked up.
    pub fn judges(&self, found: &Architecture) -> Evaluate {
        let bad = found.bad_edges().is_some_and(|[bad, _]| bad > 0);
        match self.evaluate {
            Evaluate::NasBench201 if bad => Evaluate::Train,
            evaluate => evaluate,
        }
    }

    /// The bad edges of this result, and what chance would make them.
    pub fn bad_edges(&self, found: &Architecture) -> Option<BadEdges> {
        let [bad, edges] = found.bad_edges()?;
        let chance = self.genes().chance();
        Some(BadEdges { bad, edges, chance })
    }

    /// The space with its integer encoding.
    pub fn genes(&self) -> GeneSpace {
        match self.cells() {
            Some(cells) => GeneSpace::Cell(cells),
            None => GeneSpace::Elastic(self.elastic_space()),
        }
    }

    fn elastic_space(&self) -> ElasticSpace {
        let space = self.elastic.clone();
        space.unwrap_or_else(|| ElasticSpace::small(1.0))
    }

    /// Checks every range of all searches that it has numbers of.
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let space = self.space;
        let looked_up = self.evaluate == Evaluate::NasBench201;
        let holds = !looked_up || space == NasSpace::NasBench201;
        let expected = "\"train\" or \"none\", since the table has cells of NAS-Bench-201 alone";
        OutOfRange::unless(holds, "evaluate", "\"nasbench201\"", expected)?;
        let expected =
            "a column of accuracies; robust ones are looked up beside it: robustness = [...]";
        OutOfRange::unless(!self.column.is_robust(), "column", self.column, expected)?;
        if let Some(column) = self.robustness.iter().find(|column| !column.is_robust()) {
            let expected = "columns of robust accuracies, such as \"robbench_cifar10_autoattack\"";
            return Err(OutOfRange::new("robustness", column, expected));
        }
        let holds = self.robustness.is_empty() || looked_up;
        let expected =
            "none, or evaluate = \"nasbench201\": the table has cells as they were trained for it";
        OutOfRange::unless(holds, "robustness", "columns", expected)?;
        if !self.train_on.is_clean() {
            let trains = self.evaluate == Evaluate::Train && self.target.is_none();
            let expected = "\"clean\", or evaluate = \"train\" without `target`: else nothing is trained on the \
                            rows of the search";
            OutOfRange::unless(trains, "train_on", "\"searched\"", expected)?;
        }
        if let Some(space) = &self.elastic {
            space.check().map_err(|e| e.below("elastic"))?;
        }
        let holds = self.bad_ops.is_empty() || space.cells().is_some();
        let expected = "a cell space: a layer of the elastic space has no choice of an op, only of the \
                        size of its convolution, and the one kernel of a supernet's layer holds all sizes";
        OutOfRange::unless(holds, "bad_ops", "bad ops", expected)?;
        if !self.search.runs_in(space) {
            let able = SEARCHES.iter().filter(|search| search.runs_in(space));
            let able: Vec<String> = able.map(|s| format!("\"{}\"", s.kind())).collect();
            let expected = format!("{} in the space \"elastic\"", able.join(" or "));
            let found = format!("\"{}\"", self.search.kind());
            return Err(OutOfRange::new("search", found, expected));
        }
        let holds = self.direction.is_search() || self.search.facts().searches();
        let expected =
            "\"search\": an architecture that is random or given has no objective to turn round";
        OutOfRange::unless(holds, "direction", "\"anti-search\"", expected)?;
        if let Some(Err(e)) = self.cells().map(|space| space.check()) {
            let found = format!("{:?}", self.bad_ops);
            return Err(OutOfRange::new("bad_ops", found, e.to_string()));
        }
        let holds = self.supernet.is_none() || space.cells().is_none();
        let expected = "space = \"elastic\", whose supernets are exchanged";
        OutOfRange::unless(holds, "supernet", "a file", expected)?;
        for search in SEARCHES {
            let kind = search.kind();
            // Other cells of a study may be of other spaces.
            let concerned =
                search.runs_in(space) && (space.cells().is_some() || kind == self.search.kind());
            if let Some(table) = self.tables.get(kind).filter(|_| concerned) {
                let checked = search.facts().types.check(table, space);
                checked.map_err(|e| e.below(kind))?;
            }
        }
        if let Some(config) = &self.train {
            let protocol = space.cells().map_or(Protocol::Elastic, Protocol::from);
            config.check(protocol).map_err(|e| e.below("train"))?;
        }
        Ok(())
    }
}
