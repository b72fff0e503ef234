//! Tables of keys, from the JSON schema of recipes.

use serde_json::Value;
use std::fmt::Write;
use tox_data::ranges;

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Dotted, below its table.
    pub key: String,
    pub kind: String,
    pub default: String,
    pub range: String,
    pub words: String,
}

/// The table of a learner, threat or defence; `None` if nothing of that kind is registered.
pub fn of_kind(schema: &Value, part: &str, kind: &str) -> Option<String> {
    let found = kinds(schema, part)?
        .into_iter()
        .find(|(name, _)| name == kind)?
        .1;
    Some(table(&rows(schema, found)))
}

/// The table of what a JSON pointer leads to.
pub fn of_pointer(schema: &Value, pointer: &str) -> Option<String> {
    Some(table(&rows(schema, schema.pointer(pointer)?)))
}

/// Every registered kind of `learner`, `threat` or `defence` with its schema.
pub fn kinds<'a>(schema: &'a Value, part: &str) -> Option<Vec<(String, &'a Value)>> {
    let place = schema.pointer("/properties")?.get(part)?;
    let mut found = Vec::new();
    collect(place, &mut found);
    Some(found)
}

/// Tables with a constant `kind`, wherever alternatives lead.
fn collect<'a>(place: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    let kind = place
        .pointer("/properties/kind/const")
        .and_then(Value::as_str);
    if let Some(kind) = kind.filter(|kind| *kind != "none") {
        if found.iter().all(|(name, _)| name != kind) {
            found.push((kind.to_owned(), place));
        }
        return;
    }
    for word in ["oneOf", "anyOf"] {
        let all = place.get(word).and_then(Value::as_array);
        all.into_iter()
            .flatten()
            .for_each(|place| collect(place, found));
    }
}

/// All keys of a table, those of tables in it too.
pub fn rows(root: &Value, table: &Value) -> Vec<Row> {
    let mut walk = Walk {
        root,
        rows: Vec::new(),
        above: Vec::new(),
    };
    walk.table(table, "", None);
    walk.rows.retain(|row| row.key != "kind");
    walk.rows
}

