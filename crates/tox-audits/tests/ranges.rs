//! Attributes and checks agree: every number of every learner, threat and defence, of the data and the judge is refused just
//! outside of the range that its schema says, under its dotted key, and taken at the ends.

#![allow(clippy::unwrap_used)]

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use tox_audits::HOUSE;
use tox_data::ranges::words;
use tox_study::recipe::{Overrides, Study, schema};

/// Numbers without a range, by the end of their key, and why no bound makes sense.
const FREE: &[(&str, &str)] = &[
    (
        "bilevel.kuncheva",
        "below the number of features, which the data say",
    ),
    (
        "bayes.climbs",
        "none is a number of climbs, and many only take time",
    ),
    (
        "attack.targets",
        "0 is the untargeted loss, and more than there are means all",
    ),
    ("apgd_dlr.targets", "the same"),
    ("supernet.classes", "as many as the file has"),
    ("bad-ops.q", "the largest depends on the set"),
    ("classes", "those of the data"),
    (
        "normalise.mean",
        "of the pixels that a network was trained on",
    ),
    (
        "normalise.std",
        "the same; that of no channel is 0, which is seen with them",
    ),
    ("valid", "whether there must be any is the learner's to say"),
    ("gc.victim_seed", "any seed is one"),
    (
        "augment.crop",
        "none is 0; more than the images have is seen when they are read",
    ),
    ("augment.cutout", "the same"),
    (
        "rc-nas.meta.trainings",
        "seeds of the table, which says which it has",
    ),
];

/// Ends that other keys forbid: the end of the key, the end of the range, the other keys.
const RELATED: &[(&str, f64, &str)] = &[
    ("bilevel.lambda.max", -30.0, "above `min`"),
    ("bilevel.lambda.min", 30.0, "below `max`"),
    ("bilevel.lambda.start", -30.0, "from `min` on"),
    ("bilevel.lambda.start", 30.0, "up to `max`"),
    ("synthetic.lambda_max", -30.0, "above `lambda_min`"),
    ("synthetic.lambda_min", 30.0, "below `lambda_max`"),
    ("enas.child.lr_max", 1e-12, "from `lr_min` on"),
    ("random.train.lr_max", 1e-12, "from `lr_min` on"),
    ("robot.train.lr_max", 1e-12, "from `lr_min` on"),
    ("gc.cancelling.radius", 0.0, "the threat's own counts"),
    ("gc.cancelling.radius", 1e6, "the threat's own counts"),
    ("nsganetv2.initial", 1.0, "4 where there are rounds"),
    ("p-darts.epochs", 1.0, "from `frozen_epochs` on"),
    ("p-darts.frozen_epochs", 1e5, "up to `epochs`"),
    ("p-darts.max_skips", 14.0, "edges of the space"),
    (
        "p-darts.stages.ops",
        2.0,
        "all of the space in the first stage",
    ),
    ("p-darts.stages.ops", 8.0, "all of the space"),
    ("random.draws", 1e5, "cells of NAS-Bench-201"),
    ("nas.train.auxiliary_weight", 1e3, "of the DARTS space"),
    ("nas.train.drop_path", 0.99, "of the DARTS space"),
    ("nas.train.dropout", 0.99, "of the elastic space"),
    ("optimal-poison.lambda", -30.0, "of the victim `large`"),
    ("optimal-poison.lambda", 30.0, "of the victim `large`"),
    ("search.evaluations", 1.0, "from `fine_tune.steps` on"),
    ("fine_tune.steps", 1e6, "up to `evaluations`"),
    ("evolution.population", 2.0, "from `tournament` on"),
    ("evolution.tournament", 1e5, "up to `population`"),
];

/// A number of a part, or the length of a list.
struct Leaf {
    key: String,
    /// The value that holds it, with [`HOLE`] in its place.
    value: Value,
    schema: Value,
    length: bool,
}

const HOLE: &str = "@";

/// The definition that a schema names.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let name = schema["$ref"].as_str();
    name.map_or(schema, |name| root.pointer(&name[1..]).unwrap())
}

fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    let all = ["oneOf", "anyOf"].into_iter();
    all.filter_map(|word| schema[word].as_array()).flatten()
}

