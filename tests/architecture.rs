//! The law of the layers, and the habits that a machine can check. Reads text, runs in a moment.
//!
//! Changing a row of [`LAYERS`] or [`CRATES`] needs a decision record in docs/decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Module of `src`, and which other modules of `src` it may name. Dependencies point down.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["app", "cli"]),
    ("cli", &["auth", "config", "doctor", "ports", "service", "store", "telemetry"]),
    ("app", &["auth", "config", "http", "hub", "ports", "service", "store", "telemetry", "transport"]),
    ("http", &["auth", "config", "hub", "ports", "service", "telemetry", "transport"]),
    ("transport", &["auth", "config", "http", "hub", "service"]),
    ("service", &["auth", "config", "hub", "ports", "telemetry"]),
    ("hub", &["config", "ports", "telemetry"]),
    ("auth", &["config", "ports"]),
    ("doctor", &["config", "ports"]),
    ("store", &["ports"]),
    ("telemetry", &["config"]),
    ("config", &["ports"]),
    ("ports", &[]),
];

/// Words that stand for a crate or a facility, and where alone they may stand.
const CRATES: &[(&str, &[&str])] = &[
    ("diesel", &["src/store/"]),
    ("diesel_migrations", &["src/store/"]),
    ("r2d2", &["src/store/"]),
    ("actix_web", &["src/http/", "src/transport/"]),
    ("actix_http", &["src/transport/"]),
    ("actix_server", &["src/transport/"]),
    ("mio", &["src/hub/"]),
    ("clap", &["src/cli/", "src/config/"]),
    ("toml", &["src/config/"]),
    ("env_logger", &["src/telemetry/"]),
    ("std::env", &["src/cli/", "src/config/", "src/telemetry/"]),
];

/// What the sans-I/O crate must not know: clocks, threads, sockets, locks, chance.
const FORBIDDEN_IN_CORE: &[&str] = &[
    "std::net",
    "std::fs",
    "std::env",
    "std::thread",
    "Instant",
    "SystemTime",
    "Mutex",
    "RwLock",
    "mpsc",
    "RandomState",
    "tokio",
    "actix",
    "diesel",
    "nanoid",
    "async ",
];

/// Lines of a file without its unit tests.
const FILE_LINES_MAX: usize = 500;

