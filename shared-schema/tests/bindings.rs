//! The committed TypeScript types are those of the code.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use santral_schema::{access, channels, event_log, events, health, problem, publish, reason, sessions};
use ts_rs::{Config, TS};

/// Lists the declarations of types, each with its documentation.
macro_rules! declarations {
    ($config:expr, $($type:ty),+ $(,)?) => {
        [$(declaration::<$type>($config)),+]
    };
}

#[test]
fn the_typescript_types_are_fresh() {
    let text = bindings();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bindings/santral.ts");
    if env::var_os("SANTRAL_UPDATE_DOCS").is_some() {
        fs::write(&path, &text).expect("the bindings can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "bindings/santral.ts is stale; run: SANTRAL_UPDATE_DOCS=1 cargo test -p santral-schema");
}

#[test]
fn no_wire_type_is_left_out() {
    let bindings = bindings();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(sources).expect("the source can be read") {
        let source = fs::read_to_string(entry.expect("an entry can be read").path()).expect("a file can be read");
        let lines: Vec<_> = source.lines().map(str::trim).collect();
        for (index, derive) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("#[derive(")) {
            let declared = |line: &&str| {
                let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
                rest.split([' ', ';', '{']).next().map(str::to_owned)
            };
            let name = lines[index..].iter().find_map(declared).expect("a type follows its derive");
            let is_exported = bindings.contains(&format!("export type {name} "));
            assert!(is_exported, "{name} is not in bindings/santral.ts: {derive}");
        }
    }
}

/// What the file should hold.
fn bindings() -> String {
    let config = Config::new().with_large_int("number");
    let declarations = declarations![
        &config,
        publish::PublishItem,
        publish::Receipt,
        publish::ReceiptDurability,
        sessions::StreamRequest,
        sessions::StreamFormat,
        events::Hello,
        events::Envelope,
        events::From,
        events::Gap,
        events::GapReason,
        events::PresenceChange,
        events::PresenceKind,
        events::Bye,
        reason::DisconnectReason,
        sessions::Command,
        sessions::HistoryCommand,
        sessions::PresenceCommand,
        sessions::PingCommand,
        sessions::Subscriptions,
        sessions::Pong,
        channels::ChannelList,
        channels::ChannelItem,
        channels::History,
        channels::Presence,
        channels::PresentSession,
        access::Role,
        event_log::EventLevel,
        event_log::EventType,
        event_log::LoggedEvent,
        event_log::EventList,
        event_log::EventsCleared,
        health::Health,
        health::HealthStatus,
        health::StorageHealth,
        problem::Problem,
        problem::ProblemCode,
    ];
    let mut text = "// Wire types of Santral, see docs/protocol.md.\n\
        // Generated from shared-schema/src. Do not edit; run: SANTRAL_UPDATE_DOCS=1 cargo test -p santral-schema\n"
        .to_owned();
    for declaration in declarations {
        write!(text, "\n{declaration}").expect("a String takes all text");
    }
    text
}

/// A declaration on lines of its own, indented by its braces.
fn declaration<T: TS>(config: &Config) -> String {
    let mut text = T::docs().unwrap_or_default();
    let declared = format!("export {}\n", T::decl(config)).replace(", };", ",\n};");
    let mut depth = 0;
    for line in declared.lines().map(str::trim_end) {
        depth -= usize::from(line.starts_with('}'));
        let is_comment_body = line.starts_with(" *");
        let indent = " ".repeat(4 * depth);
        writeln!(text, "{indent}{line}").expect("a String takes all text");
        depth += usize::from(!is_comment_body && line.ends_with('{'));
    }
    text
}