fn is(schema: &Value, kind: &str) -> bool {
    let among = |all: &Vec<Value>| all.iter().any(|one| one == kind);
    schema["type"] == kind || schema["type"].as_array().is_some_and(among)
}

/// Something that a required key may be.
fn sample(root: &Value, key: &str, schema: &Value) -> Value {
    let known = match key {
        "teacher" => json!("wrn-10-1"),
        "command" => json!(["true"]),
        "attack" => json!("pgd20"),
        "column" => json!("cifar10_test_200"),
        "dataset" => json!("cifar10"),
        "ops" => json!(5),
        "genotype" => json!(tox_audits::threats::gc::CELL),
        _ => Value::Null,
    };
    let schema = resolved(root, schema);
    let first = || schema["enum"].as_array().map(|all| all[0].clone());
    let told = [known, schema["const"].clone(), schema["default"].clone()];
    let told = told.into_iter().find(|value| !value.is_null());
    if let Some(value) = told.or_else(first) {
        return value;
    }
    if is(schema, "integer") || is(schema, "number") {
        let least = schema["minimum"].as_f64().filter(|least| *least > 0.0);
        let one = schema["maximum"].as_f64().map_or(1.0, |most| most.min(1.0));
        let number = least.unwrap_or(one);
        return match is(schema, "integer") {
            true => json!(number as u64),
            false => json!(number),
        };
    }
    if is(schema, "boolean") {
        return json!(false);
    }
    if is(schema, "array") {
        let items = schema["minItems"].as_u64().unwrap_or(0);
        return (0..items)
            .map(|_| sample(root, "", &schema["items"]))
            .collect();
    }
    if is(schema, "string") {
        return json!("text");
    }
    if schema["properties"].is_object() {
        return required(root, schema);
    }
    let other = alternatives(schema).find(|one| !is(one, "null"));
    other.map_or_else(|| json!([]), |one| sample(root, key, one))
}

/// The required keys of a table.
fn required(root: &Value, table: &Value) -> Value {
    let names = table["required"].as_array().into_iter().flatten();
    let names = names.map(|name| name.as_str().unwrap());
    let pairs = names.map(|name| {
        let value = sample(root, name, &table["properties"][name]);
        (name.to_owned(), value)
    });
    Value::Object(pairs.collect::<Map<_, _>>())
}

/// Every number below a schema.
fn leaves(root: &Value, schema: &Value) -> Vec<Leaf> {
    let schema = resolved(root, schema);
    let leaf = |length| Leaf {
        key: String::new(),
        value: HOLE.into(),
        schema: schema.clone(),
        length,
    };
    let mut found = Vec::new();
    if is(schema, "integer") || is(schema, "number") {
        found.push(leaf(false));
    }
    for one in alternatives(schema) {
        found.extend(leaves(root, one));
    }
    if let Some(table) = schema["properties"].as_object() {
        for (name, below) in table {
            found.extend(leaves(root, below).into_iter().map(|leaf| {
                let mut value = required(root, schema);
                value[name] = leaf.value;
                let key = match leaf.key.as_str() {
                    "" => name.clone(),
                    key => format!("{name}.{key}"),
                };
                Leaf { key, value, ..leaf }
            }));
        }
    }
    if let Some(items) = schema.get("items") {
        let fixed = schema["minItems"] == schema["maxItems"];
        let count = if fixed {
            schema["minItems"].as_u64().unwrap_or(1)
        } else {
            1
        };
        found.extend(leaves(root, items).into_iter().map(|leaf| {
            let value = vec![leaf.value; count as usize].into();
            Leaf { value, ..leaf }
        }));
        if !fixed {
            found.push(leaf(true));
        }
    }
    found
}

/// With the hole filled.
fn filled(value: &Value, with: &Value) -> Value {
    match value {
        Value::String(text) if text == HOLE => with.clone(),
        Value::Array(items) => items.iter().map(|item| filled(item, with)).collect(),
        Value::Object(table) => {
            let pairs = table.iter();
            let pairs = pairs.map(|(key, value)| (key.clone(), filled(value, with)));
            Value::Object(pairs.collect())
        }
        other => other.clone(),
    }
}

