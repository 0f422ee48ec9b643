//! The settings for people: docs/config.md, and what `santral check-config` prints.

use std::fmt::Write;

use super::keys::KEYS;
use super::{Loaded, Setting};

/// The text of docs/config.md, which a test keeps fresh.
#[must_use]
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for key in KEYS {
        let (name, variable, flag) = (key.name, key.variable(), key.flag());
        let (expected, default) = (key.form.expected(), key.default.shown());
        write!(
            text,
            "\n## `{name}`\n\n{}\n\n| | |\n|---|---|\n| values | {} |\n| default | {} |\n| environment | `{variable}` |\n| flag | `--{flag}` |\n",
            key.about(),
            cell(&expected),
            cell(&default),
        )
        .expect("writing to a string cannot fail");
    }
    text
}

/// Every setting with its effective value and its origin, one a line, without secrets.
#[must_use]
pub fn explain(loaded: &Loaded) -> String {
    let widest = |width: fn(&Setting) -> usize| loaded.settings.iter().map(width).max().unwrap_or(0);
    let (keys, values) = (widest(|setting| setting.key.len()), widest(|setting| line(&setting.shown).chars().count()));
    let mut text = String::new();
    for setting in &loaded.settings {
        let Setting { key, shown, origin } = setting;
        let shown = line(shown);
        writeln!(text, "{key:keys$}  {shown:values$}  {origin}").expect("writing to a string cannot fail");
    }
    let shares = loaded.config.descriptors;
    writeln!(
        text,
        "\nOpen files allow {} streams beside {} plain connections; {} are kept in reserve.",
        shares.streams, shares.http_connections, shares.reserve
    )
    .expect("writing to a string cannot fail");
    text
}

/// On one line, whatever a path holds.
fn line(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let harmful = character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
            let (escaped, plain) =
                if harmful { (Some(character.escape_default()), None) } else { (None, Some(character)) };
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "\\<")
}

const INTRODUCTION: &str = "\
<!-- Generated from src/config/keys.rs. Do not edit; run: SANTRAL_UPDATE_DOCS=1 cargo test --test it config -->

# Configuration

Nothing needs to be configured. A setting is taken from the first of these that names it:

1. a flag, like `--listen 127.0.0.1:9000`;
2. an environment variable, like `SANTRAL_LISTEN=127.0.0.1:9000`; an empty one counts as not set;
3. a TOML file, like `listen = \"127.0.0.1:9000\"`: the one that `--config` or `SANTRAL_CONFIG` names,
   else `santral.toml` in the current directory, if there is one;
4. the default.

Unknown flags, unknown keys in the file and unknown variables that begin with `SANTRAL_` are errors, so that
a slip of the pen is not taken for a default. Variables that Kubernetes makes up for a service called
`santral` are ignored. All errors are reported at once. `santral check-config` shows every setting, its
effective value and where it came from, without passwords.

Other users of the machine can see the flags of a process: pass a password in the environment or in a
file that only the server can read.

## Exit codes

| code | meaning |
|---|---|
| 0 | done; a server was asked to stop and did |
| 1 | `healthcheck`: the server is not ready, or could not be asked; `doctor`: something failed; `create-admin`, `token`: refused |
| 64 | the command line cannot be read: unknown flag or command |
| 69 | the server could not start or go on: address in use, database unreachable; `migrate`: database unreachable |
| 70 | what should not happen: no thread could be started for the log |
| 78 | the configuration is wrong |
";
