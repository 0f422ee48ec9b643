//! `/api/logs…`: the event log as a list, a stream and a file, and clearing it.

mod csv;

use std::convert::Infallible;
use std::time::Instant;

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, Responder, web};
use actix_web_lab::sse::{Data, Event, Sse};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use santral_core::limits::{EVENT_FOLLOW_CHECK, RETRY_MS};
use santral_schema::event_log::{EventLevel, EventList, EventsCleared, LoggedEvent};
use santral_schema::reason::DisconnectReason;

use super::access::Gate;
use super::events::StreamEvent;
use super::problem::ApiError;
use super::query;
use super::viewer::{Viewer, goodbye};
use crate::auth::Principal;
use crate::service::Refusal;
use crate::service::event_log::filter::{EventFilter, FilterText, parse_id};
use crate::service::event_log::follow::Follower;
use crate::service::event_log::{EventLog, Export};

/// A query with the filters of the event log, and what one operation adds.
macro_rules! logs_query {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(Debug, Deserialize, IntoParams)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        struct $name {
            /// Only events that are at least as important.
            #[param(value_type = Option<EventLevel>)]
            level: Option<String>,
            /// Only events of these types (`EventType`); repeat it, or part them with commas.
            #[serde(default, rename = "type")]
            kinds: Vec<String>,
            /// Only events of this principal.
            actor: Option<String>,
            /// Only events with this text in the message, the actor or the details.
            q: Option<String>,
            /// Only events from this moment on, RFC 3339.
            #[param(format = DateTime)]
            from: Option<String>,
            /// Only events before this moment, RFC 3339.
            #[param(format = DateTime)]
            to: Option<String>,
            $($(#[$attribute])* $field: $type,)*
        }

        impl $name {
            fn filter(&mut self) -> Result<EventFilter, Refusal> {
                EventFilter::parse(FilterText {
                    level: self.level.take(),
                    kinds: query::split_lists(std::mem::take(&mut self.kinds)),
                    actor: self.actor.take(),
                    text: self.q.take(),
                    from: self.from.take(),
                    to: self.to.take(),
                })
            }
        }
    };
}

logs_query!(ListQuery {
    /// That of the page before.
    #[param(pattern = r"^[0-9]+$")]
    cursor: Option<String>,
    /// Most events to return, 1 to 1,000; 100 if not given. Beyond that the nearest of these is taken.
    #[serde(default, deserialize_with = "query::optional_number")]
    limit: Option<usize>,
});
logs_query!(FollowQuery {
    /// Behind which event to go on; by default only what happens from now on is told.
    #[param(pattern = r"^[0-9]+$")]
    last_event_id: Option<String>,
});
logs_query!(ExportQuery {
    /// As what the file comes; `ndjson` if not given.
    #[serde(default)]
    #[param(value_type = Option<ExportFormat>)]
    format: ExportFormat,
});

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ClearQuery {
    /// Only events before this moment, RFC 3339.
    #[param(format = DateTime)]
    before: Option<String>,
}

/// As what an export comes.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// A table (RFC 4180), safe to open in a spreadsheet.
    Csv,
}

/// `GET /api/logs`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/logs",
    tag = "logs",
    operation_id = "listEvents",
    summary = "Read the event log",
    description = "What happened on the server, newest first. Pass `cursor` on for the next page; it is absent on the last.",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of events.", body = EventList),
    ),
)]
pub async fn list(request: HttpRequest, log: web::Data<EventLog>) -> Result<HttpResponse, ApiError> {
    let mut query: ListQuery = query::parse(&request)?;
    let filter = query.filter()?;
    let list = log.list(&filter, query.cursor.as_deref(), query.limit).await?;
    Ok(HttpResponse::Ok().insert_header(NO_STORE).json(list))
}

/// `GET /api/logs/stream`: `event: log` for each event until the server begins to stop or the
/// principal may no longer follow.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    get,
    path = "/api/logs/stream",
    tag = "logs",
    operation_id = "followEvents",
    summary = "Follow the event log (SSE)",
    description = "The event `log` for each that passes the filter, `ping` in silence, `bye` when the server stops.",
    params(
        FollowQuery,
        ("Last-Event-ID" = Option<String>, Header, pattern = r"^[0-9]+$", description = "The last id that the client has seen; wins over `lastEventId`."),
    ),
    responses(
        (status = 200, description = "A stream that goes on until either side closes it.", body = StreamEvent, content_type = "text/event-stream"),
    ),
)]
pub async fn follow(
    request: HttpRequest,
    log: web::Data<EventLog>,
    principal: web::ReqData<Principal>,
    gate: web::Data<Gate>,
) -> Result<impl Responder, ApiError> {
    let mut query: FollowQuery = query::parse(&request)?;
    let filter = query.filter()?;
    // The header is what the browser itself has seen last, so it wins over the page's own URL.
    let header = request.headers().get("Last-Event-ID").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
    let [header, query] = [header, query.last_event_id].map(|id| id.as_deref().map(parse_id).transpose());
    let after = header?.or(query?);
    let follower = log.follow(filter, after).await?;
    let stream = LogStream {
        follower,
        viewer: Viewer::of(&request, principal.into_inner(), gate),
        written_at: Instant::now(),
        is_over: false,
    };
    let frames = stream::unfold(stream, LogStream::next);
    let retry = std::time::Duration::from_millis(u64::from(*RETRY_MS.start()));
    let no_cache = (header::CACHE_CONTROL, "no-cache, no-store, no-transform");
    // The interval to come back after is written at once, so the head does not wait for an event.
    let response = Sse::from_stream(frames).with_retry_duration(retry).customize();
    Ok(response.insert_header(no_cache).insert_header(("X-Accel-Buffering", "no")))
}

