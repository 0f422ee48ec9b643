//! The settings for people: docs/settings.md, and what `santral check-config` prints.

use std::fmt::Write;

use super::key::{NOTHING, Reach};
use super::keys::KEYS;
use super::{Loaded, Setting};

/// The text of docs/settings.md, which a test keeps fresh.
#[must_use]
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for key in KEYS {
        let (name, variable, flag) = (key.name, key.variable(), key.flag());
        let (expected, default) = (key.form.expected(), key.default.described());
        let changed = match key.reach {
            Reach::Live => "while running, by the API",
            Reach::Start => "at a start only",
        };
        write!(
            text,
            "\n## `{name}`\n\n{}\n\n| | |\n|---|---|\n| values | {} |\n| default | {} |\n| changed | {changed} |\n| environment | `{variable}` |\n| flag | `--{flag}` |\n",
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
    let (keys, values) = (widest(|setting| setting.key.len()), widest(|setting| line(setting).chars().count()));
    let mut text = String::new();
    for setting in &loaded.settings {
        let Setting { key, origin, .. } = setting;
        let shown = line(setting);
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

/// The value on one line, whatever a path holds.
fn line(setting: &Setting) -> String {
    let text = if setting.shown.is_empty() { NOTHING } else { &setting.shown };
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

# Settings

Nothing needs to be configured. A setting is taken from the first of these that names it:

1. what the API has set: `POST /api/settings`, kept in the database;
2. a flag, like `--listen 127.0.0.1:9000`;
3. an environment variable, like `SANTRAL_LISTEN=127.0.0.1:9000`; an empty one counts as not set;
4. a TOML file, like `listen = \"127.0.0.1:9000\"`: the one that `--config` or `SANTRAL_CONFIG` names,
   else `santral.toml` in the current directory, if there is one;
5. the default.

Each setting below says whether it can be changed while the server runs:

```sh
curl -X POST -H 'content-type: application/json' localhost:8080/api/settings \\
     -d '{\"key\":\"max_connections\",\"value\":1000,\"description\":\"a small machine\"}'
```

Such a change is checked, stored, and in force when the answer comes. In JSON, numbers are numbers, switches
`true` or `false`, time spans text like `\"25s\"`, lists arrays of text; the text that a flag would take is
understood too (`\"1000\"`). A value that is refused changes nothing. `DELETE /api/settings/{key}` goes back to
what flag, environment, file or default say, `GET /api/settings/history` tells who changed what. A server that
nobody can get into any more starts without what was set when it is given `--ignore-stored-settings`.

A list in a flag or variable is written with commas (`SANTRAL_CORS_ORIGINS=https://a.example,https://b.example`),
in the file as an array or the same text. An empty list is `[]` in the file and in JSON, and `--key=` as a flag.

Unknown flags, unknown keys in the file and unknown variables that begin with `SANTRAL_` are errors, so that
a slip of the pen is not taken for a default. Variables that Kubernetes makes up for a service called
`santral` are ignored. All errors are reported at once. `santral check-config` shows every setting, its
value without changes by the API and where it came from, without passwords.

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
