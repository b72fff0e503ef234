//! What is said between a trial and a learner: the protocol `toxscreen-learner/1`. Its JSON schema is
//! docs/learner-protocol.json.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Its name and version.
pub const PROTOCOL: &str = "toxscreen-learner/1";

/// What a learner is asked: `request.json`. Its paths are relative to its own folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Request {
    /// `toxscreen-learner/1`.
    pub protocol: String,
    pub phase: Phase,
    /// Of folds, starts and draws.
    pub seed: u64,
    /// Threads that it may use.
    pub threads: usize,
    /// Time that it has.
    pub seconds: f64,
    pub task: Task,
    pub data: DataFiles,
    /// The recipe's `params`.
    pub params: Map<String, Value>,
    /// Phase `train`: the configuration that is trained, without a search.
    pub choice: Option<Value>,
    /// The search space, for a learner that takes one.
    pub space: Option<String>,
    /// Phase `predict`: the folder that it left as `model`.
    pub model: Option<String>,
    /// Folder of the answer; it is there, and empty.
    pub out: String,
    /// File to which it may append lines such as `{"done": 0.4, "message": "fold 2"}`.
    pub events: String,
    /// Folder that outlasts a stop.
    pub checkpoint: String,
    /// Whether it was stopped before, and goes on.
    pub resume: bool,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Choose a configuration, train it, predict the test rows.
    Search,
    /// Train this configuration, predict the test rows.
    Train,
    /// Answer queries about rows, line by line.
    Predict,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Train => "train",
            Self::Predict => "predict",
        }
    }
}

/// The task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// `classification`.
    #[serde(rename = "type")]
    pub kind: String,
    pub classes: usize,
    pub class_names: Vec<String>,
    pub input: Input,
}

/// What a row is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Input {
    Image {
        /// Channels, height, width.
        shape: [usize; 3],
        /// `uint8`.
        dtype: String,
        /// Least and largest value.
        range: [u8; 2],
    },
    Table {
        columns: usize,
        /// Names of the columns, where the file names them.
        names: Option<Vec<String>>,
        /// `uint8` or `float32`.
        dtype: String,
    },
}

/// The rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DataFiles {
    pub train: Part,
    pub valid: Option<Part>,
    /// Without labels.
    pub test: Part,
}

/// Rows with their labels, or without.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// Array of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// Array of labels, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// Folder of PNG files in place of arrays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// What a learner answers: `out/result.json`, written last. Its paths are relative to `out`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// A `.npy` file: a class for each test row, or a score for each test row and class.
    pub predictions: String,
    /// Whether the scores are probabilities; their log loss is then measured.
    #[serde(default)]
    pub probabilities: bool,
    /// The accuracy that it believes in, 0 to 1, such as that of its cross-validation.
    #[serde(default)]
    pub claim: Option<f64>,
    /// The configuration that it chose, at most 64 KiB. Equal choices are equal JSON.
    #[serde(default)]
    pub choice: Option<Value>,
    /// What it found, in words.
    #[serde(default)]
    pub found: Option<String>,
    /// Configurations that it evaluated.
    #[serde(default)]
    pub evaluations: Option<u64>,
    /// The configurations of its space with their predictions, at most 10,000.
    #[serde(default)]
    pub candidates: Vec<CandidateAnswer>,
    /// A folder with what the phase `predict` needs.
    #[serde(default)]
    pub model: Option<String>,
}

/// A configuration of its space.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CandidateAnswer {
    pub choice: Value,
    /// The accuracy that it believes in, 0 to 1.
    #[serde(default)]
    pub claim: Option<f64>,
    /// As [`Answer::predictions`].
    pub predictions: String,
}

/// A line of its `events.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Share that is done, 0 to 1.
    #[serde(default)]
    pub done: Option<f64>,
    #[serde(default)]
    pub message: String,
}

/// All that is said, as a JSON schema: what a learner is asked, what it answers, what it tells meanwhile.
///
/// # Errors
/// None that a fixed structure has.
pub fn schema() -> Result<String, serde_json::Error> {
    let of = |name: &str, schema: schemars::Schema| (name.to_owned(), Value::from(schema));
    let parts = [
        of("request", schemars::schema_for!(Request)),
        of("answer", schemars::schema_for!(Answer)),
        of("event", schemars::schema_for!(Event)),
    ];
    let all: Map<String, Value> = parts.into_iter().collect();
    let whole = serde_json::json!({ "title": PROTOCOL, "messages": all });
    Ok(serde_json::to_string_pretty(&whole)? + "\n")
}