#[test]
fn dependencies_between_modules_point_down() {
    let law: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let mut broken = Vec::new();
    for (path, text) in production_files("src") {
        let module = module_of(&path);
        let Some(allowed) = law.get(module.as_str()) else {
            if module != "lib" {
                broken.push(format!("{path}: the module {module} has no row in LAYERS"));
            }
            continue;
        };
        for named in crate_paths(&text) {
            if named != module && !allowed.contains(&named.as_str()) {
                broken.push(format!("{path}: {module} may not name {named}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn each_outside_crate_is_named_in_its_own_layer_only() {
    let mut broken = Vec::new();
    for (path, text) in production_files("src") {
        for (word, places) in CRATES {
            let is_named = text.contains(&format!("{word}::")) || text.contains(&format!("use {word};"));
            if is_named && !places.iter().any(|place| path.starts_with(place)) {
                broken.push(format!("{path} names {word}, which belongs to {places:?}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn core_knows_no_clock_thread_lock_socket_or_chance() {
    let mut broken = Vec::new();
    for (path, text) in production_files("core/src").into_iter().chain(production_files("shared-schema/src")) {
        for word in FORBIDDEN_IN_CORE {
            // `OnceLock` makes a frame once; it never waits for anything but that.
            if text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word)) {
                broken.push(format!("{path} names {word}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_crate_forbids_unsafe_code() {
    for root in ["src/lib.rs", "core/src/lib.rs", "shared-schema/src/lib.rs", "testkit/src/lib.rs"] {
        assert!(read(root).contains("#![forbid(unsafe_code)]"), "{root}");
    }
    let workspace = read("Cargo.toml");
    assert!(workspace.contains("unsafe_code = \"forbid\""));
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut broken = Vec::new();
    for folder in ["src", "core", "shared-schema/src", "testkit", "benches", "tests"] {
        for (path, text) in rust_files(folder) {
            if !text.starts_with("//!") {
                broken.push(format!("{path} does not begin with //!"));
            }
            let lines = without_tests(&text).lines().count();
            if lines > FILE_LINES_MAX {
                broken.push(format!("{path} has {lines} lines; split it by concept"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// INV-12: every queue has a bound, and no lint is silenced without a reason.
#[test]
fn nothing_is_unbounded_and_no_lint_is_silenced() {
    let mut broken = Vec::new();
    for (path, text) in production_files("src").into_iter().chain(production_files("core/src")) {
        for word in ["unbounded", "mpsc::channel()", "#[allow(", "#![allow(", "todo!(", "unimplemented!("] {
            if text.contains(word) {
                broken.push(format!("{path} has {word}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_numbered_invariant_is_named_by_a_test() {
    let declared = invariants(&read("ARCHITECTURE.md"));
    assert!(!declared.is_empty(), "ARCHITECTURE.md numbers its invariants");
    let mut named = BTreeSet::new();
    for folder in ["tests", "core/tests"] {
        for (_, text) in rust_files(folder) {
            named.extend(invariants(&text));
        }
    }
    for (_, text) in rust_files("src").into_iter().chain(rust_files("core/src")) {
        named.extend(invariants(text.strip_prefix(without_tests(&text)).unwrap_or_default()));
    }
    let missing: Vec<_> = declared.difference(&named).collect();
    assert!(missing.is_empty(), "no test names {missing:?}");
    let unknown: Vec<_> = named.difference(&declared).collect();
    assert!(unknown.is_empty(), "ARCHITECTURE.md lacks {unknown:?}");
}

#[test]
fn the_project_names_no_place_outside_of_itself() {
    let mut broken = Vec::new();
    for path in tracked_text_files() {
        let text = fs::read_to_string(root().join(&path)).unwrap_or_default();
        // Put together here, so that this file does not name them.
        for word in [["..", "/shared/"].concat(), ["/ro", "ot/"].concat(), ["/wo", "rk/"].concat()] {
            if text.contains(&word) {
                broken.push(format!("{path} names {word}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Paths, relative to the root, with their text.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut |path| {
        if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root()).expect("below the root").display().to_string();
            found.push((relative, fs::read_to_string(path).unwrap_or_default()));
        }
    });
    found
}

fn production_files(folder: &str) -> Vec<(String, String)> {
    rust_files(folder).into_iter().map(|(path, text)| (path, without_tests(&text).to_owned())).collect()
}

fn tracked_text_files() -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["src", "core", "shared-schema", "testkit", "benches", "tests", "deploy", "docs", "web", "migrations"]
    {
        walk(&root().join(folder), &mut |path| {
            found.push(path.strip_prefix(root()).expect("below the root").display().to_string());
        });
    }
    found.extend(["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Cargo.toml"].map(str::to_owned));
    found
}

fn walk(folder: &Path, visit: &mut impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && name != "node_modules" {
                walk(&path, visit);
            }
        } else {
            visit(&path);
        }
    }
}

fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

/// `src/hub/writer.rs` and `src/hub/mod.rs` belong to `hub`, `src/app.rs` to `app`.
fn module_of(path: &str) -> String {
    let below = path.trim_start_matches("src/");
    below.split('/').next().unwrap_or(below).trim_end_matches(".rs").to_owned()
}

/// Modules of our own crate that the text names by `crate::` or, in the binary, `santral::`.
fn crate_paths(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for prefix in ["crate::", "santral::"] {
        for (at, _) in text.match_indices(prefix) {
            let rest = &text[at + prefix.len()..];
            let name: String =
                rest.chars().take_while(|letter| letter.is_ascii_lowercase() || *letter == '_').collect();
            if !name.is_empty() {
                named.insert(name);
            }
        }
    }
    named
}

fn invariants(text: &str) -> BTreeSet<String> {
    let digits = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>();
    let numbers = text.match_indices("INV-").map(|(at, _)| digits(&text[at + 4..]));
    numbers.filter(|number| !number.is_empty()).map(|number| format!("INV-{number}")).collect()
}
