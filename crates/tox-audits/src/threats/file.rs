//! A poison that was made before, by whomever: a patch file with its manifest.

use super::{DataPoison, plain};
use crate::scene::{Crafting, Scene};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::path::Path;
use tox_data::DataRef;
use tox_data::features::Features;
use tox_data::patch::{Patch, PatchError};
use tox_poison::data::threat::FileThreat;
use tox_poison::data::{Check, Crafted};
use tox_study::house::Threat;
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::spec::Surface;
use tox_study::steps::Steps;

pub struct PatchFile;

impl Threat for PatchFile {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn surface(&self) -> Surface {
        Surface::Data
    }

    fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        FileThreat::json_schema(generator)
    }

    /// A trial depends on the patch's content, so its hash becomes a part of the spec.
    fn read(&self, keys: &Keys<'_>) -> Result<Part, RecipeError> {
        let mut threat: FileThreat = keys.read()?;
        if threat.hash.is_none() {
            let patch = Patch::load(Path::new(&threat.path));
            let patch = patch.map_err(|e| keys.refuse("path", e.to_string(), None))?;
            threat.hash = Some(patch.manifest().patch_hash.clone());
        }
        Ok(Part::new(self.kind(), &threat))
    }

    /// It was made of the training rows, or of those with the validation rows behind them.
    fn fits(&self, config: &Part, data: DataRef<'_>) -> Result<(), String> {
        let threat: FileThreat = config.read().map_err(|e| e.to_string())?;
        let patch = Patch::load(Path::new(&threat.path)).map_err(|e| e.to_string())?;
        let applies = |mut rows: Features| patch.apply(&mut rows);
        match (applies(data.pool()), applies(data.train())) {
            (Ok(()), _) | (_, Ok(())) => Ok(()),
            (Err(why), Err(_)) => Err(why.to_string()),
        }
    }

    fn title(&self, config: &Part) -> String {
        let path = config
            .get("path")
            .and_then(|p| p.as_str())
            .unwrap_or_default();
        match Path::new(path).file_name() {
            Some(name) => name.to_string_lossy().into_owned(),
            None => path.to_owned(),
        }
    }
}

impl DataPoison for PatchFile {
    fn name(&self) -> &'static str {
        "file"
    }

    fn of_share(&self) -> bool {
        false
    }

    fn craft(&self, scene: &Scene<'_>, pool: &Features, _steps: &mut Steps<'_>) -> Crafting {
        let threat: FileThreat = scene.threat()?;
        let patch = Patch::load(Path::new(&threat.path))?;
        let found = &patch.manifest().patch_hash;
        if let Some(hash) = threat.hash.as_ref().filter(|hash| *hash != found) {
            let what = format!("its hash is {found}, the trial's is {hash}");
            return Err(PatchError::OtherSet { what }.into());
        }
        let check = match patch.values() {
            Some(_) if pool.shape.is_none() => Check::values(&patch, pool)?,
            // Nobody said how far its images may have moved.
            Some(_) => Check::images(&patch, pool, u8::MAX)?,
            None => Check::labels(&patch, pool)?,
        };
        Ok(plain(Crafted { patch, check }))
    }
}
