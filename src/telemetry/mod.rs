//! Logs: `env_logger` filters, [`line`] formats, [`sink`] writes to stderr without blocking anybody.
//!
//! The command line starts it once; everyone else uses the macros of the `log` crate. Which records
//! are written can be changed at any time. Beside logs: [`metrics`], and what the
//! operating system says of the [`process`].

mod escape;
mod line;
pub mod metrics;
pub mod process;
mod redact;
mod sink;

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use arc_swap::ArcSwap;
use chrono::Utc;
use env_logger::Logger;
use log::{Level, Log, Metadata, Record};

use crate::config::LogFormat;
use line::Style;
use sink::Sink;

pub use sink::{LogGuard, lost_lines};

/// Starts logging to stderr, panics included. `filter` has been checked by the configuration.
///
/// # Errors
/// When no thread can be started, or logging was started before.
pub fn init(filter: &str, format: LogFormat) -> io::Result<LogGuard> {
    let style = Style { format, coloured: format == LogFormat::Text && wants_colours() };
    let (sink, guard) = Sink::start(io::stderr(), move |count| apology(style, count))?;
    LOG.set(FilteredLog { filter: ArcSwap::from_pointee(filter_of(filter)), style, sink })
        .map_err(|_| io::Error::other("the log was started before"))?;
    let log = LOG.get().expect("it was set just now");
    log::set_logger(log).map_err(io::Error::other)?;
    log.tell_macros();
    std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
    Ok(guard)
}

/// Changes which records are written, from now on. `filter` has been checked by the configuration.
pub fn set_filter(filter: &str) {
    if let Some(log) = LOG.get() {
        log.set_filter(filter);
    }
}

/// The log of this process.
static LOG: OnceLock<FilteredLog> = OnceLock::new();

/// Writes the records that the filter of the moment lets through.
struct FilteredLog {
    /// Filters only; it writes nothing.
    filter: ArcSwap<Logger>,
    style: Style,
    sink: Sink,
}

impl FilteredLog {
    fn set_filter(&self, filter: &str) {
        self.filter.store(filter_of(filter).into());
        self.tell_macros();
    }

    /// Spares records that nobody wants the way to us.
    fn tell_macros(&self) {
        log::set_max_level(self.filter.load().filter());
    }
}

impl Log for FilteredLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.load().enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if self.filter.load().matches(record) {
            self.sink.send(self.style.line(Utc::now(), record));
        }
    }

    fn flush(&self) {}
}

fn filter_of(directives: &str) -> Logger {
    env_logger::Builder::new().parse_filters(directives).build()
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc;

    use super::*;

    struct Lines(mpsc::Sender<String>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_filter_changes_while_the_log_runs() {
        let (sender, lines) = mpsc::channel();
        let style = Style { format: LogFormat::Text, coloured: false };
        let (sink, guard) = Sink::start(Lines(sender), |_| String::new()).expect("a thread");
        let log = FilteredLog { filter: ArcSwap::from_pointee(filter_of("warn")), style, sink };
        let write = |text: &str, target: &str| {
            log.log(&Record::builder().args(format_args!("{text}")).level(Level::Info).target(target).build());
        };
        write("one", "santral");
        log.set_filter("off,santral::http=info");
        assert_eq!(log::max_level(), log::LevelFilter::Info);
        write("two", "santral");
        write("three", "santral::http");
        log.set_filter("info");
        write("four", "santral");
        drop(guard);
        let written: Vec<String> = lines.try_iter().collect();
        assert_eq!(written.len(), 2, "{written:?}");
        assert!(written[0].contains("three") && written[1].contains("four"), "{written:?}");
    }
}
