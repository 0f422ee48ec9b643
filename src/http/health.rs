//! `GET /health…`: for people, and for whoever restarts or routes around a server.

use actix_web::{HttpResponse, web};

use santral_schema::health::{Health, HealthStatus, Liveness, StorageHealth};

use super::access::Gate;
use crate::hub::Hub;
use crate::hub::shard_thread::LocalShard;
use crate::ports::store::StoreError;

/// `GET /health`: how the server does. Always 200 while it can answer.
#[utoipa::path(
    get,
    path = "/health",
    tag = "health",
    operation_id = "health",
    summary = "Read how the server does",
    description = "Always 200 while it can answer.",
    responses((status = 200, description = "How it does.", body = Health)),
    security(()),
)]
pub async fn health(shard: web::Data<LocalShard>, gate: web::Data<Gate>) -> HttpResponse {
    HttpResponse::Ok().json(report(shard.hub(), &gate))
}

/// `GET /health/live`: 200 as long as the process answers. A failing database is no reason to restart it.
#[utoipa::path(
    get,
    path = "/health/live",
    tag = "health",
    operation_id = "live",
    summary = "Whether the process lives",
    description = "For whoever restarts it. A failing database is no reason to restart.",
    responses((status = 200, description = "It lives.", body = Liveness)),
    security(()),
)]
pub async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(r#"{"status":"ok"}"#)
}

/// `GET /health/ready`: 200 while new clients may be sent here, else 503.
#[utoipa::path(
    get,
    path = "/health/ready",
    tag = "health",
    operation_id = "ready",
    summary = "Whether new clients may be sent here",
    description = "For whoever routes to it.",
    responses(
        (status = 200, description = "They may.", body = Health),
        (status = 503, description = "Not now.", body = Health),
    ),
    security(()),
)]
pub async fn ready(shard: web::Data<LocalShard>, gate: web::Data<Gate>) -> HttpResponse {
    let report = report(shard.hub(), &gate);
    match report.status {
        HealthStatus::Ok => HttpResponse::Ok().json(report),
        HealthStatus::Degraded | HealthStatus::Draining => HttpResponse::ServiceUnavailable().json(report),
    }
}

fn report(hub: &Hub, gate: &Gate) -> Health {
    let storage = match hub.writer.health() {
        Ok(()) => StorageHealth::Ok,
        Err(StoreError::Busy) => StorageHealth::Busy,
        Err(StoreError::Full) => StorageHealth::Full,
        Err(StoreError::Failed) => StorageHealth::Failed,
    };
    let status = match storage {
        _ if hub.is_draining() => HealthStatus::Draining,
        StorageHealth::Ok => HealthStatus::Ok,
        StorageHealth::Busy | StorageHealth::Full | StorageHealth::Failed => HealthStatus::Degraded,
    };
    Health {
        status,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node: hub.options.node.clone(),
        open: gate.openness.is_open(),
        storage,
        streams: hub.streams(),
        uptime_seconds: hub.uptime().as_secs(),
    }
}
