//! Keys of a learner that somebody brings: which program it is, and what it is given.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tox_data::ranges;
use tox_study::recipe::{Keys, RecipeError};

/// A program in any language that learns: it is given rows in files, and answers with its predictions,
/// which toxscreen scores. See docs/guide/external.md.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalConfig {
    /// The program and its arguments; the path of a request is added as the last one. No shell reads it.
    /// An argument that is a file beside the recipe is that file, wherever the program runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// A Python function in place of a command: `module:function`, the module beside the recipe or
    /// installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// The Python that runs `python`: a name that is looked up, or a path.
    #[serde(default = "python3", skip_serializing_if = "is_python3")]
    pub interpreter: String,
    /// Files that it depends on, relative to the recipe. They are a part of the trial's id by their
    /// content. Those that `command` and `python` name are added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<LearnerFile>,
    /// A command that prints the version of what it is made of. Each trial asks it, and keeps the answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub version: Vec<String>,
    /// Its own settings, handed to it as they are.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// How long one call may take, such as `30s`, `10m`, `2h`, `1d`.
    #[serde(default = "an_hour")]
    pub timeout: String,
    /// How it is given images: arrays, or folders of PNG files.
    #[serde(default, skip_serializing_if = "tox_data::is_default")]
    pub layout: Layout,
    /// Whether the same request gives the same answer to the bit, which `verify` then expects.
    #[serde(default = "yes")]
    pub deterministic: bool,
    /// How far errors in percent may lie apart when a trial is run again, in points; for a learner that
    /// is not deterministic.
    #[serde(default = "a_point")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub tolerance: f64,
    /// Whether it obeys the phase `train`, which trains a given choice without a search. The trial then
    /// trains the clean search's choice on the poisoned rows too, which tells what searching again does.
    #[serde(default)]
    pub retrain: bool,
    /// Whether it serves the phase `predict`, which answers queries about rows; attacks on inputs that need
    /// no gradient can then judge what it found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub predict: bool,
    /// A choice that is trained beside what it finds; needs `retrain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether the clean rows are searched once more with another seed of the learner's, to see how often
    /// its choice changes without any poison.
    #[serde(default = "yes")]
    pub control: bool,
    /// A search space that it is handed, in the format of `toxscreen screen`; bad ops then reach it, and the
    /// screen stands before it. Relative to the recipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<LearnerFile>,
    /// Names of environment variables that it is given beside the usual few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
}

fn python3() -> String {
    "python3".to_owned()
}

fn is_python3(name: &str) -> bool {
    name == "python3"
}

fn an_hour() -> String {
    "1h".to_owned()
}

fn yes() -> bool {
    true
}

fn a_point() -> f64 {
    1.0
}

/// How images are handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `uint8` arrays (N, C, H, W).
    #[default]
    Npy,
    /// `train/CLASS/ROW.png`, `test/ROW.png`.
    Folder,
}

/// A file by the name that the recipe has for it, and by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Written")]
pub struct LearnerFile {
    /// As the recipe writes it.
    pub name: String,
    /// Where it lies.
    pub path: String,
    /// Its BLAKE3 hash; a recipe's reader fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// A file as a recipe or a spec has it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    Name(String),
    File {
        name: String,
        path: String,
        hash: Option<String>,
    },
}

impl From<Written> for LearnerFile {
    fn from(written: Written) -> Self {
        match written {
            Written::Name(name) => Self {
                name,
                path: String::new(),
                hash: None,
            },
            Written::File { name, path, hash } => Self { name, path, hash },
        }
    }
}

impl ExternalConfig {
    /// Checks what is written, finds its files, and names them by their content.
    ///
    /// # Errors
    /// The first key that does not hold.
    pub fn read(keys: &Keys<'_>) -> Result<Self, RecipeError> {
        let mut config: Self = keys.read()?;
        config.check(keys)?;
        let folder = keys.folder();
        for name in config.named() {
            let there = config.files.iter().any(|file| file.name == name);
            if !there && folder.join(&name).is_file() {
                config.files.push(LearnerFile {
                    name,
                    path: String::new(),
                    hash: None,
                });
            }
        }
        if let Some((module, _)) = config.module() {
            config.add_module(&module, folder);
        }
        for file in config.files.iter_mut().chain(&mut config.space) {
            if file.path.is_empty() {
                let path = std::path::absolute(folder.join(&file.name));
                let path = path.map_err(|e| keys.refuse("files", e.to_string(), None))?;
                file.path = path.to_string_lossy().into_owned();
            }
            if file.hash.is_none() {
                file.hash = Some(keys.hash_of("files", &file.path)?);
            }
        }
        Ok(config)
    }

