//! Rows of a CSV that a marker chooses, and a column of them.

use minijinja::value::{Kwargs, Object, Value, ValueKind};
use minijinja::{Error, ErrorKind};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A file of rows.
#[derive(Debug)]
struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// The files that were read, below the root of the repository.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    read: Mutex<BTreeMap<String, Arc<Table>>>,
}

/// Where a name without a folder is looked for.
const RESULTS: &str = "benches/results";
/// The column by which rows are paired, unless `by` names others.
const SEED: &str = "seed";

pub fn fault(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

impl Files {
    pub fn below(root: &Path) -> Self {
        let (root, read) = (root.to_owned(), Mutex::default());
        Self { root, read }
    }

    fn table(&self, name: &str) -> Result<Arc<Table>, Error> {
        let mut read = (self.read.lock()).map_err(|_| fault("another thread failed"))?;
        if let Some(table) = read.get(name) {
            return Ok(table.clone());
        }
        let below = match name.contains('/') {
            true => name.to_owned(),
            false => format!("{RESULTS}/{name}"),
        };
        let cannot = |e: csv::Error| fault(format!("cannot read {below}: {e}"));
        let mut reader = csv::Reader::from_path(self.root.join(&below)).map_err(cannot)?;
        let words = |row: &csv::StringRecord| row.iter().map(str::to_owned).collect();
        let header = words(reader.headers().map_err(cannot)?);
        let rows: Result<Vec<_>, _> = reader.records().map(|r| r.map(|r| words(&r))).collect();
        let rows = rows.map_err(cannot)?;
        let table = Arc::new(Table { header, rows });
        read.insert(name.to_owned(), table.clone());
        Ok(table)
    }

    /// The rows of a file that every filter lets through.
    pub fn rows(&self, name: &str, filters: &Kwargs) -> Result<Rows, Error> {
        let table = self.table(name)?;
        let column = |wanted: &str| {
            let at = table.header.iter().position(|h| h == wanted);
            let all = || table.header.join(", ");
            at.ok_or_else(|| fault(format!("{name} has no column `{wanted}`, but {}", all())))
        };
        let mut chosen: Vec<usize> = (0..table.rows.len()).collect();
        let mut by = vec![SEED.to_owned()];
        let mut told = Vec::new();
        for key in filters.args().map(str::to_owned).collect::<Vec<_>>() {
            let wanted: Value = filters.get(&key)?;
            if key == "by" {
                by = wanted.to_string().split(' ').map(str::to_owned).collect();
                continue;
            }
            let at = column(&key)?;
            chosen.retain(|&row| matches(&table.rows[row][at], &wanted));
            told.push(format!("{key}={wanted}"));
        }
        let told = told.join(", ");
        if chosen.is_empty() {
            return Err(fault(format!("{name} has no row with {told}")));
        }
        let paired = by.iter().any(|b| b != SEED) || column(SEED).is_ok();
        let by: Result<Vec<usize>, Error> = match paired {
            true => by.iter().map(|b| column(b)).collect(),
            false => Ok(Vec::new()),
        };
        let (name, by) = (format!("{name} ({told})"), by?);
        Ok(Rows {
            name,
            table,
            chosen,
            by,
        })
    }
}

/// Whether a field is what a filter wants: a number or word, one of a list, or `>`, `>=`, `<`, `<=`, `!=` and one.
fn matches(field: &str, wanted: &Value) -> bool {
    if wanted.kind() == ValueKind::Seq {
        let all = wanted.try_iter();
        return all.is_ok_and(|mut all| all.any(|one| matches(field, &one)));
    }
    let wanted = wanted.to_string();
    let compared = |rest: &str| {
        let rest = rest.trim();
        match (field.parse::<f64>(), rest.parse::<f64>()) {
            (Ok(a), Ok(b)) => a.partial_cmp(&b),
            _ => Some(field.to_lowercase().cmp(&rest.to_lowercase())),
        }
    };
    type Holds = fn(Ordering) -> bool;
    let ops: [(&str, Holds); 5] = [
        (">=", |o| o.is_ge()),
        ("<=", |o| o.is_le()),
        ("!=", |o| o.is_ne()),
        (">", |o| o.is_gt()),
        ("<", |o| o.is_lt()),
    ];
    for (op, holds) in ops {
        if let Some(rest) = wanted.strip_prefix(op) {
            return compared(rest).is_some_and(holds);
        }
    }
    compared(&wanted).is_some_and(|o| o.is_eq())
}

/// Rows of a file. `rows.COLUMN` is a column of them.
#[derive(Debug)]
pub struct Rows {
    name: String,
    table: Arc<Table>,
    chosen: Vec<usize>,
    by: Vec<usize>,
}

impl Object for Rows {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let wanted = key.as_str()?;
        let header = &self.table.header;
        let Some(at) = header.iter().position(|h| h == wanted) else {
            let all = header.join(", ");
            let message = format!("{} has no column `{wanted}`, but {all}", self.name);
            return Some(Value::from(fault(message)));
        };
        let item = |&row: &usize| {
            let fields = &self.table.rows[row];
            let key: Vec<&str> = self.by.iter().map(|b| fields[*b].as_str()).collect();
            (key.join(" "), fields[at].clone())
        };
        let items = self.chosen.iter().map(item);
        // A field without a value is of a row that has none.
        let items = items.filter(|(_, field)| !field.is_empty()).collect();
        let name = format!("{}.{wanted}", self.name);
        Some(Value::from_object(Column { name, items }))
    }
}

/// A column: keys, by which columns are paired, and fields.
#[derive(Debug)]
pub struct Column {
    pub name: String,
    pub items: Vec<(String, String)>,
}

impl Object for Column {}

impl Column {
    /// The fields as numbers; `true` is 1.
    pub fn numbers(&self) -> Result<Vec<f64>, Error> {
        let number = |(key, field): &(String, String)| match field.to_lowercase().as_str() {
            "true" => Ok(1.0),
            "false" => Ok(0.0),
            field => (field.parse())
                .map_err(|_| fault(format!("{}: {key} has `{field}`, no number", self.name))),
        };
        match self.items.is_empty() {
            true => Err(fault(format!("{} has no value", self.name))),
            false => self.items.iter().map(number).collect(),
        }
    }

    pub fn of(name: String, items: impl IntoIterator<Item = (String, f64)>) -> Self {
        // Rust writes a float with as many digits as read back to it.
        let items = items.into_iter().map(|(key, v)| (key, v.to_string()));
        let items = items.collect();
        Self { name, items }
    }

    /// Number by key, each key once.
    pub fn keyed(&self) -> Result<BTreeMap<String, f64>, Error> {
        let mut all = BTreeMap::new();
        for ((key, _), number) in self.items.iter().zip(self.numbers()?) {
            if all.insert(key.clone(), number).is_some() {
                let name = &self.name;
                return Err(fault(format!(
                    "{name} has more than one row of seed `{key}`: filter more, name columns in `by`, or use `totals`"
                )));
            }
        }
        Ok(all)
    }

    /// The pairs of equal keys, all of them.
    pub fn pairs(&self, other: &Self) -> Result<Vec<(String, f64, f64)>, Error> {
        let (a, b) = (self.keyed()?, other.keyed()?);
        if !a.keys().eq(b.keys()) {
            let (this, that) = (&self.name, &other.name);
            return Err(fault(format!("{this} and {that} have not the same seeds")));
        }
        Ok(a.into_iter()
            .zip(b)
            .map(|((key, a), (_, b))| (key, a, b))
            .collect())
    }
}
