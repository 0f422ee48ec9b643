//! Formats one log record as one line: for people, or as a JSON object.
//!
//! A record may hold whatever a client sent. No content can end the line, forge another, hide
//! behind terminal codes or grow without bound, and secrets are masked.

use std::fmt::{self, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use log::kv::{self, Key, Value, VisitSource, VisitValue};
use log::{Level, Record};

use super::escape::{FIELD_BYTES_MAX, Place, push_escaped};
use super::redact::{MASK, is_secret_name, redacted};
use crate::config::LogFormat;

/// How lines look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Text or JSON.
    pub(super) format: LogFormat,
    /// Whether the level of a text line is coloured.
    pub(super) coloured: bool,
}

impl Style {
    /// The line, with its end.
    pub(super) fn line(self, time: DateTime<Utc>, record: &Record<'_>) -> String {
        let parts = Parts::of(time, record);
        let mut line = String::with_capacity(160);
        match self.format {
            LogFormat::Text => parts.push_text(&mut line, self.coloured),
            LogFormat::Json => parts.push_json(&mut line),
        }
        line.push('\n');
        line
    }
}

/// A record, without secrets and bounded, but not yet escaped.
struct Parts<'a> {
    time: String,
    level: Level,
    target: &'a str,
    message: String,
    fields: Fields,
}

impl<'a> Parts<'a> {
    fn of(time: DateTime<Utc>, record: &Record<'a>) -> Self {
        let mut fields = Fields::default();
        // The visitor itself never fails; a source that does has given what it could.
        let _ = record.key_values().visit(&mut fields);
        Self {
            time: time.to_rfc3339_opts(SecondsFormat::Millis, true),
            level: record.level(),
            target: record.target(),
            message: clean_text(record.args()),
            fields,
        }
    }

    fn push_text(&self, line: &mut String, coloured: bool) {
        let (on, off) = if coloured { (colour(self.level), "\u{1b}[0m") } else { ("", "") };
        line.extend([self.time.as_str(), " ", on, self.level.as_str(), off]);
        // Levels have four or five letters.
        line.push_str(if self.level.as_str().len() < 5 { "  " } else { " " });
        push_escaped(line, self.target, Place::Text);
        line.push_str(": ");
        push_escaped(line, &self.message, Place::Text);
        for (name, field) in &self.fields.0 {
            line.push(' ');
            push_escaped(line, name, Place::Text);
            line.push('=');
            match field {
                Field::Plain(text) => line.push_str(text),
                Field::Text(text) if is_word(text) => push_escaped(line, text, Place::Text),
                Field::Text(text) => push_quoted(line, text, Place::Quoted),
            }
        }
    }

    fn push_json(&self, line: &mut String) {
        line.push('{');
        for (name, text) in [("time", self.time.as_str()), ("level", level_name(self.level)), ("target", self.target)] {
            line.extend(["\"", name, "\":"]);
            push_quoted(line, text, Place::Json);
            line.push(',');
        }
        line.push_str("\"message\":");
        push_quoted(line, &self.message, Place::Json);
        for (name, field) in &self.fields.0 {
            line.push(',');
            push_quoted(line, name, Place::Json);
            line.push(':');
            match field {
                Field::Plain(text) => line.push_str(text),
                Field::Text(text) => push_quoted(line, text, Place::Json),
            }
        }
        line.push('}');
    }
}

/// Key and value pairs of a record, each key once.
#[derive(Default)]
struct Fields(Vec<(String, Field)>);

enum Field {
    /// A number, a boolean or null, as JSON writes it.
    Plain(String),
    /// Anything else.
    Text(String),
}

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        if self.0.len() == FIELDS_MAX {
            return Ok(());
        }
        let mut name = bounded(&key);
        let field = if is_secret_name(&name) { Field::Text(MASK.to_owned()) } else { Field::of(&value) };
        // A key that stands twice would leave it to the reader which one counts.
        while RESERVED.contains(&name.as_str()) || self.0.iter().any(|(other, _)| *other == name) {
            name.push('_');
        }
        self.0.push((name, field));
        Ok(())
    }
}

impl Field {
    fn of(value: &Value<'_>) -> Self {
        let mut reader = PlainReader(None);
        // What is no plain value is read as text below.
        let _ = value.visit(&mut reader);
        reader.0.map_or_else(|| Self::Text(clean_text(value)), Self::Plain)
    }
}

/// Picks out the values that JSON writes without quotes.
struct PlainReader(Option<String>);

impl VisitValue<'_> for PlainReader {
    fn visit_any(&mut self, _: Value<'_>) -> Result<(), kv::Error> {
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        self.0 = Some("null".to_owned());
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.0 = Some(value.to_string());
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.0 = Some(value.to_string());
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.0 = Some(value.to_string());
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        // JSON has no infinity; as text it can be read at least.
        self.0 = value.is_finite().then(|| value.to_string());
        Ok(())
    }
}

fn clean_text(value: &impl fmt::Display) -> String {
    redacted(&bounded(value)).into_owned()
}

/// The beginning of the text: a client may have sent megabytes.
fn bounded(value: &impl fmt::Display) -> String {
    let mut text = Bounded(String::new());
    // An error means that the text is full, or that its source gave up: what is there will do.
    let _ = write!(text, "{value}");
    text.0
}

/// Takes a little more than [`FIELD_BYTES_MAX`], so that escaping sees that something was cut.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = FIELD_BYTES_MAX + 1 - self.0.len().min(FIELD_BYTES_MAX + 1);
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.extend(text.char_indices().take_while(|(index, _)| *index < room).map(|(_, character)| character));
        Err(fmt::Error)
    }
}

fn push_quoted(line: &mut String, text: &str, place: Place) {
    line.push('"');
    push_escaped(line, text, place);
    line.push('"');
}

/// Whether a value can stand without quotes.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'\\=".contains(&byte))
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::Error => "\u{1b}[31m",
        Level::Warn => "\u{1b}[33m",
        Level::Info => "\u{1b}[32m",
        Level::Debug => "\u{1b}[34m",
        Level::Trace => "\u{1b}[36m",
    }
}

/// Keys of every line; a field of that name gets an underscore.
const RESERVED: [&str; 4] = ["time", "level", "target", "message"];

/// Most fields of one record.
const FIELDS_MAX: usize = 32;

#[cfg(test)]
mod tests;