struct Walk<'a> {
    root: &'a Value,
    rows: Vec<Row>,
    /// Definitions that are being walked: one within itself is not walked again.
    above: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    /// The keys of a table; `defaults` are those that the table above has for it.
    fn table(&mut self, table: &'a Value, prefix: &str, defaults: Option<&Value>) {
        let table = self.resolved(table);
        let required: Vec<&str> = strings(table.get("required")).collect();
        let properties = table.get("properties").and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            let key = format!("{prefix}{name}");
            let default = defaults.and_then(|all| all.get(name));
            self.key(&key, schema, default, required.contains(&name.as_str()));
        }
        for alternative in alternatives(table) {
            let alternative = self.resolved(alternative);
            if alternative.get("properties").is_some() {
                self.table(alternative, prefix, defaults);
            }
        }
    }

    fn key(&mut self, key: &str, schema: &'a Value, default: Option<&Value>, required: bool) {
        let default = default.or_else(|| schema.get("default"));
        let plain = self.resolved(schema);
        let name = reference(schema);
        // An item of a list, or the table of an optional key.
        let item = plain.get("items").map(|items| (self.resolved(items), "[]"));
        let some = self.some(plain).map(|table| (table, ""));
        let whole = Some((plain, ""));
        let inner = [item, some, whole].into_iter().flatten();
        let inner = inner.into_iter().find(|(table, _)| is_table(table));
        let only_table = inner.is_some_and(|(table, _)| std::ptr::eq(table, plain))
            && plain.get("properties").is_some();
        if !only_table {
            self.rows.push(Row {
                key: key.to_owned(),
                kind: self.kind(plain),
                default: match default {
                    Some(Value::Null) | None if required => "required".to_owned(),
                    Some(Value::Null) | None => String::new(),
                    Some(value) => format!("`{}`", toml(value)),
                },
                range: ranges::words(plain),
                words: self.words(schema, plain),
            });
        }
        let Some((table, suffix)) = inner else { return };
        let names = name
            .into_iter()
            .chain(plain.get("items").and_then(reference));
        let names: Vec<&str> = names.chain(self.some_name(plain)).collect();
        if names.iter().any(|name| self.above.contains(name)) {
            return;
        }
        let before = self.above.len();
        self.above.extend(names);
        let below = default.filter(|value| value.is_object());
        self.table(table, &format!("{key}{suffix}."), below);
        self.above.truncate(before);
    }

    /// What a `$ref` leads to.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let definition = reference(schema);
        let found = definition.and_then(|name| self.root.pointer("/$defs")?.get(name));
        found.unwrap_or(schema)
    }

    /// The one alternative beside `null`.
    fn some(&self, schema: &'a Value) -> Option<&'a Value> {
        Some(self.resolved(only_other(schema)?))
    }

    fn some_name(&self, schema: &'a Value) -> Option<&'a str> {
        reference(only_other(schema)?)
    }

    /// What may stand there, for people.
    fn kind(&self, schema: &'a Value) -> String {
        if let Some(value) = schema.get("const") {
            return format!("`{}`", toml(value));
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            let values = values.iter().map(|value| format!("`{}`", toml(value)));
            return values.collect::<Vec<_>>().join(", ");
        }
        let all = alternatives(schema);
        if !all.is_empty() {
            let mut kinds: Vec<String> = Vec::new();
            for kind in all.iter().map(|one| self.kind(self.resolved(one))) {
                if kind != NULL && !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            return kinds.join(", ");
        }
        let types = match schema.get("type") {
            Some(Value::String(one)) => vec![one.as_str()],
            several => strings(several).collect(),
        };
        let items = || match schema.get("items") {
            Some(items) => format!("list of {}", self.kind(self.resolved(items))),
            None => "list".to_owned(),
        };
        let kinds = types
            .iter()
            .filter(|kind| types.len() == 1 || **kind != NULL);
        let kinds: Vec<String> = kinds
            .map(|kind| match *kind {
                "integer" => "whole number".to_owned(),
                "number" => "number".to_owned(),
                "string" => "text".to_owned(),
                "boolean" => "`true`, `false`".to_owned(),
                "object" => "table".to_owned(),
                "array" => items(),
                other => other.to_owned(),
            })
            .collect();
        kinds.join(" or ")
    }

    /// What a key means, and what each of its words does.
    fn words(&self, schema: &'a Value, plain: &'a Value) -> String {
        let of = |schema: &Value| {
            let words = schema.get("description").and_then(Value::as_str);
            words.map(|words| words.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        let mut words = of(schema).or_else(|| of(plain)).unwrap_or_default();
        let choices = self.some(plain).unwrap_or(plain);
        for choice in alternatives(choices) {
            let choice = self.resolved(choice);
            let name = choice.get("const").and_then(Value::as_str);
            if let (Some(name), Some(means)) = (name, of(choice)) {
                let _ = write!(words, " `{name}`: {means}");
            }
        }
        words
    }
}

const NULL: &str = "null";

fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}

fn alternatives(schema: &Value) -> Vec<&Value> {
    let of = |word| schema.get(word).and_then(Value::as_array);
    let all = ["oneOf", "anyOf"].into_iter().filter_map(of);
    all.flatten().collect()
}

fn only_other(schema: &Value) -> Option<&Value> {
    let all = alternatives(schema);
    let null = |schema: &&&Value| schema.get("type").and_then(Value::as_str) == Some(NULL);
    let mut others = all.iter().filter(|schema| !null(schema));
    let first = others.next()?;
    (all.len() == 2 && others.next().is_none()).then_some(first)
}

fn is_table(schema: &Value) -> bool {
    let tables = |schema: &Value| schema.get("properties").is_some();
    tables(schema) || alternatives(schema).into_iter().any(tables)
}

fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = list.and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}

/// As a recipe writes it.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let entries = map.iter().filter(|(_, value)| !value.is_null());
            let entries = entries.map(|(key, value)| format!("{key} = {}", toml(value)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "It has no keys.\n".to_owned();
    }
    let mut out =
        String::from("| key | value | default | range | meaning |\n|---|---|---|---|---|\n");
    for row in rows {
        let cells = [&row.kind, &row.default, &row.range, &row.words];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        let [kind, default, range, words] = cells;
        let _ = writeln!(
            out,
            "| `{}` | {kind} | {default} | {range} | {words} |",
            row.key
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_words_and_ranges_are_told() {
        let schema = json!({
            "properties": { "learner": { "oneOf": [{
                "properties": {
                    "kind": { "const": "x" },
                    "child": { "$ref": "#/$defs/Child", "default": { "epochs": 5 } },
                    "stages": { "type": "array", "items": { "$ref": "#/$defs/Child" } },
                    "policy": { "$ref": "#/$defs/Policy", "default": "torch" },
                    "name": { "type": ["string", "null"], "description": "A\nname." },
                },
                "required": ["kind", "stages"],
            }]}},
            "$defs": {
                "Child": { "type": "object", "properties": { "epochs": {
                    "type": "integer", "format": "uint", "minimum": 1, "maximum": 9,
                }}},
                "Policy": { "description": "What then.", "oneOf": [
                    { "const": "torch", "description": "As it is." }, { "const": "guarded" },
                ]},
            },
        });
        let learner = kinds(&schema, "learner").unwrap()[0].1;
        let rows = rows(&schema, learner);
        let row = |key: &str| rows.iter().find(|row| row.key == key).unwrap();
        assert_eq!(rows.len(), 5, "{rows:#?}");
        assert_eq!(
            (
                row("child.epochs").default.as_str(),
                row("child.epochs").range.as_str()
            ),
            ("`5`", "1 to 9")
        );
        assert_eq!(row("stages").kind, "list of table");
        assert_eq!(row("stages").default, "required");
        assert_eq!(row("stages[].epochs").kind, "whole number");
        assert_eq!(row("policy").kind, "`\"torch\"`, `\"guarded\"`");
        assert_eq!(row("policy").words, "What then. `torch`: As it is.");
        assert_eq!(
            (row("name").kind.as_str(), row("name").words.as_str()),
            ("text", "A name.")
        );
    }
}