/// `GET /api/logs/export`: everything that there is now, oldest first.
///
/// # Errors
/// [`ApiError`]; an export that fails later breaks off without its last chunk.
#[utoipa::path(
    get,
    path = "/api/logs/export",
    tag = "logs",
    operation_id = "exportEvents",
    summary = "Download the event log",
    description = "Everything that passes the filter, oldest first, as a file.",
    params(ExportQuery),
    responses(
        (status = 200, description = "The events.", content(
            (String = "application/x-ndjson"),
            (String = "text/csv"),
        )),
    ),
)]
pub async fn export(request: HttpRequest, log: web::Data<EventLog>) -> Result<HttpResponse, ApiError> {
    let mut query: ExportQuery = query::parse(&request)?;
    let filter = query.filter()?;
    let export = log.export(&filter).await?;
    let (content_type, disposition, head) = match query.format {
        ExportFormat::Ndjson => ("application/x-ndjson", "attachment; filename=\"santral-events.ndjson\"", ""),
        ExportFormat::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"santral-events.csv\"", csv::HEAD),
    };
    let pages = stream::unfold((export, query.format, Some(head)), next_page);
    Ok(HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CONTENT_DISPOSITION, disposition))
        .insert_header(NO_STORE)
        .streaming(pages))
}

/// `DELETE /api/logs`.
///
/// # Errors
/// [`ApiError`].
#[utoipa::path(
    delete,
    path = "/api/logs",
    tag = "logs",
    operation_id = "clearEvents",
    summary = "Clear the event log",
    description = "Everything before a time, or all there is. One event stays that says who did it.",
    params(ClearQuery),
    responses(
        (status = 200, description = "How many are gone.", body = EventsCleared),
    ),
)]
pub async fn clear(
    request: HttpRequest,
    log: web::Data<EventLog>,
    principal: web::ReqData<Principal>,
) -> Result<HttpResponse, ApiError> {
    let query: ClearQuery = query::parse(&request)?;
    let actor = Some(principal.name.to_string()).filter(|name| !name.is_empty());
    Ok(HttpResponse::Ok().json(log.clear(query.before.as_deref(), actor, None).await?))
}

const NO_STORE: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

type ExportState = (Export, ExportFormat, Option<&'static str>);

/// The next part of the body: the head of the table first, then a page at a time.
async fn next_page(state: ExportState) -> Option<(Result<Bytes, Refusal>, ExportState)> {
    let (mut export, format, head) = state;
    if let Some(head) = head.filter(|head| !head.is_empty()) {
        return Some((Ok(Bytes::from_static(head.as_bytes())), (export, format, None)));
    }
    let page = export.next().await.transpose()?;
    let text = page.map(|events| match format {
        ExportFormat::Ndjson => events.iter().map(|event| json(event) + "\n").collect::<String>(),
        ExportFormat::Csv => events.iter().map(csv::row).collect(),
    });
    Some((text.map(Bytes::from), (export, format, None)))
}

fn json(event: &LoggedEvent) -> String {
    serde_json::to_string(event).expect("an event has string keys and no failing serializer")
}

/// One stream of the event log.
struct LogStream {
    follower: Follower,
    viewer: Viewer,
    written_at: Instant,
    is_over: bool,
}

impl LogStream {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        while !self.is_over {
            let next = timeout(EVENT_FOLLOW_CHECK, self.follower.next()).await;
            if let Some(farewell) = self.viewer.farewell() {
                self.is_over = true;
                return Some((Ok(farewell.into()), self));
            }
            let frame = match next {
                Ok(Some(event)) => Some(Data::new(json(&event)).id(event.id.to_string()).event("log")),
                Ok(None) => {
                    self.is_over = true;
                    self.follower.is_draining().then(|| goodbye(DisconnectReason::Draining))
                }
                Err(_) => (self.written_at.elapsed() >= self.viewer.heartbeat()).then(|| Data::new("{}").event("ping")),
            };
            if let Some(frame) = frame {
                self.written_at = Instant::now();
                return Some((Ok(frame.into()), self));
            }
        }
        None
    }
}
