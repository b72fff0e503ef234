//! `[learner]` and `[threat]`: tables whose `kind` says which keys they have.

use super::range::{checked, in_range};
use super::{Cell, Recipe, RecipeError, path};
use crate::source::{Source, dotted, merge, suggest};
use crate::spec::{Defence, Learner, Parts, Threat};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::path::Path;
use toml::{Table, Value};
use tox_bilevel::config::{BilevelAttack, BilevelConfig, SyntheticConfig};
use tox_data::patch::Patch;
use tox_poison::cleanse::{Countermeasure, Denoise, Knn, LossFilter};
use tox_poison::data::threat::{ClfThreat, FileThreat, GcThreat, NoiseThreat, RlfThreat};
use tox_poison::space::SpacePoison;
use tox_robust::threat::EvasionThreat;
use tox_search::compress::{CompressConfig, HashedFile, TableConfig};
use tox_search::enas::config::EnasConfig;
use tox_search::nas::NasConfig;
use tox_search::space::Space;

/// What a table with a `kind` may be: here a learner or a threat is registered.
struct Kind<T> {
    name: &'static str,
    read: fn(&Source, &[String], Table) -> Result<T, RecipeError>,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

const LEARNERS: [Kind<Learner>; 6] = [
    Kind {
        name: "enas",
        read: |s, at, t| checked(s, at, t, EnasConfig::check).map(Learner::Enas),
        schema: EnasConfig::json_schema,
    },
    Kind {
        name: "bilevel",
        read: |s, at, t| checked(s, at, t, BilevelConfig::check).map(Learner::Bilevel),
        schema: BilevelConfig::json_schema,
    },
    Kind {
        name: "synthetic",
        read: |s, at, t| checked(s, at, t, SyntheticConfig::check).map(Learner::Synthetic),
        schema: SyntheticConfig::json_schema,
    },
    Kind {
        name: "nas",
        read: nas,
        schema: NasConfig::json_schema,
    },
    Kind {
        name: "rc-nas",
        read: rc_nas,
        schema: CompressConfig::json_schema,
    },
    Kind {
        name: "sub-networks",
        read: |s, at, t| checked(s, at, t, TableConfig::check).map(Learner::SubNetworks),
        schema: TableConfig::json_schema,
    },
];

const THREATS: [Kind<Threat>; 8] = [
    Kind {
        name: "bilevel",
        read: |s, at, t| checked(s, at, t, BilevelAttack::check).map(Threat::Bilevel),
        schema: BilevelAttack::json_schema,
    },
    Kind {
        name: "rlf",
        read: |s, at, t| checked(s, at, t, RlfThreat::check).map(Threat::Rlf),
        schema: RlfThreat::json_schema,
    },
    Kind {
        name: "clf",
        read: |s, at, t| checked(s, at, t, ClfThreat::check).map(Threat::Clf),
        schema: ClfThreat::json_schema,
    },
    Kind {
        name: "noise",
        read: |s, at, t| checked(s, at, t, NoiseThreat::check).map(Threat::Noise),
        schema: NoiseThreat::json_schema,
    },
    Kind {
        name: "gc",
        read: |s, at, t| checked(s, at, t, GcThreat::check).map(Threat::Gc),
        schema: GcThreat::json_schema,
    },
    Kind {
        name: "file",
        read: poison_file,
        schema: FileThreat::json_schema,
    },
    Kind {
        name: "evasion",
        read: evasion,
        schema: EvasionThreat::json_schema,
    },
    Kind {
        name: "none",
        read: |s, at, t| s.read(at, Value::Table(t)).map(|NoKeys {}| Threat::None),
        schema: NoKeys::json_schema,
    },
];

const DEFENCES: [Kind<Defence>; 4] = [
    Kind {
        name: "knn",
        read: |s, at, t| cleanse(s, at, t, Countermeasure::Knn),
        schema: Knn::json_schema,
    },
    Kind {
        name: "loss-filter",
        read: |s, at, t| cleanse(s, at, t, Countermeasure::LossFilter),
        schema: LossFilter::json_schema,
    },
    Kind {
        name: "denoise",
        read: |s, at, t| cleanse(s, at, t, Countermeasure::Denoise),
        schema: Denoise::json_schema,
    },
    Kind {
        name: "parts",
        read: |s, at, t| checked(s, at, t, Parts::check).map(Defence::Parts),
        schema: Parts::json_schema,
    },
];

fn cleanse<T: DeserializeOwned>(
    source: &Source,
    at: &[String],
    table: Table,
    of: fn(T) -> Countermeasure,
) -> Result<Defence, RecipeError> {
    let countermeasure = of(source.read(at, Value::Table(table))?);
    in_range(source, at, countermeasure.check())?;
    Ok(Defence::Cleanse(countermeasure))
}

/// The adversary does nothing.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

/// A search over cells. A supernet's file is named by its hash too, since the trial depends on its
/// content.
fn nas(source: &Source, at: &[String], table: Table) -> Result<Learner, RecipeError> {
    let mut config: NasConfig = checked(source, at, table, NasConfig::check)?;
    if let Some(file) = config.supernet.as_mut().filter(|file| file.hash.is_none()) {
        file.hash = Some(hash_of(source, at, "supernet", &file.path)?);
    }
    Ok(Learner::Nas(config))
}

/// An attack on inputs. How many classes there are is not known yet.
fn evasion(source: &Source, at: &[String], table: Table) -> Result<Threat, RecipeError> {
    let threat: EvasionThreat = source.read(at, Value::Table(table))?;
    match threat.check(usize::MAX) {
        Ok(()) => Ok(Threat::Evasion(threat)),
        Err(e) => Err(source.refuse(at, e.to_string(), None)),
    }
}

/// A compression. Files are named by their hashes too.
fn rc_nas(source: &Source, at: &[String], table: Table) -> Result<Learner, RecipeError> {
    let mut config: CompressConfig = checked(source, at, table, CompressConfig::check)?;
    for (key, file) in [
        ("weights", &mut config.weights),
        ("table", &mut config.table),
    ] {
        if let Some(file) = file.as_mut().filter(|file| file.hash.is_none()) {
            file.hash = Some(hash_of(source, at, key, &file.path)?);
        }
    }
    Ok(Learner::RcNas(config))
}

/// BLAKE3 of the file that the table `key` of the learner at `at` names; `key` is what it is called.
fn hash_of(source: &Source, at: &[String], key: &str, file: &str) -> Result<String, RecipeError> {
    let read = || {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(std::fs::File::open(file)?)?;
        std::io::Result::Ok(hasher.finalize().to_hex().to_string())
    };
    read().map_err(|e| {
        let at = [at, &path(&[key, "path"])].concat();
        let hint = "a relative path is taken from the folder of the recipe";
        let message = format!("cannot read the {key} {file}: {e}");
        source.refuse(&at, message, Some(hint.into()))
    })
}

/// A poison made before. The trial depends on its content, so its hash becomes a part of the spec.
fn poison_file(source: &Source, at: &[String], table: Table) -> Result<Threat, RecipeError> {
    let mut threat: FileThreat = source.read(at, Value::Table(table))?;
    if threat.hash.is_none() {
        let patch = Patch::load(Path::new(&threat.path));
        let key = [at, &path(&["path"])].concat();
        let patch = patch.map_err(|e| source.refuse(&key, e.to_string(), None))?;
        threat.hash = Some(patch.manifest().patch_hash.clone());
    }
    Ok(Threat::File(threat))
}

/// Writes into a cell's own tables the hashes that were read from its files, so that a study that is
/// read again means the same trials, whatever lies there now.
pub fn keep_hashes(cell: &mut Cell, learner: &Learner, threat: &Threat) {
    let keep = |table: Option<&mut Table>, hash: &Option<String>| {
        if let (Some(table), Some(hash)) = (table, hash)
            && table.contains_key("path")
        {
            table.insert("hash".into(), Value::String(hash.clone()));
        }
    };
    if let Threat::File(file) = threat {
        keep(Some(&mut cell.threat), &file.hash);
    }
    let files = match learner {
        Learner::Nas(config) => {
            let file = config.supernet.as_ref().map(|file| &file.hash);
            vec![("supernet", file)]
        }
        Learner::RcNas(config) => {
            fn hash(file: &Option<HashedFile>) -> Option<&Option<String>> {
                file.as_ref().map(|file| &file.hash)
            }
            let (weights, table) = (hash(&config.weights), hash(&config.table));
            vec![("weights", weights), ("table", table)]
        }
        _ => Vec::new(),
    };
    for (key, hash) in files {
        if let Some(hash) = hash {
            let own = cell.learner.get_mut(key);
            keep(own.and_then(Value::as_table_mut), hash);
        }
    }
}

/// Reads the table at `at` by its `kind`. `what` is the word for such a table.
fn by_kind<T>(
    source: &Source,
    at: &[String],
    mut table: Table,
    what: &str,
    kinds: &[Kind<T>],
) -> Result<T, RecipeError> {
    let kind_at = [at, &path(&["kind"])].concat();
    let names: Vec<&str> = kinds.iter().map(|k| k.name).collect();
    let found = match table.remove("kind") {
        Some(Value::String(kind)) => kind,
        found => {
            let message = match found {
                None => format!("the key `{}` is missing", dotted(&kind_at)),
                Some(v) => format!("`{}` must be a string, found {v}", dotted(&kind_at)),
            };
            let known: Vec<String> = names.iter().map(|n| format!("\"{n}\"")).collect();
            let hint = format!("write kind = {}", known.join(" or "));
            return Err(source.refuse(&kind_at, message, Some(hint)));
        }
    };
    match kinds.iter().find(|k| k.name == found) {
        Some(kind) => (kind.read)(source, at, table),
        None => {
            let message = format!("unknown {what} \"{found}\"");
            Err(source.refuse(&kind_at, message, Some(suggest(&found, &names))))
        }
    }
}

/// Reads `[learner]`, or a cell's, merged, at `at`.
pub fn learner(source: &Source, at: &[String], table: Table) -> Result<Learner, RecipeError> {
    by_kind(source, at, table, "learner", &LEARNERS)
}

/// The learner of a cell: `study`'s, with the cell's own keys.
pub fn learner_of(
    source: &Source,
    recipe: &Recipe,
    study: &Learner,
    index: usize,
) -> Result<Learner, RecipeError> {
    let own = &recipe.cells[index].learner;
    if own.is_empty() {
        return Ok(study.clone());
    }
    let at = path(&["cell", &index.to_string(), "learner"]);
    if let Some(kind) = own.get("kind").filter(|k| k.as_str() != Some(study.kind())) {
        let at = [at, path(&["kind"])].concat();
        let message = format!(
            "`{}` = {kind}, but the study's learner is \"{}\"",
            dotted(&at),
            study.kind()
        );
        let hint = "a study has one kind of learner: write a recipe for each".to_owned();
        return Err(source.refuse(&at, message, Some(hint)));
    }
    let mut merged = recipe.learner.clone();
    merge(&mut merged, own);
    // The study's own table was read without complaint: what is wrong is the cell's.
    learner(source, &at, merged)
}

/// Reads the recipe's `[threat]`, if it has one.
pub fn threat(source: &Source, recipe: &Recipe) -> Result<Threat, RecipeError> {
    if recipe.threat.is_empty() {
        return Ok(Threat::None);
    }
    let table = recipe.threat.clone();
    by_kind(source, &path(&["threat"]), table, "threat", &THREATS)
}

/// What a cell's learner is pitted against, which it must be made for: search-space poison by
/// `poison` and `q`, else the study's threat with the cell's own keys.
pub fn threat_of(
    source: &Source,
    recipe: &Recipe,
    study: &Threat,
    learner: &Learner,
    index: usize,
) -> Result<Threat, RecipeError> {
    let cell = &recipe.cells[index];
    let at = |key: &str| path(&["cell", &index.to_string(), key]);
    let of = format!("cell \"{}\"", cell.label);
    let (place, threat) = if let Some(poison) = space_poison(source, &at, cell)? {
        if *study != Threat::None || !cell.threat.is_empty() {
            let message = format!("{of} has both `poison` and a `threat`");
            let hint = "leave one out: `poison` and `q` poison the search space, `threat` is \
                        another adversary, and a trial has one";
            return Err(source.refuse(&at("poison"), message, Some(hint.into())));
        }
        (at("poison"), Threat::SearchSpace(poison))
    } else if cell.threat.is_empty() {
        (path(&["threat"]), study.clone())
    } else {
        (
            at("threat"),
            merged_threat(source, &at("threat"), recipe, cell)?,
        )
    };
    if !learner.faces(&threat) {
        let message = format!(
            "{of}: the learner \"{}\" cannot face the threat \"{}\"",
            learner.kind(),
            threat.kind()
        );
        let hint = match learner {
            Learner::Enas(_) => "enas faces search-space poison: `poison` and `q` in a cell",
            Learner::Bilevel(_) => {
                "bilevel faces poisoned training data: [threat] kind = \"bilevel\""
            }
            Learner::Synthetic(_) => "synthetic has its own poison point: leave the threat out",
            Learner::Nas(_) => {
                "nas faces poisoned training data: threat kinds \"rlf\", \"clf\", \"noise\", \"gc\" \
                 and \"file\""
            }
            Learner::RcNas(_) | Learner::SubNetworks(_) => {
                "it faces perturbed inputs: [threat] kind = \"evasion\""
            }
        };
        return Err(source.refuse(&place, message, Some(hint.into())));
    }
    Ok(threat)
}

/// What the defender does in a cell, which the learner must be able to use.
pub fn defence_of(
    source: &Source,
    cell: &Cell,
    learner: &Learner,
    index: usize,
) -> Result<Defence, RecipeError> {
    let at = path(&["cell", &index.to_string(), "defence"]);
    let of = format!("cell \"{}\"", cell.label);
    let defence = match &cell.defence {
        Value::String(word) if word == "none" => Defence::None,
        Value::String(word) if word == "screen" => Defence::Screen,
        Value::Table(table) => by_kind(source, &at, table.clone(), "defence", &DEFENCES)?,
        other => {
            let kinds: Vec<String> = (DEFENCES.iter())
                .map(|kind| format!("{{ kind = \"{}\" }}", kind.name))
                .collect();
            let message = format!("{of}: the defence cannot be {other}");
            let hint = format!("expected \"none\", \"screen\", {}", kinds.join(", "));
            return Err(source.refuse(&at, message, Some(hint)));
        }
    };
    if learner.defended_by(&defence) {
        return Ok(defence);
    }
    let message = format!(
        "{of}: the defence \"{}\" cannot help the learner \"{}\"",
        defence.word(),
        learner.kind()
    );
    let hint = match defence {
        Defence::Screen => {
            "the screen drops ops that were put into a search space, which this learner does not \
             have: leave `defence` out"
        }
        Defence::Parts(_) => {
            "it lets several searches vote, which \"nas\" has, but for the random one"
        }
        _ => "it works on the images that the learner \"nas\" searches on: leave `defence` out",
    };
    Err(source.refuse(&at, message, Some(hint.into())))
}

/// A cell's threat: keys that it does not have are the study's, unless its kind is another.
fn merged_threat(
    source: &Source,
    at: &[String],
    recipe: &Recipe,
    cell: &Cell,
) -> Result<Threat, RecipeError> {
    let other = |kind| recipe.threat.get("kind") != Some(kind);
    let mut merged = Table::new();
    if !cell.threat.get("kind").is_some_and(other) {
        merged = recipe.threat.clone();
    }
    merge(&mut merged, &cell.threat);
    by_kind(source, at, merged, "threat", &THREATS)
}

fn space_poison(
    source: &Source,
    at: &dyn Fn(&str) -> Vec<String>,
    cell: &Cell,
) -> Result<Option<SpacePoison>, RecipeError> {
    let of = format!("cell \"{}\"", cell.label);
    match (cell.poison, cell.q) {
        (None, None) => Ok(None),
        (Some(set), Some(q)) => match set.poison(&Space::enas(), q) {
            Ok(_) => Ok(Some(SpacePoison { set, q })),
            Err(e) => Err(source.refuse(&at("q"), format!("{of}: {e}"), None)),
        },
        (Some(set), None) => Err(source.refuse(
            &at("poison"),
            format!("{of} has the poison set {set} but no `q`"),
            Some("write how often the set is put in, such as q = 6".into()),
        )),
        (None, Some(_)) => Err(source.refuse(
            &at("q"),
            format!("{of} has a `q` but no `poison`"),
            Some("name the set: poison = \"P1\" to \"P5\" or \"P3+\"".into()),
        )),
    }
}

/// One schema for each kind. In a cell, which only says what differs, `kind` may be left out.
fn one_of<T>(
    generator: &mut SchemaGenerator,
    what: &str,
    kinds: &[Kind<T>],
    required: bool,
) -> Schema {
    let schemas = kinds.iter().map(|kind| {
        let mut schema = (kind.schema)(generator);
        let properties = schema.ensure_object().entry("properties");
        if let Some(keys) = properties.or_insert_with(|| json!({})).as_object_mut() {
            let word = format!("The {what}.");
            let named = json!({"const": kind.name, "description": word});
            keys.insert("kind".into(), named);
        }
        if required {
            schema.insert("required".into(), json!(["kind"]));
        }
        schema
    });
    let schemas: Vec<Schema> = schemas.collect();
    let mut schema = Schema::default();
    // Without its `kind`, a cell's table may fit several.
    let word = if required { "oneOf" } else { "anyOf" };
    schema.insert(word.into(), json!(schemas));
    if !required {
        let words = format!("Keys of [{what}] that differ in this cell.");
        schema.insert("description".into(), words.into());
    }
    schema
}

pub fn learner_schema(generator: &mut SchemaGenerator) -> Schema {
    one_of(generator, "learner", &LEARNERS, true)
}

pub fn cell_learner_schema(generator: &mut SchemaGenerator) -> Schema {
    one_of(generator, "learner", &LEARNERS, false)
}

pub fn defence_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = one_of(generator, "defence", &DEFENCES, true);
    if let Some(tables) = schema.get_mut("oneOf").and_then(|s| s.as_array_mut()) {
        tables.push(json!({"enum": ["none", "screen"]}));
    }
    schema
}

pub fn threat_schema(generator: &mut SchemaGenerator) -> Schema {
    one_of(generator, "threat", &THREATS, true)
}

pub fn cell_threat_schema(generator: &mut SchemaGenerator) -> Schema {
    one_of(generator, "threat", &THREATS, false)
}

/// Keys of `[data]`, none of them required.
pub fn cell_data_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = tox_data::spec::DataSpec::json_schema(generator);
    schema.remove("required");
    schema.insert(
        "description".into(),
        "Keys of [data] that differ in this cell.".into(),
    );
    schema
}