/// An end of a range, and the number beyond it.
struct End {
    at: f64,
    taken: f64,
    refused: f64,
}

/// Read anew, so that nothing is shared with what is tested.
fn ends(leaf: &Leaf) -> Vec<End> {
    let whole = leaf.length || is(&leaf.schema, "integer");
    let single = leaf.schema["format"] == "float";
    let next = |at: f64, up: bool| match (whole, single, up) {
        (true, _, true) => at + 1.0,
        (true, _, false) => at - 1.0,
        (false, true, true) => f64::from((at as f32).next_up()),
        (false, true, false) => f64::from((at as f32).next_down()),
        (false, false, true) => at.next_up(),
        (false, false, false) => at.next_down(),
    };
    let keys = match leaf.length {
        true => [("minItems", false, false), ("maxItems", true, false)].to_vec(),
        false => vec![
            ("minimum", false, false),
            ("exclusiveMinimum", false, true),
            ("maximum", true, false),
            ("exclusiveMaximum", true, true),
        ],
    };
    let end = |(key, up, open): (&str, bool, bool)| {
        let at = leaf.schema[key].as_f64()?;
        Some(match open {
            false => End {
                at,
                taken: at,
                refused: next(at, up),
            },
            true => End {
                at,
                taken: next(at, !up),
                refused: at,
            },
        })
    };
    let ends: Vec<End> = keys.into_iter().filter_map(end).collect();
    // What the type alone says is not asked.
    let unsigned = leaf.schema["format"]
        .as_str()
        .is_some_and(|f| f.starts_with("uint"));
    let asked = |end: &End| {
        let below = (unsigned || leaf.length) && end.refused < 0.0;
        let most = [("uint8", 255.0), ("uint16", 65_535.0)];
        let above = most.contains(&(leaf.schema["format"].as_str().unwrap_or(""), end.at));
        let beyond = above && end.refused > end.at;
        !below && !beyond
    };
    ends.into_iter().filter(asked).collect()
}

/// A recipe with these keys of a part, and what it needs beside them.
fn recipe(part: &str, kind: &str, keys: &Value) -> Value {
    let mut recipe = json!({
        "name": "ranges",
        "seeds": [0],
        "data": { "dataset": "cifar10", "valid": 100 },
        "learner": { "kind": "nas", "search": "p-darts" },
        "cell": [{ "label": "one" }],
    });
    let compress = json!({ "kind": "rc-nas", "teacher": "wrn-10-1", "budget": { "share": 0.5 } });
    let evasion = json!({ "kind": "evasion", "attack": "pgd20" });
    let elastic = keys.get("elastic").is_some();
    match (part, kind) {
        ("learner", "synthetic") => {
            recipe["data"] = json!({ "dataset": "gaussians", "train": 64, "valid": 64 });
        }
        ("learner", "nas") if elastic => {
            let own = [
                ("search", "random"),
                ("space", "elastic"),
                ("evaluate", "none"),
            ];
            for (key, value) in own {
                recipe["learner"][key] = value.into();
            }
        }
        ("learner", "rc-nas" | "sub-networks") | ("judge", _) => {
            recipe["learner"] = compress;
            recipe["threat"] = evasion;
        }
        ("learner", "external") => recipe["learner"] = json!({ "command": ["true"] }),
        ("threat", "bilevel") => recipe["learner"] = json!({ "kind": "bilevel" }),
        ("threat", "bad-ops") => recipe["learner"] = json!({ "kind": "enas" }),
        ("threat", "evasion") => {
            recipe["learner"] = compress;
            recipe["threat"] = evasion;
        }
        ("threat", _) => recipe["threat"] = json!({ "budget": 0.1 }),
        _ => {}
    }
    if part != kind && recipe[part]["kind"] != kind {
        let beside = recipe[part]["kind"] == Value::Null;
        recipe[part] = if beside {
            recipe[part].clone()
        } else {
            json!({})
        };
        recipe[part]["kind"] = kind.into();
    }
    for (key, value) in keys.as_object().unwrap() {
        recipe[part][key] = value.clone();
    }
    match (part, kind) {
        ("learner", "sub-networks") => recipe["learner"]["teacher"] = "wrn-10-1".into(),
        // They take the rows as they are.
        ("learner", "suspects" | "poison") => recipe["data"]["valid"] = 0.into(),
        ("learner", "harden" | "optimal-poison") if recipe["learner"].get("trusted").is_some() => {
            recipe["data"]["valid"] = 0.into();
        }
        _ => {}
    }
    recipe
}

