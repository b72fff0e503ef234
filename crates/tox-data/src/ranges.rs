//! Ranges of keys. A range stands once, as an attribute of its field: `#[schemars(range(min = 1, max = 9))]`,
//! `extend("exclusiveMinimum" = 0.0)` for an end that is not in it, `length` and `inner` for lists. So it is a part
//! of the schema, and [`check`] holds values against that. What relates keys to each other stands beside it, by
//! hand, with [`OutOfRange::unless`].

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::Value as Schema;
use toml::Value;

/// A number out of its range, or a key that does not go with another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` = {found} is out of range: expected {expected}")]
pub struct OutOfRange {
    /// Dotted, below the table that was checked; empty for the table itself.
    pub key: String,
    pub found: String,
    pub expected: String,
}

impl OutOfRange {
    pub fn new(key: impl Into<String>, found: impl ToString, expected: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            found: found.to_string(),
            expected: expected.into(),
        }
    }

    /// For what no attribute can say: relations between keys.
    ///
    /// # Errors
    /// When it does not hold.
    pub fn unless(
        holds: bool,
        key: &str,
        found: impl ToString,
        expected: impl Into<String>,
    ) -> Result<(), Self> {
        match holds {
            true => Ok(()),
            false => Err(Self::new(key, found, expected)),
        }
    }

    /// The same of a key in the table `table`, or of the table itself if it has no key.
    pub fn below(mut self, table: &str) -> Self {
        self.key = match self.key.as_str() {
            "" => table.to_owned(),
            key => format!("{table}.{key}"),
        };
        self
    }
}

/// Whether every number of `config`, and the length of every list, is in the range that its schema has for it. NaN
/// and the infinities are in no range. Elements of lists have the key of their list.
///
/// # Errors
/// The first that is not, in the order of the schema.
pub fn check<T: JsonSchema + Serialize>(config: &T) -> Result<(), OutOfRange> {
    // TOML, as recipes: unlike JSON it has NaN.
    let value =
        Value::try_from(config).map_err(|e| OutOfRange::new("", e, "what a recipe can hold"))?;
    let root = SchemaGenerator::default().into_root_schema_for::<T>();
    let root = root.to_value();
    held(&value, &root, &root)
}