    fn check(&self, keys: &Keys<'_>) -> Result<(), RecipeError> {
        let wrong = |key: &str, message: String, hint: &str| {
            Err(keys.refuse(key, message, Some(hint.to_owned())))
        };
        let example = "write command = [\"python3\", \"learn.py\"], or python = \"learn:function\"";
        match (&self.python, self.command.is_empty()) {
            (None, true) => {
                return wrong("", "the external learner has no `command`".into(), example);
            }
            (Some(_), false) => {
                let message = "the external learner has both a `command` and `python`";
                return wrong("command", message.into(), "leave one of them out");
            }
            (Some(python), true) if self.module().is_none() => {
                let message = format!("`python` = \"{python}\" names no function of a module");
                return wrong("python", message, "write \"module:function\"");
            }
            (Some(_), true) | (None, false) => {}
        }
        if self.limit().is_none() {
            let message = format!("`timeout` = \"{}\" is no time", self.timeout);
            return wrong(
                "timeout",
                message,
                "write 30s, 10m, 2h or 1d, of at least 1 s",
            );
        }
        ranges::check(self).map_err(|e| keys.out_of_range(&e))?;
        if self.default.is_some() && !self.retrain {
            let message = "`default` is a choice to be trained, and the learner trains none";
            let hint = "set `retrain = true` if it obeys the phase `train`";
            return wrong("default", message.into(), hint);
        }
        Ok(())
    }

    /// Module and function of `python`.
    pub fn module(&self) -> Option<(String, String)> {
        let (module, function) = self.python.as_ref()?.split_once(':')?;
        let names = |text: &str| {
            let part = |part: &str| {
                let mut letters = part.chars();
                let first = letters
                    .next()
                    .is_some_and(|c| c.is_alphabetic() || c == '_');
                first && letters.all(|c| c.is_alphanumeric() || c == '_')
            };
            text.split('.').all(part)
        };
        (names(module) && names(function)).then(|| (module.to_owned(), function.to_owned()))
    }

    /// Arguments of the commands that may be files. A program without a folder is looked up, as a shell
    /// would.
    fn named(&self) -> Vec<String> {
        let of = |command: &[String]| {
            let file = |(i, arg): (usize, &String)| {
                let path = Path::new(arg);
                let looked_up = i == 0 && path.components().count() == 1;
                (!looked_up && path.is_relative()).then(|| arg.clone())
            };
            command
                .iter()
                .enumerate()
                .filter_map(file)
                .collect::<Vec<_>>()
        };
        [of(&self.command), of(&self.version)].concat()
    }

    fn add_module(&mut self, module: &str, folder: &Path) {
        let stem = module.replace('.', "/");
        let names = [format!("{stem}.py"), format!("{stem}/__init__.py")];
        let there = |name: &String| {
            let known = self.files.iter().any(|file| file.name == *name);
            !known && folder.join(name).is_file()
        };
        if let Some(name) = names.into_iter().find(there) {
            let hash = None;
            let path = String::new();
            self.files.push(LearnerFile { name, path, hash });
        }
    }

    /// The folder in which Python looks for the module; none for one that is installed.
    pub fn modules(&self) -> Option<PathBuf> {
        let (module, _) = self.module()?;
        let stem = module.replace('.', "/");
        let file = self.files.iter().find(|file| {
            let name = Path::new(&file.name);
            name == Path::new(&format!("{stem}.py")) || name == Path::new(&stem).join("__init__.py")
        })?;
        // As many levels up as its name has.
        let levels = Path::new(&file.name).components().count();
        Path::new(&file.path)
            .ancestors()
            .nth(levels)
            .map(Path::to_owned)
    }

    /// A command with its files where they lie.
    pub fn found(&self, command: &[String]) -> Vec<String> {
        let place = |arg: &String| match self.files.iter().find(|file| file.name == *arg) {
            Some(file) => file.path.clone(),
            None => arg.clone(),
        };
        command.iter().map(place).collect()
    }

    /// Time of a call.
    pub fn limit(&self) -> Option<Duration> {
        let text = self.timeout.trim();
        let unit = text.char_indices().last().filter(|(_, c)| c.is_ascii())?.0;
        let number: f64 = text[..unit].trim().parse().ok()?;
        let seconds = match &text[unit..] {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let time = number * seconds;
        (1.0..=1e8)
            .contains(&time)
            .then(|| Duration::from_secs_f64(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(toml: &str) -> ExternalConfig {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn times_have_a_unit() {
        let limit = |text: &str| of(&format!("command = [\"a\"]\ntimeout = \"{text}\"")).limit();
        assert_eq!(limit("30s"), Some(Duration::from_secs(30)));
        assert_eq!(limit("1.5m"), Some(Duration::from_secs(90)));
        assert_eq!(limit("2 h"), Some(Duration::from_secs(7200)));
        for wrong in ["", "30", "s", "-1s", "0s", "1w", "nans", "infd", "3ä"] {
            assert_eq!(limit(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_function_has_a_module() {
        let module = |text: &str| of(&format!("python = \"{text}\"")).module();
        assert_eq!(module("a.b:c"), Some(("a.b".into(), "c".into())));
        for wrong in ["a", ":a", "a:", "../a:b", "a:b:c", "a b:c", "1a:b"] {
            assert_eq!(module(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_a_shell_would_look_up_is_no_file() {
        let config =
            of("command = [\"python3\", \"learn.py\", \"--k\", \"/etc/x\"]\nversion = [\"./v\"]");
        assert_eq!(config.named(), ["learn.py", "--k", "./v"]);
    }
}
