//! The description of the API (OpenAPI 3.1): made from the handlers, completed by what all operations share.
//!
//! A handler names its 200 and the error statuses that are its own, without a body. Added here: the
//! statuses that follow from what an operation takes (a body, parameters, credentials), the problem
//! document behind each error status, and the headers of every answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header;
use santral_schema::problem::{Problem, ProblemCode};
use santral_schema::{event_log, events, grammar};
use serde_json::Value;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, ContentBuilder, Ref, RefOr, Response, ResponseBuilder, Schema};
use utoipa::{Modify, OpenApi};

use super::{
    api_keys, auth, broadcast, channels, connections, emitter, events as streams, health, logs, participants, poll,
    publish, query, sessions, settings, stats, tickets, users, video_rooms, webrtc, websocket,
};

/// The description, made once.
static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());

/// Every operation, and the types that no operation names.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Santral",
        description = "A realtime server whose messages arrive. Every error answer is a problem document (RFC 9457) with a stable `code`."
    ),
    servers((url = "/", description = "This server")),
    paths(
        broadcast::post,
        publish::post,
        emitter::post,
        streams::get,
        streams::post,
        websocket::get,
        websocket::get_short,
        poll::get,
        sessions::command,
        video_rooms::list,
        video_rooms::create,
        video_rooms::get,
        video_rooms::change,
        video_rooms::close,
        video_rooms::invite,
        participants::join,
        participants::leave,
        participants::change,
        participants::remove,
        participants::lobby,
        participants::host,
        webrtc::signal,
        webrtc::ice_servers,
        webrtc::stats,
        channels::list,
        channels::history,
        channels::presence,
        auth::register,
        auth::login,
        auth::refresh,
        auth::logout,
        auth::me,
        auth::password,
        auth::set_up,
        tickets::create,
        users::list,
        users::create,
        users::change,
        api_keys::list,
        api_keys::create,
        api_keys::revoke,
        connections::list,
        connections::act,
        connections::detail,
        connections::kick,
        connections::blocks,
        connections::unblock,
        logs::list,
        logs::clear,
        logs::follow,
        logs::export,
        settings::list,
        settings::set,
        settings::history,
        settings::get,
        settings::remove,
        stats::get,
        stats::follow,
        stats::metrics,
        health::health,
        health::live,
        health::ready,
        get,
    ),
    components(schemas(
        events::Hello,
        events::Gap,
        events::PresenceChange,
        events::Bye,
        event_log::EventType,
        Problem,
        // Parameters of queries do not bring their types along.
        grammar::ChannelPrefix,
        query::Switch,
        logs::ExportFormat,
    )),
    tags(
        (name = "publish", description = "Send messages."),
        (name = "streams", description = "Receive messages, and steer what is received."),
        (name = "channels", description = "Read channels: the list, the history, who is there."),
        (name = "video", description = "Video rooms: who meets where, and the signals by which browsers find each other."),
        (name = "accounts", description = "Sign in, and who else may; API keys of servers, tickets of streams."),
        (name = "connections", description = "Who is connected, and steering them."),
        (name = "logs", description = "What happened."),
        (name = "settings", description = "What holds, changed while the server runs."),
        (name = "stats", description = "How the server does, in numbers."),
        (name = "health", description = "For people, and for whoever restarts or routes around a server."),
        (name = "description", description = "This description."),
    ),
    security(("bearer" = [])),
    modifiers(&Shared),
)]
struct Api;

/// `GET /api/openapi.json`.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "description",
    operation_id = "readDescription",
    summary = "Read the description of the API",
    description = "OpenAPI 3.1. People read it at `/api/docs`.",
    responses((status = 200, description = "This document.", body = Object, content_type = "application/json")),
    security(()),
)]
pub async fn get() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(TEXT.as_str())
}

/// The description of the API, complete.
///
/// # Panics
/// Never: a description has string keys and no failing serializer.
#[must_use]
pub fn document() -> Value {
    let mut document = serde_json::to_value(Api::openapi()).expect("a description has string keys");
    // utoipa's headers do not know the word.
    document["components"]["headers"]["X-Request-Id"]["required"] = true.into();
    // An answer to `auth` has all that one to `subscribe` has.
    if let Some(answer) = document["components"]["schemas"]["CommandAnswer"].as_object_mut()
        && let Some(kinds) = answer.remove("oneOf")
    {
        answer.insert("anyOf".to_owned(), kinds);
    }
    document
}

/// What operations share.
struct Shared;

impl Modify for Shared {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        document.info.version = env!("CARGO_PKG_VERSION").to_owned();
        let components = document.components.get_or_insert_default();
        for (name, scheme) in security_schemes() {
            components.security_schemes.insert(name.to_owned(), scheme.into());
        }
        for (name, header) in headers() {
            components.headers.insert(name.to_owned(), header.into());
        }
        for status in problem_statuses() {
            components.responses.insert(problem_name(status), problem_response(status).into());
        }
        for operation in document.paths.paths.values_mut().flat_map(operations_of) {
            complete(operation);
        }
    }
}

