//! Santral's binary.
fn main() {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).init();
    let dir = std::env::var("SANTRAL_DATA_DIR").unwrap_or("data".into());
    let opts = santral::app::AppOptions {
        listen: std::env::var("SANTRAL_LISTEN").unwrap_or("127.0.0.1:8080".into()).parse().unwrap(),
        store: santral::store::StoreOptions {
            url: std::env::var("DATABASE_URL").unwrap_or(format!("sqlite:{dir}/santral.db")),
            durability: santral::ports::store::Durability::Disk,
            readers: 4,
        },
        retention: santral::ports::store::Retention {
            entries_max: 1_000_000,
            age_max: santral_core::limits::RETENTION_AGE,
        },
        hub: santral::hub::HubOptions {
            node: "n1".into(),
            workers: std::env::var("SANTRAL_WORKERS").unwrap_or("2".into()).parse().unwrap(),
            heartbeat: santral_core::limits::HEARTBEAT,
            durability: santral::ports::store::Durability::Disk,
            retention_age: santral_core::limits::RETENTION_AGE,
            message_bytes_max: 65536,
            streams_max: 18000,
        },
        http_connections_max: 1000,
        drain_window: std::time::Duration::from_secs(2),
    };
    if let Err(e) = santral::app::serve(opts) {
        eprintln!("{e}");
        std::process::exit(1)
    }
}
