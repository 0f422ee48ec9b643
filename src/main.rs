//! Santral's binary: everything is in the library, where tests reach it.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use santral::app::AppOptions;
use santral::config::Config;
use santral::hub::HubOptions;
use santral::ports::store::Retention;
use santral::store::StoreOptions;

fn main() -> ExitCode {
    santral::cli::run(|config| santral::app::serve(options(config)))
}

fn options(config: &Config) -> AppOptions {
    AppOptions {
        listen: config.listen,
        store: StoreOptions {
            url: config.database_url.reveal().to_owned(),
            durability: config.durability,
            readers: 4,
        },
        retention: Retention { entries_max: config.retention_messages, age_max: config.retention_age },
        hub: HubOptions {
            node: config.node.clone(),
            workers: config.workers,
            heartbeat: config.heartbeat,
            durability: config.durability,
            retention_age: config.retention_age,
            message_bytes_max: config.message_bytes_max,
            streams_max: config.descriptors.streams,
        },
        http_connections_max: config.descriptors.http_connections,
        drain_window: config.drain_window,
    }
}
