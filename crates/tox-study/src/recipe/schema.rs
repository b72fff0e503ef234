//! The JSON schema of recipes, put together from what is registered.

use super::written::Recipe;
use crate::house::House;
use crate::spec::Surface;
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};
use tox_data::spec::DataSpec;

/// The JSON schema of a recipe, as published in `recipes/schema.json`.
pub fn schema(house: &House) -> String {
    let mut generator = SchemaSettings::default().into_generator();
    let generated = &mut generator;
    let learner = [true, false].map(|required| {
        let kinds = house.learners.iter();
        let kinds = kinds.map(|l| (l.kind(), l.schema(generated))).collect();
        one_of("learner", kinds, required)
    });
    let threat = [true, false].map(|required| threats(house, generated, required));
    let defence = defences(house, generated);
    let mut data = DataSpec::json_schema(generated);
    data.remove("required");
    data.insert(
        "description".into(),
        "Keys of [data] that differ in this cell.".into(),
    );
    let mut root = generator.into_root_schema_for::<Recipe>();
    let mut put = |pointer: &str, key: &str, schema: &Value| {
        let place = root.pointer_mut(pointer).and_then(Value::as_object_mut);
        if let Some(place) = place {
            let words = place
                .get(key)
                .and_then(|old| old.get("description"))
                .cloned();
            let mut schema = schema.clone();
            if let (Some(words), Some(new)) = (words, schema.as_object_mut()) {
                new.insert("description".into(), words);
            }
            place.insert(key.to_owned(), schema);
        }
    };
    put("/properties", "learner", &learner[0]);
    put("/properties", "threat", &threat[0]);
    put("/properties", "defence", &defence);
    let cell = "/$defs/Cell/properties";
    put(cell, "learner", &learner[1]);
    put(cell, "threat", &threat[1]);
    put(cell, "defence", &defence);
    put(cell, "data", data.as_value());
    // Serialising plain JSON into a string has no way to fail.
    serde_json::to_string_pretty(&root).unwrap_or_default() + "\n"
}

/// One schema for each kind. In a cell, which only says what differs, `kind` may be left out.
fn one_of(what: &str, kinds: Vec<(&'static str, Schema)>, required: bool) -> Value {
    let schemas = kinds.into_iter().map(|(kind, mut schema)| {
        let properties = schema.ensure_object().entry("properties");
        if let Some(keys) = properties.or_insert_with(|| json!({})).as_object_mut() {
            let word = format!("The {what}.");
            keys.insert("kind".into(), json!({"const": kind, "description": word}));
        }
        if required {
            schema.insert("required".into(), json!(["kind"]));
        }
        schema.to_value()
    });
    let schemas: Vec<Value> = schemas.collect();
    // Without its `kind`, a cell's table may fit several.
    let word = if required { "oneOf" } else { "anyOf" };
    json!({ word: schemas })
}

/// A threat, or one for each surface.
fn threats(house: &House, generator: &mut SchemaGenerator, required: bool) -> Value {
    let mut of = |surface: Option<Surface>| {
        let fits = |t: &&&dyn crate::house::Threat| surface.is_none_or(|s| t.surface() == s);
        let threats = house.threats.iter().filter(fits);
        let mut kinds: Vec<_> = threats.map(|t| (t.kind(), t.schema(generator))).collect();
        kinds.push((
            "none",
            schemars::json_schema!({"additionalProperties": false}),
        ));
        one_of("threat", kinds, required)
    };
    let surfaces = Surface::ALL.map(|s| (s.key().to_owned(), of(Some(s))));
    let surfaces = serde_json::Map::from_iter(surfaces);
    json!({ "anyOf": [
        of(None),
        { "type": "object", "additionalProperties": false, "properties": surfaces },
    ]})
}

fn defences(house: &House, generator: &mut SchemaGenerator) -> Value {
    let all = house.defences.iter();
    let kinds: Vec<_> = all.map(|d| (d.kind(), d.schema(generator))).collect();
    let by_kind = kinds
        .iter()
        .map(|(kind, s)| ((*kind).to_owned(), s.clone().to_value()));
    let by_kind = serde_json::Map::from_iter(by_kind);
    let names = kinds.iter().map(|(kind, _)| *kind).chain(["none"]);
    let words = json!({ "enum": names.collect::<Vec<_>>() });
    let table = one_of("defence", kinds, true);
    json!({ "anyOf": [
        words,
        table,
        { "type": "object", "additionalProperties": false, "properties": by_kind },
        { "type": "array", "items": { "anyOf": [words, table] } },
    ]})
}
