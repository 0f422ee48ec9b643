//! Logs: `env_logger` filters, [`line`] formats, [`sink`] writes to stderr without blocking anybody.
//!
//! The command line starts it once; everyone else uses the macros of the `log` crate.

mod escape;
mod line;
mod redact;
mod sink;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use chrono::Utc;
use env_logger::{Builder, Target};
use log::{Level, Record};

use crate::config::LogFormat;
use line::Style;
use sink::Sink;

pub use sink::LogGuard;

/// Starts logging to stderr, panics included. `filter` has been checked by the configuration.
///
/// # Errors
/// When no thread can be started, or logging was started before.
pub fn init(filter: &str, format: LogFormat) -> io::Result<LogGuard> {
    let style = Style { format, coloured: format == LogFormat::Text && wants_colours() };
    let (sink, guard) = Sink::start(io::stderr(), move |count| apology(style, count))?;
    Builder::new()
        .parse_filters(filter)
        .target(Target::Pipe(Box::new(sink)))
        .format(move |buffer, record| buffer.write_all(style.line(Utc::now(), record).as_bytes()))
        .try_init()
        .map_err(io::Error::other)?;
    std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    Ok(guard)
}

/// The text without the secrets that can be told by their surroundings, for what is no log record.
#[must_use]
pub fn without_secrets(text: &impl Display) -> String {
    redact::redacted(&text.to_string()).into_owned()
}

/// Whether the value of a field of this name is a secret, whatever it is.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    redact::is_secret_name(name)
}

fn apology(style: Style, count: u64) -> String {
    let args = format_args!("log records were lost, because nobody reads the log fast enough");
    let fields = [("count", count)];
    style.line(
        Utc::now(),
        &Record::builder().args(args).level(Level::Warn).target(module_path!()).key_values(&fields).build(),
    )
}

/// See no-color.org.
fn wants_colours() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    io::stderr().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}
