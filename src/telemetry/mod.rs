//! Logs.

/// How log records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line, for programs.
    Json,
}

/// Starts logging.
pub fn init(level: &str, _format: LogFormat) {
    let _ = env_logger::Builder::new().parse_filters(level).try_init();
}
