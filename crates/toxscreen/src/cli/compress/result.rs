//! What a compression found, as files and as text.

use super::Compress;
use crate::cli::robust::{self, count, reasons};
use crate::cli::{Result, shell_path, table};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tox_audits::rcnas::outcome::{CompressOutcome, Judged, Role};
use tox_data::Dataset;
use tox_nn::nets::wrn::WrnConfig;
use tox_rcnas::Evaluation;
use tox_rcnas::learner::{CompressConfig, Normalisation};
use tox_study::files;
use tox_study::record::{Record, RecordError};

/// What a compression found.
pub struct Found<'a> {
    args: &'a Compress,
    dir: &'a Path,
    outcome: CompressOutcome,
    normalisation: &'a Normalisation,
    /// What is in `network.json`; null if nothing was found.
    network: Value,
}

impl<'a> Found<'a> {
    /// Reads it from the record, and leaves `network.json` in `dir`.
    pub fn new(
        args: &'a Compress,
        dir: &'a Path,
        config: &'a CompressConfig,
        data: &Dataset,
        record: &'a Record,
    ) -> Result<Self> {
        let outcome = record.outcome.read().map_err(|_| RecordError::Changed {
            path: dir.join("record.json"),
            what: "it is not of a compression",
        })?;
        let mut result = Self {
            args,
            dir,
            outcome,
            normalisation: &config.candidate.normalise,
            network: Value::Null,
        };
        if let Some(found) = result.outcome.search.found() {
            result.network = network(config, data, record, &result.outcome, found);
            let text = format!("{:#}\n", result.network);
            files::write_atomic(&dir.join("network.json"), text.as_bytes())?;
        }
        for judged in &result.outcome.judged {
            let name = role(judged.role);
            robust::notes(&judged.evaluation, &format!("the {name}"));
        }
        Ok(result)
    }

    /// Whether there is a sub-network.
    pub fn found(&self) -> bool {
        self.outcome.search.found().is_some()
    }

    /// Evaluations that failed, and why the first did.
    fn failed(&self) -> (usize, Option<&str>) {
        let evaluations = self.outcome.search.evaluations.iter();
        let mut reasons = evaluations.filter_map(|e| e.failed.as_deref());
        let first = reasons.next();
        (first.map_or(0, |_| 1 + reasons.count()), first)
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        json!({
            "dir": self.dir,
            "network": self.network,
            "judged": self.outcome.judged,
            "evaluations": self.outcome.search.evaluations.len(),
            "failed": self.failed().0,
        })
    }

    /// As people read it.
    pub fn text(&self) -> String {
        let search = &self.outcome.search;
        let (failed, why) = self.failed();
        let mut text = format!(
            "{}, {} sub-networks of {} evaluated, {failed} of them failed, within {} MACs\n",
            search.method.title(),
            search.evaluations.len(),
            search.target.teacher,
            count(search.budget),
        );
        if let Some(why) = why {
            text += &format!("the first that failed: {why}\n");
        }
        let Some(found) = search.found() else {
            text += "no sub-network within the budget could be measured: lower --lr, or train longer with \
                     --epochs, in another folder (--out)\n";
            return text;
        };
        text += &format!("\n{}\n", compared(&self.outcome.judged));
        for judged in &self.outcome.judged {
            text += &format!(
                "{}: reliable: {}\n{}",
                role(judged.role),
                judged.evaluation.reliable.word(),
                reasons(&judged.evaluation)
            );
        }
        let file = |name: &str| -> PathBuf { self.dir.join(name) };
        text += &format!(
            "\nnetwork  {} (a PyTorch state dict), described in {}\nrecord   {}, recipe {}\n",
            file("found.safetensors").display(),
            file("network.json").display(),
            file("record.json").display(),
            file("recipe.toml").display(),
        );
        text += &format!(
            "next     toxscreen attack --weights {} --arch {} {} {}{} --attack autoattack --images 10000\n",
            shell_path(&file("found.safetensors")),
            found.shape,
            self.args.images_of.written(),
            self.args.radius.written(),
            self.normalisation.written(),
        );
        text
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Teacher => "teacher",
        Role::Found => "sub-network",
    }
}

/// What another program must know to run what was found.
fn network(
    config: &CompressConfig,
    data: &Dataset,
    record: &Record,
    outcome: &CompressOutcome,
    found: &Evaluation,
) -> Value {
    let shape = &found.shape;
    let network = WrnConfig {
        cells: config.candidate.cells,
        ..robust::network(shape, data)
    };
    let [_, _, height, width] = data.train.images.shape;
    let judged = outcome.judged.iter().find(|j| j.role == Role::Found);
    json!({
        "arch": shape,
        "weights": "found.safetensors",
        "network": network,
        "depths": shape.stages.map(|stage| stage.depth),
        "widths": shape.stages.map(|stage| stage.width),
        "robust": shape.stages.map(|stage| stage.robust),
        "image": { "channels": network.in_channels, "height": height, "width": width },
        "normalisation": config.candidate.normalise,
        "normalise": { "mean": data.normalise.mean, "std": data.normalise.std },
        "data": record.spec.data,
        "data_hash": data.hash,
        "classes": data.class_names,
        "threat": record.spec.threat.inputs,
        "teacher": config.teacher,
        "budget": { "asked": config.budget, "macs": outcome.search.budget },
        "cost": found.cost,
        "clean": judged.map(|j| j.evaluation.clean),
        "worst_case": judged.map(|j| j.evaluation.worst_case),
        "upper_bound": judged.map(|j| j.evaluation.upper_bound),
        "reliable": judged.map(|j| j.evaluation.reliable),
        "lipschitz": judged.map(|j| j.lipschitz),
        "seed": record.spec.seed,
        "toxscreen": record.provenance.toxscreen,
    })
}

/// Before and after.
fn compared(judged: &[Judged]) -> String {
    let Some(first) = judged.first() else {
        return String::new();
    };
    let attacks = first.evaluation.attacks.iter();
    let attacks: Vec<String> = attacks.map(|a| a.attack.name()).collect();
    let mut head = vec!["network", "shape", "clean"];
    head.extend(attacks.iter().map(String::as_str));
    let weak = |j: &Judged| j.evaluation.upper_bound;
    let worst = match judged.iter().any(weak) {
        true => "worst case (upper bound)",
        false => "worst case",
    };
    head.extend([worst, "parameters", "MACs", "Lipschitz", "reliable"]);
    let row = |judged: &Judged| {
        let evaluation = &judged.evaluation;
        let accuracies = evaluation.attacks.iter().map(|a| a.accuracy);
        let accuracies = [evaluation.clean].into_iter().chain(accuracies);
        let accuracies = accuracies.chain([evaluation.worst_case]);
        let mut row = vec![role(judged.role).to_owned(), judged.shape.to_string()];
        row.extend(accuracies.map(|share| format!("{share:.2} %")));
        row.extend([
            count(judged.cost.parameters),
            count(judged.cost.macs),
            format!("{:.3}", judged.lipschitz),
            evaluation.reliable.word().to_owned(),
        ]);
        row
    };
    let rows: Vec<Vec<String>> = judged.iter().map(row).collect();
    table(&head, &rows)
}
