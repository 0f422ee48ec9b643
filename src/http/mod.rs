//! The HTTP edge: routes, one file a resource. A handler extracts, calls one service, maps the result.

pub mod body;
pub mod broadcast;
pub mod channels;
pub mod events;
pub mod health;
pub mod logs;
pub mod page;
pub mod problem;
pub mod publish;
pub mod query;
pub mod request_id;
pub mod sessions;

use actix_web::http::{Method, header};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, Route, web};

use crate::hub::shard_thread::LocalShard;
use problem::ApiError;

/// Adds every route, served by the shard of this thread.
pub fn configure(config: &mut web::ServiceConfig, shard: &LocalShard) {
    config.app_data(web::Data::new(shard.clone()));
    let resources = [
        readable("/", page::index),
        readable("/app.js", page::script),
        readable("/style.css", page::style),
        readable("/health", health::health),
        readable("/health/live", health::live),
        readable("/health/ready", health::ready),
        resource("/api/broadcast", [(Method::POST, web::post().to(broadcast::post))]),
        resource("/api/publish", [(Method::POST, web::post().to(publish::post))]),
        resource(
            "/api/events",
            [(Method::GET, web::get().to(events::get)), (Method::POST, web::post().to(events::post))],
        ),
        resource("/api/sessions/{session}/commands", [(Method::POST, web::post().to(sessions::command))]),
        readable("/api/channels", channels::list),
        // A channel's name may hold slashes, so it takes all that stands between.
        readable("/api/channels/{channel:.+}/history", channels::history),
        readable("/api/channels/{channel:.+}/presence", channels::presence),
    ];
    for resource in resources {
        config.service(resource);
    }
    config.default_service(web::to(not_found));
}

/// A path that is read; `HEAD` answers as `GET` does, without the body (RFC 9110, section 9.3.2).
fn readable<F, Args>(path: &str, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let get = (Method::GET, web::get().to(handler.clone()));
    resource(path, [get, (Method::HEAD, web::head().to(handler))])
}

/// A path and what may be done there; everything else is 405 with `Allow` (RFC 9110, section 15.5.6).
fn resource<const N: usize>(path: &str, routes: [(Method, Route); N]) -> Resource {
    let allow = routes.iter().map(|(method, _)| method.as_str()).collect::<Vec<_>>().join(", ");
    let resource = routes.into_iter().fold(web::resource(path), |resource, (_, route)| resource.route(route));
    resource.default_service(web::to(move |request: HttpRequest| {
        let allow = allow.clone();
        async move {
            let mut response = ApiError::MethodNotAllowed(request.method().to_string()).to_response();
            if let Ok(allow) = header::HeaderValue::from_str(&allow) {
                response.headers_mut().insert(header::ALLOW, allow);
            }
            response
        }
    }))
}

async fn not_found() -> HttpResponse {
    ApiError::NotFound.to_response()
}