/// What is wrong with a recipe.
fn refusal(recipe: &Value) -> Option<String> {
    let text = toml::to_string(&recipe).unwrap();
    let parsed = Study::parse(&HOUSE, "r.toml", &text, &Overrides::default());
    parsed.err().map(|error| error.to_string())
}

#[test]
fn every_range_is_checked_where_the_schema_says_it() {
    let root: Value = serde_json::from_str(&schema(&HOUSE)).unwrap();
    let place = |pointer: &str| root.pointer(pointer).unwrap();
    let mut parts = ["judge", "data"]
        .map(|part| (part, part.to_owned(), place(&format!("/properties/{part}"))))
        .to_vec();
    for (part, pointer) in [
        ("learner", "/properties/learner/oneOf"),
        ("threat", "/properties/threat/anyOf/0/oneOf"),
        ("defence", "/properties/defence/anyOf/1/oneOf"),
    ] {
        for schema in place(pointer).as_array().unwrap() {
            let kind = schema["properties"]["kind"]["const"].as_str();
            if let Some(kind) = kind.filter(|kind| *kind != "none") {
                parts.push((part, kind.to_owned(), schema));
            }
        }
    }
    let [mut unbounded, mut used, mut wrong] = [const { BTreeSet::<String>::new() }; 3];
    let mut asked = 0;
    for (part, kind, schema) in parts {
        for leaf in leaves(&root, schema) {
            let name = format!("{kind}.{}", leaf.key);
            let expected = words(&leaf.schema);
            let ends = ends(&leaf);
            if ends.is_empty() && !leaf.length {
                let free = FREE.iter().find(|(end, _)| name.ends_with(end));
                match free {
                    Some((end, _)) => used.insert((*end).to_owned()),
                    None => unbounded.insert(name),
                };
                continue;
            }
            let says = format!("`{part}.{}` = ", leaf.key);
            for end in ends {
                asked += 1;
                let set = |number: f64| {
                    let whole = is(&leaf.schema, "integer");
                    let value = match (leaf.length, whole) {
                        (true, _) => {
                            let items = &leaf.schema["items"];
                            // Classes are not named twice.
                            let item = |i| match is(items, "integer") {
                                true => json!(i + 1),
                                false => sample(&root, "", items),
                            };
                            (0..number as u64).map(item).collect()
                        }
                        (false, true) => json!(number as i64),
                        (false, false) => json!(number),
                    };
                    recipe(part, &kind, &filled(&leaf.value, &value))
                };
                let refused = refusal(&set(end.refused)).unwrap_or_else(|| "nothing".into());
                if !(refused.contains(&says) && refused.contains(" is out of range: expected ")) {
                    wrong.insert(format!(
                        "{name} = {:?} ({expected}): {refused}",
                        end.refused
                    ));
                }
                let related = RELATED
                    .iter()
                    .find(|(key, at, _)| name.ends_with(key) && *at == end.at);
                match (refusal(&set(end.taken)), related) {
                    (None, None) => {}
                    (Some(_), Some((key, _, _))) => {
                        used.insert(format!("{key} = {}", end.at));
                    }
                    (found, _) => {
                        wrong.insert(format!("{name} = {:?} is an end: {found:?}", end.taken));
                    }
                }
            }
        }
    }
    assert!(
        unbounded.is_empty() && wrong.is_empty(),
        "no range, and no reason: {unbounded:#?}\n{wrong:#?}"
    );
    let free = FREE.iter().map(|(key, _)| (*key).to_owned());
    let related = RELATED.iter().map(|(key, at, _)| format!("{key} = {at}"));
    let listed: BTreeSet<String> = free.chain(related).collect();
    assert_eq!(used, listed, "reasons that nothing needs any more");
    assert!(asked > 400, "{asked}");
}
