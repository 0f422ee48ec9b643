//! Gathers what file, environment and flags say, and decides which of them holds.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::forms::Form;
use super::key::{Basis, Key};
use super::keys::KEYS;
use super::nearest::nearest;
use super::problem::{Origin, Problem};

/// Everything that the configuration is read from.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Flags of the command line: name of the setting (as in the file) and value.
    pub flags: Vec<(String, String)>,
    /// The value of `--config`.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The current directory, where `santral.toml` is looked for.
    pub folder: PathBuf,
    /// The limit on open files.
    pub descriptors: u64,
}

/// One setting as it holds, for people.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its name.
    pub key: &'static str,
    /// Its value, without secrets.
    pub shown: String,
    /// Who said so.
    pub origin: Origin,
}

/// The text of every setting and where it came from, defaults included: what holds without changes.
#[derive(Clone)]
pub(super) struct Base {
    texts: HashMap<&'static str, (String, Origin)>,
    descriptors: u64,
}

/// Without the texts: some are secrets.
impl fmt::Debug for Base {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Base").field("descriptors", &self.descriptors).finish_non_exhaustive()
    }
}

impl Base {
    /// The text of a setting and where it came from.
    pub(super) fn text(&self, key: &Key) -> (&str, &Origin) {
        let (text, origin) = self.texts.get(key.name).expect("the text of every setting was pinned");
        (text, origin)
    }
}

/// What was said, and what is wrong with it.
pub(super) struct Resolver {
    given: HashMap<&'static str, (String, Origin)>,
    basis: Basis,
    pub(super) settings: Vec<Setting>,
    pub(super) problems: Vec<Problem>,
}

impl Resolver {
    /// Gathers everything; of one setting, the strongest source is kept.
    pub(super) fn gather(inputs: &Inputs) -> Self {
        let basis = Basis { data_dir: String::new(), descriptors: inputs.descriptors };
        let mut resolver = Self { given: HashMap::new(), basis, settings: Vec::new(), problems: Vec::new() };
        if let Some((path, required)) = config_file(inputs) {
            resolver.gather_file(&path, required);
        }
        // Sorted, so that errors come in the same order every time and SANTRAL_DATABASE_URL
        // overrides DATABASE_URL.
        let mut variables: Vec<_> = inputs.environment.iter().collect();
        variables.sort();
        for (name, value) in variables {
            resolver.gather_variable(name, value);
        }
        for (name, value) in &inputs.flags {
            if let Some(key) = KEYS.iter().find(|key| key.name == name) {
                resolver.given.insert(key.name, (value.clone(), Origin::Flag(key.flag())));
            }
        }
        resolver.basis.data_dir = resolver.text(key_named("data_dir")).0;
        // Drawn once: a random default must stay the same when other settings change.
        for key in KEYS {
            let pinned = resolver.text(key);
            resolver.given.insert(key.name, pinned);
        }
        resolver
    }

    /// The same with what the API has set.
    pub(super) fn with_stored(base: &Base, stored: &BTreeMap<&'static str, String>) -> Self {
        let mut given = base.texts.clone();
        given.extend(stored.iter().map(|(key, text)| (*key, (text.clone(), Origin::Database))));
        // Nothing is derived any more: every text is there.
        let basis = Basis { data_dir: String::new(), descriptors: base.descriptors };
        Self { given, basis, settings: Vec::new(), problems: Vec::new() }
    }

    /// What was read, and the texts that it was read from.
    pub(super) fn into_parts(self) -> (Vec<Setting>, Base) {
        (self.settings, Base { texts: self.given, descriptors: self.basis.descriptors })
    }

    /// The limit on open files.
    pub(super) fn descriptors(&self) -> u64 {
        self.basis.descriptors
    }

    /// The value of one setting; `None` when it is not as it should be, which is noted.
    pub(super) fn read<F: Form>(&mut self, name: &'static str, form: &F) -> Option<F::Value> {
        let (text, origin) = self.text(key_named(name));
        let value = form.parse(&text);
        if value.is_none() {
            let quoted = form.quotable().then(|| quote(&text));
            let expected = form.expected();
            self.problems.push(Problem::Value { key: name, origin, value: quoted, expected });
        } else {
            self.settings.push(Setting { key: name, shown: form.shown(&text), origin });
        }
        value
    }

    /// Notes the problem, if it is one.
    pub(super) fn check<T, E: Into<Problem>>(&mut self, outcome: Result<T, E>) -> Option<T> {
        outcome.map_err(|error| self.problems.push(error.into())).ok()
    }

    fn text(&self, key: &'static Key) -> (String, Origin) {
        let given = self.given.get(key.name).cloned();
        given.unwrap_or_else(|| (key.default.text(&self.basis), Origin::Default))
    }

