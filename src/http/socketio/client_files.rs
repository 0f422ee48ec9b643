//! The client library for pages that load it from the server, out of the npm package that the operator
//! has installed.

use std::path::Path;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::http::problem::ApiError;
use crate::hub::shard_thread::LocalShard;

/// What pages ask for, each with its map.
const FILES: [&str; 4] = ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"];

/// `GET /socket.io/{file}`.
///
/// # Errors
/// [`ApiError::NoSocketIoClient`] says what to set; [`ApiError::NotFound`] for anything but the library.
pub async fn file(
    request: HttpRequest,
    name: web::Path<String>,
    shard: web::Data<LocalShard>,
) -> Result<HttpResponse, ApiError> {
    let name = name.into_inner();
    if !FILES.contains(&name.strip_suffix(".map").unwrap_or(&name)) {
        return Err(ApiError::NotFound);
    }
    let folder = shard.hub().config.load().socketio_client_dir.clone().ok_or(ApiError::NoSocketIoClient)?;
    let is_map = name.ends_with(".map");
    let read = actix_rt::task::spawn_blocking(move || read(&folder, &name)).await;
    let (version, text) = read.ok().flatten().ok_or(ApiError::NoSocketIoClient)?;
    let tag = format!("\"{version}\"");
    let matches = request.headers().get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let is_known = matches.is_some_and(|tags| tags.split(',').any(|known| known.trim() == tag));
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, "public, max-age=0"))
        // Pages of other origins load it as a script.
        .insert_header(("cross-origin-resource-policy", "cross-origin"));
    if is_known {
        return Ok(response.finish());
    }
    let kind = if is_map { "application/json" } else { "application/javascript; charset=utf-8" };
    Ok(response.content_type(kind).body(text))
}

/// The version of the package, and the file.
fn read(folder: &Path, name: &str) -> Option<(String, Vec<u8>)> {
    let package = std::fs::read(folder.parent()?.join("package.json")).ok()?;
    let package: serde_json::Value = serde_json::from_slice(&package).ok()?;
    let version = package.get("version")?.as_str()?;
    let is_plain = version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+-".contains(&byte));
    let text = std::fs::read(folder.join(name)).ok()?;
    is_plain.then(|| (version.to_owned(), text))
}