/// Holds a value against a schema, a part of `root`.
fn held(value: &Value, schema: &Schema, root: &Schema) -> Result<(), OutOfRange> {
    if is_other(value, schema) {
        return Ok(());
    }
    let (range, number, found) = match value {
        Value::Integer(n) => (Range::of_number(schema), *n as f64, n.to_string()),
        Value::Float(x) => {
            let range = Range::of_number(schema);
            let found = match range.single {
                true => (*x as f32).to_string(),
                false => shown(*x),
            };
            (range, *x, found)
        }
        Value::Array(items) => {
            let found = format!("{} of them", items.len());
            (Range::of_length(schema), items.len() as f64, found)
        }
        Value::String(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Table(_) => {
            (Range::default(), 0.0, String::new())
        }
    };
    OutOfRange::unless(range.holds(number), "", found, range.words())?;
    for schema in meant(schema, root) {
        held(value, schema, root)?;
    }
    match value {
        Value::Array(items) => {
            let each = schema.get("items").into_iter();
            let mut all = each.flat_map(|each| items.iter().map(move |item| (item, each)));
            all.try_for_each(|(item, each)| held(item, each, root))
        }
        Value::Table(table) => properties(schema).try_for_each(|(name, schema)| {
            let found = table.get(name).map(|value| held(value, schema, root));
            found.unwrap_or(Ok(())).map_err(|e| e.below(name))
        }),
        Value::Integer(_)
        | Value::Float(_)
        | Value::String(_)
        | Value::Boolean(_)
        | Value::Datetime(_) => Ok(()),
    }
}

/// Whether the schema is of another variant of an enum: its tag differs.
fn is_other(value: &Value, schema: &Schema) -> bool {
    let Value::Table(table) = value else {
        return false;
    };
    properties(schema).any(|(name, schema)| {
        let tag = schema.get("const");
        tag.is_some_and(|tag| table.get(name).and_then(Value::as_str) != tag.as_str())
    })
}

fn properties(schema: &Schema) -> impl Iterator<Item = (&String, &Schema)> {
    let properties = schema.get("properties").and_then(Schema::as_object);
    properties.into_iter().flatten()
}

/// What stands for a schema: the definition that it names, and its alternatives.
fn meant<'a>(schema: &'a Schema, root: &'a Schema) -> impl Iterator<Item = &'a Schema> {
    let name = schema.get("$ref").and_then(Schema::as_str);
    let definition = name.and_then(|name| root.pointer(name.strip_prefix('#')?));
    let all = ["allOf", "anyOf", "oneOf"].into_iter();
    let all = all.filter_map(move |word| schema.get(word)?.as_array());
    definition.into_iter().chain(all.flatten())
}

/// The numbers between two ends, each of which may be open or absent.
#[derive(Clone, Copy, Default)]
struct Range {
    low: Option<End>,
    high: Option<End>,
    length: bool,
    /// Of 32-bit numbers, as which its ends are rounded too.
    single: bool,
}

#[derive(Clone, Copy)]
struct End {
    at: f64,
    open: bool,
}

impl Range {
    fn of_number(schema: &Schema) -> Self {
        let end = |closed: &str, open: &str| {
            let end = |key: &str, open| Some((schema.get(key)?.as_f64()?, open));
            let end = end(open, true).or_else(|| end(closed, false));
            end.map(|(at, open)| End { at, open })
        };
        Self {
            low: end("minimum", "exclusiveMinimum"),
            high: end("maximum", "exclusiveMaximum"),
            length: false,
            single: schema["format"] == "float",
        }
    }

    fn of_length(schema: &Schema) -> Self {
        let end = |key: &str| {
            let at = schema.get(key)?.as_f64()?;
            Some(End { at, open: false })
        };
        Self {
            low: end("minItems"),
            high: end("maxItems"),
            length: true,
            single: false,
        }
    }

    fn holds(self, number: f64) -> bool {
        let at = |end: End| match self.single {
            true => f64::from(end.at as f32),
            false => end.at,
        };
        let above = |low: End| at(low) < number || !low.open && at(low) == number;
        let below = |high: End| number < at(high) || !high.open && at(high) == number;
        let bounded = self.low.is_some() || self.high.is_some();
        !bounded || number.is_finite() && self.low.is_none_or(above) && self.high.is_none_or(below)
    }

    fn words(self) -> String {
        let words = match (self.low, self.high) {
            (None, None) => return String::new(),
            (Some(low), Some(high)) if !low.open && !high.open && low.at == high.at => {
                shown(low.at)
            }
            (Some(low), Some(high)) if !low.open && !high.open => {
                format!("{} to {}", shown(low.at), shown(high.at))
            }
            (low, high) => {
                let low = low.map(|end| (if end.open { "above" } else { "at least" }, end));
                let high = high.map(|end| (if end.open { "below" } else { "at most" }, end));
                let ends = low.into_iter().chain(high);
                let ends = ends.map(|(word, end)| format!("{word} {}", shown(end.at)));
                ends.collect::<Vec<_>>().join(", ")
            }
        };
        match self.length {
            true => format!("{words} of them"),
            false => words,
        }
    }
}

/// A number with as few characters as it takes.
fn shown(number: f64) -> String {
    let (plain, short) = (number.to_string(), format!("{number:e}"));
    match plain.len() > 6 && short.len() < plain.len() {
        true => short,
        false => plain,
    }
}

/// The range of a number, or of a list's length and of its numbers, in words: `2 to 65536`, `above 0, at most 1`,
/// `1 to 10 of them`. Empty where there is none but that of the type.
pub fn words(schema: &Schema) -> String {
    let format = schema.get("format").and_then(Schema::as_str).unwrap_or("");
    let number = Range::of_number(schema);
    let of_type = match (number.low, number.high) {
        (Some(low), None) => format.starts_with("uint") && !low.open && low.at == 0.0,
        (Some(low), Some(high)) => {
            let most = [("uint8", 255.0), ("uint16", 65_535.0)];
            low.at == 0.0 && most.contains(&(format, high.at))
        }
        (None, _) => false,
    };
    let number = if of_type {
        String::new()
    } else {
        number.words()
    };
    let each = schema.get("items").map(words).unwrap_or_default();
    let each = match each.as_str() {
        "" => each,
        each => format!("each {each}"),
    };
    let all = [number, Range::of_length(schema).words(), each];
    let all = all.into_iter().filter(|words| !words.is_empty());
    all.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Clone, Serialize, Deserialize, JsonSchema)]
    struct Keys {
        #[schemars(range(min = 2, max = 65_536))]
        batch: usize,
        #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
        share: f64,
        #[schemars(range(min = 1e-4, max = 0.5))]
        step: f32,
        #[schemars(range(min = 1.0))]
        clip: Option<f64>,
        #[schemars(length(max = 2), inner(range(min = 1, max = 9)))]
        hidden: Vec<usize>,
        #[schemars(inner(range(min = 0.0, max = 0.999_999)))]
        betas: [f64; 2],
        inner: Option<Inner>,
        ways: Vec<Way>,
        cost: Cost,
        free: f64,
    }

    #[derive(Clone, Serialize, Deserialize, JsonSchema)]
    struct Inner {
        #[schemars(range(min = 3))]
        steps: u64,
    }

    #[derive(Clone, Serialize, Deserialize, JsonSchema)]
    #[serde(tag = "kind", rename_all = "kebab-case")]
    enum Way {
        Straight {
            #[schemars(range(max = 5))]
            steps: u64,
        },
        Round(Inner),
    }

    #[derive(Clone, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum Cost {
        Macs(#[schemars(range(min = 1))] u64),
        Share(#[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))] f64),
    }

    fn keys() -> Keys {
        Keys {
            batch: 2,
            share: 1.0,
            step: 1e-4,
            clip: None,
            hidden: vec![9, 1],
            betas: [0.0, 0.999],
            inner: None,
            ways: vec![Way::Straight { steps: 5 }, Way::Round(Inner { steps: 6 })],
            cost: Cost::Macs(1),
            free: f64::NAN,
        }
    }

    #[test]
    fn the_ends_are_in_and_the_next_number_is_not() {
        assert_eq!(check(&keys()), Ok(()));
        type Change = fn(&mut Keys);
        let refused = |change: Change| {
            let mut keys = keys();
            change(&mut keys);
            check(&keys).unwrap_err().to_string()
        };
        let cases: [(Change, &str); 15] = [
            (
                |k| k.batch = 1,
                "`batch` = 1 is out of range: expected 2 to 65536",
            ),
            (|k| k.batch = 65_537, "`batch` = 65537"),
            (
                |k| k.share = 0.0,
                "`share` = 0 is out of range: expected above 0, at most 1",
            ),
            (|k| k.share = f64::NAN, "`share` = NaN"),
            (
                |k| k.step = 0.6,
                "`step` = 0.6 is out of range: expected 0.0001 to 0.5",
            ),
            (
                |k| k.clip = Some(0.5),
                "`clip` = 0.5 is out of range: expected at least 1",
            ),
            (|k| k.clip = Some(f64::INFINITY), "`clip` = inf"),
            (
                |k| k.hidden = vec![1; 3],
                "`hidden` = 3 of them is out of range: expected at most 2 of them",
            ),
            (
                |k| k.hidden = vec![1, 0],
                "`hidden` = 0 is out of range: expected 1 to 9",
            ),
            (
                |k| k.betas[1] = 1.0,
                "`betas` = 1 is out of range: expected 0 to 0.999999",
            ),
            (|k| k.inner = Some(Inner { steps: 2 }), "`inner.steps` = 2"),
            (
                |k| k.ways[0] = Way::Straight { steps: 6 },
                "`ways.steps` = 6",
            ),
            (
                |k| k.ways[1] = Way::Round(Inner { steps: 2 }),
                "`ways.steps` = 2",
            ),
            (|k| k.cost = Cost::Macs(0), "`cost.macs` = 0"),
            (|k| k.cost = Cost::Share(1.5), "`cost.share` = 1.5"),
        ];
        for (change, expected) in cases {
            let found = refused(change);
            assert!(found.starts_with(expected), "{found}\n{expected}");
        }
    }

    #[test]
    fn words_leave_out_what_the_type_says() {
        let root = schemars::schema_for!(Keys).to_value();
        let words = |key: &str| words(&root["properties"][key]);
        let expected = [
            ("hidden", "at most 2 of them, each 1 to 9"),
            ("share", "above 0, at most 1"),
            ("clip", "at least 1"),
            ("free", ""),
        ];
        for (key, expected) in expected {
            assert_eq!(words(key), expected);
        }
        assert_eq!(
            [1e6, 1e-12, 65_536.0, 0.999_999].map(shown),
            ["1e6", "1e-12", "65536", "0.999999"]
        );
    }
}