    fn gather_file(&mut self, path: &Path, required: bool) {
        let text = match read_bounded(path) {
            Ok(text) => text,
            Err(error) if !required && error.kind() == io::ErrorKind::NotFound => return,
            Err(source) => return self.problems.push(Problem::Unreadable { path: path.to_owned(), source }),
        };
        match text.parse::<toml::Table>() {
            Ok(table) => table.iter().for_each(|(name, value)| self.gather_entry(path, name, value)),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
                let message = error.message().to_owned();
                self.problems.push(Problem::Syntax { path: path.to_owned(), line, message });
            }
        }
    }

    fn gather_entry(&mut self, path: &Path, name: &str, value: &toml::Value) {
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            let nearest = nearest(name, KEYS.iter().map(|key| key.name)).map(str::to_owned);
            return self.problems.push(Problem::UnknownKey { path: path.to_owned(), key: name.to_owned(), nearest });
        };
        let origin = Origin::File(path.to_owned());
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(value) => value.to_string(),
            toml::Value::Array(items) => match list_text(key, items) {
                Some(text) => text,
                None => return self.problems.push(shapeless(key, origin)),
            },
            toml::Value::Datetime(_) | toml::Value::Table(_) => return self.problems.push(shapeless(key, origin)),
        };
        self.given.insert(key.name, (text, origin));
    }

    fn gather_variable(&mut self, name: &OsStr, value: &OsStr) {
        let name = name.to_string_lossy();
        let key = if name == "DATABASE_URL" {
            key_named("database_url")
        } else if name.starts_with(PREFIX) && name != CONFIG_VARIABLE {
            match KEYS.iter().find(|key| key.variable() == name) {
                Some(key) => key,
                None if is_from_kubernetes(&name, value) => return,
                None => return self.problems.push(unknown_variable(&name)),
            }
        } else {
            return;
        };
        // Compose files and unit files often pass an empty variable on for one that is not set.
        if value.is_empty() {
            return;
        }
        let origin = Origin::Environment(name.into_owned());
        match value.to_str() {
            Some(text) => _ = self.given.insert(key.name, (text.to_owned(), origin)),
            None => self.problems.push(Problem::Encoding { key: key.name.to_owned(), origin }),
        }
    }
}

/// What stands there has no text at all.
fn shapeless(key: &'static Key, origin: Origin) -> Problem {
    Problem::Value { key: key.name, origin, value: None, expected: key.form.expected() }
}

/// The text of an array where the setting is a list.
fn list_text(key: &Key, items: &[toml::Value]) -> Option<String> {
    let items = items.iter().map(|item| item.as_str().map(serde_json::Value::from)).collect::<Option<_>>()?;
    key.text_of(&serde_json::Value::Array(items))
}

/// The file to read, and whether it must exist.
fn config_file(inputs: &Inputs) -> Option<(PathBuf, bool)> {
    let variable = inputs.environment.iter().find(|(name, value)| name == CONFIG_VARIABLE && !value.is_empty());
    let named = inputs.file.clone().or_else(|| variable.map(|(_, value)| PathBuf::from(value)));
    Some(named.map_or_else(|| (inputs.folder.join(CONFIG_FILE), false), |path| (inputs.folder.join(path), true)))
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
}

fn key_named(name: &str) -> &'static Key {
    KEYS.iter().find(|key| key.name == name).expect("the macro that reads a key has declared it")
}

fn unknown_variable(name: &str) -> Problem {
    let variables: Vec<String> = KEYS.iter().map(Key::variable).chain([CONFIG_VARIABLE.to_owned()]).collect();
    // Without the prefix, which all share and which would make all of them near.
    let suffixes = variables.iter().map(|variable| &variable[PREFIX.len()..]);
    let nearest = nearest(&name[PREFIX.len()..], suffixes).map(|suffix| format!("{PREFIX}{suffix}"));
    Problem::UnknownVariable { name: name.to_owned(), nearest }
}

/// Kubernetes gives every container variables about the services of its namespace: one called
/// `santral` or `santral-<name>` must not keep the server from starting.
fn is_from_kubernetes(name: &str, value: &OsStr) -> bool {
    const PROTOCOLS: [&str; 3] = ["tcp", "udp", "sctp"];
    let is_link = |text: &str| PROTOCOLS.iter().any(|protocol| text.starts_with(&format!("{protocol}://")));
    let is_port = PROTOCOLS.iter().any(|protocol| name.contains(&format!("_{}", protocol.to_uppercase())));
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && value.to_str().is_some_and(is_link))
        || (name.contains("_PORT_") && is_port)
}

fn quote(text: &str) -> String {
    let short: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    let rest = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{rest}")
}

/// What our environment variables begin with.
const PREFIX: &str = "SANTRAL_";

/// Names the file, as `--config` does.
const CONFIG_VARIABLE: &str = "SANTRAL_CONFIG";

/// Read when it is there and no other file is named.
const CONFIG_FILE: &str = "santral.toml";

/// A larger file is a mistake.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Of a wrong value, this much is quoted.
const QUOTED_CHARS_MAX: usize = 100;