/// Adds to one operation what follows from what it takes.
fn complete(operation: &mut Operation) {
    // The handlers' own documentation says to Rust readers what the statuses say here.
    if let Some(description) = &mut operation.description
        && let Some(end) = description.find("# Errors")
    {
        description.truncate(end);
    }
    let parameters = operation.parameters.get_or_insert_default();
    for parameter in parameters.iter_mut() {
        if let RefOr::T(Parameter { schema: Some(schema), .. }) = parameter {
            forbid_null(schema);
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for content in body.content.values_mut() {
            if let RefOr::T(Content { schema: Some(schema), .. }) = content {
                forbid_null(schema);
            }
        }
    }
    let statuses = implied_statuses(operation);
    let responses = &mut operation.responses.responses;
    for status in statuses {
        responses.entry(status.to_string()).or_insert_with(|| Response::new("").into());
    }
    for (status, response) in responses {
        let RefOr::T(described) = response else { continue };
        match status.parse() {
            Ok(status @ 400_u16..) if described.content.is_empty() => {
                *response = RefOr::Ref(Ref::from_response_name(problem_name(status)));
            }
            _ => {
                described.headers.insert("X-Request-Id".to_owned(), header_reference("X-Request-Id"));
            }
        }
    }
}

/// Error statuses that follow from what an operation takes. That a page of a foreign origin is refused
/// (403), and who asks too often (429), is said before anybody looks at the operation.
fn implied_statuses(operation: &Operation) -> BTreeSet<u16> {
    let mut statuses = BTreeSet::from([403, 429]);
    if operation.parameters.as_ref().is_some_and(|parameters| !parameters.is_empty()) {
        statuses.insert(400);
    }
    if operation.request_body.is_some() {
        statuses.extend([400, 408, 413, 415]);
    }
    let is_public = operation.security.as_ref().is_some_and(|ways| is_only_anonymous(ways));
    if !is_public {
        statuses.extend([400, 401, 500, 503]);
    }
    statuses
}

fn is_only_anonymous(ways: &[utoipa::openapi::security::SecurityRequirement]) -> bool {
    ways.iter().all(|way| *way == utoipa::openapi::security::SecurityRequirement::default())
}

/// A query, a path and a header hold text: an absent parameter is left out, never `null`. So is a body.
fn forbid_null(schema: &mut RefOr<Schema>) {
    let RefOr::T(found) = schema else { return };
    match found {
        Schema::Object(object) => object.schema_type = without_null(&object.schema_type),
        Schema::Array(array) => array.schema_type = without_null(&array.schema_type),
        Schema::OneOf(one_of) => {
            one_of.items.retain(|item| !matches!(item, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null)));
            if let [RefOr::Ref(only)] = one_of.items.as_slice() {
                *schema = RefOr::Ref(only.clone());
            }
        }
        _ => (),
    }
}

fn without_null(schema_type: &SchemaType) -> SchemaType {
    match schema_type {
        SchemaType::Array(types) => match types.iter().filter(|one| **one != Type::Null).collect::<Vec<_>>().as_slice()
        {
            [only] => SchemaType::Type((*only).clone()),
            _ => schema_type.clone(),
        },
        other => other.clone(),
    }
}

fn operations_of(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = path;
    [get, put, post, delete, options, head, patch, trace].into_iter().flatten()
}

/// The statuses of all problems.
fn problem_statuses() -> BTreeSet<u16> {
    ProblemCode::ALL.iter().map(|code| code.status()).collect()
}

fn problem_name(status: u16) -> String {
    format!("Problem{status}")
}

/// A problem document, with the codes that come with the status.
fn problem_response(status: u16) -> Response {
    let codes = ProblemCode::ALL.iter().filter(|code| code.status() == status);
    let meanings: Vec<_> = codes.map(|code| format!("`{}`: {}", code.name(), code.title())).collect();
    let schema = Ref::from_schema_name("Problem");
    let mut response = ResponseBuilder::new()
        .description(if meanings.is_empty() { status.to_string() } else { meanings.join("; ") })
        .content("application/problem+json", ContentBuilder::new().schema(Some(schema)).build())
        .build();
    for (name, _) in headers() {
        let applies = match name {
            "Retry-After" => matches!(status, 429 | 503),
            "WWW-Authenticate" => status == 401,
            _ => true,
        };
        if applies {
            response.headers.insert(name.to_owned(), header_reference(name));
        }
    }
    response
}

fn header_reference(name: &str) -> RefOr<Header> {
    RefOr::Ref(Ref::new(format!("#/components/headers/{name}")))
}

fn headers() -> BTreeMap<&'static str, Header> {
    let text = |description: &str| {
        HeaderBuilder::new()
            .description(Some(description))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build()
    };
    let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    BTreeMap::from([
        ("X-Request-Id", text("What the server calls this request; name it when you ask for help.")),
        ("WWW-Authenticate", text("How to authenticate (RFC 9110, section 11.6.1).")),
        (
            "Retry-After",
            HeaderBuilder::new().description(Some("Seconds after which to try again.")).schema(Some(seconds)).build(),
        ),
    ])
}

fn security_schemes() -> [(&'static str, SecurityScheme); 4] {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An access token (JWT) or an API key. In open mode nobody needs one."));
    let query = |name: &str, description: &str| {
        SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::with_description(name, description)))
    };
    let participant = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The token that the answer to a join gave (`ptok_…`), or the one of the host (`host_…`)."));
    [
        ("bearer", SecurityScheme::Http(bearer.build())),
        ("participant", SecurityScheme::Http(participant.build())),
        ("token", query("token", "An access token in the URL, for `EventSource`, which cannot send headers.")),
        ("ticket", query("ticket", "A ticket: works once and for 30 seconds, so it may stand in a URL.")),
    ]
}
