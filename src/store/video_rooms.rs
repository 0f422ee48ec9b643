//! Rows of `video_rooms` and `video_bans`.

use std::borrow::Cow;

use diesel::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use santral_core::entry::Timestamp;
use santral_core::rooms::{MoreSettings, RoomId, RoomRecord, RoomSettings, TokenHash};
use santral_schema::video::{Room, RoomStatus};

use super::database::{Database, MultiBackend, each};
use super::error::Trouble;
use super::event_query;
use super::logins::to_limit;
use super::schema::{video_bans, video_rooms};
use super::text::{BadRow, BadRows, storable, storable_option};
use crate::ports::video::ClosedRooms;

/// How many rooms one step of retention deletes, with everybody who was in them.
const PRUNE_ROWS_MAX: usize = 100;

/// A row as it is written.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = video_rooms)]
#[diesel(treat_none_as_default_value = false)]
#[diesel(treat_none_as_null = true)]
struct NewRow<'a> {
    id: &'a str,
    name: Cow<'a, str>,
    host_id: Option<Cow<'a, str>>,
    max_participants: i32,
    password_hash: Option<&'a str>,
    visibility: String,
    lobby: String,
    topology: String,
    host_policy: String,
    status: String,
    settings_json: String,
    epoch: &'a str,
    created_at: i64,
    started_at: Option<i64>,
    closed_at: Option<i64>,
    close_reason: Option<String>,
    expires_at: Option<i64>,
    owner: Option<Cow<'a, str>>,
    host_token_hash: Option<&'a [u8]>,
    metadata_json: Option<String>,
}

/// A row as it is read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = video_rooms)]
#[diesel(check_for_backend(MultiBackend))]
pub(super) struct Row {
    id: String,
    name: String,
    host_id: Option<String>,
    max_participants: i32,
    password_hash: Option<String>,
    visibility: String,
    lobby: String,
    topology: String,
    host_policy: String,
    status: String,
    settings_json: String,
    epoch: String,
    created_at: i64,
    started_at: Option<i64>,
    closed_at: Option<i64>,
    close_reason: Option<String>,
    expires_at: Option<i64>,
    owner: Option<String>,
    host_token_hash: Option<Vec<u8>>,
    metadata_json: Option<String>,
}

/// Writes a row as it is from now on. A room that takes the id of an earlier one takes nothing else of it.
pub(super) fn put(database: &mut Database, room: &RoomRecord) -> Result<(), Trouble> {
    let settings = &room.settings;
    let row = NewRow {
        id: room.id.as_str(),
        name: storable(&settings.name),
        host_id: storable_option(settings.host_id.as_deref()),
        max_participants: i32::try_from(settings.max_participants).unwrap_or(i32::MAX),
        password_hash: settings.password_hash.as_deref(),
        visibility: word(&settings.visibility),
        lobby: word(&settings.lobby),
        topology: word(&settings.topology),
        host_policy: word(&settings.host_policy),
        status: word(&room.status),
        settings_json: text(&settings.more),
        epoch: &room.epoch,
        created_at: room.created_at.0,
        started_at: room.started_at.map(|at| at.0),
        closed_at: room.closed.map(|(at, _)| at.0),
        close_reason: room.closed.map(|(_, reason)| word(&reason)),
        expires_at: settings.expires_at.map(|at| at.0),
        owner: storable_option((!room.owner.is_empty()).then_some(&*room.owner)),
        host_token_hash: room.host_token.as_ref().map(|hash| hash.0.as_slice()),
        metadata_json: settings.metadata.as_ref().map(text),
    };
    let of_earlier_room = video_rooms::table
        .find(room.id.as_str())
        .filter(video_rooms::created_at.ne(room.created_at.0))
        .count()
        .get_result::<i64>(database)?;
    if of_earlier_room > 0 {
        diesel::delete(video_bans::table.filter(video_bans::room_id.eq(room.id.as_str()))).execute(database)?;
    }
    each!(database, connection => diesel::insert_into(video_rooms::table)
        .values(&row)
        .on_conflict(video_rooms::id)
        .do_update()
        .set(&row)
        .execute(connection))?;
    Ok(())
}

/// Rooms that are not closed.
pub(super) fn open(database: &mut Database, bad: &BadRows) -> Result<Vec<RoomRecord>, Trouble> {
    let rows: Vec<Row> = video_rooms::table
        .filter(video_rooms::status.ne(word(&RoomStatus::Closed)))
        .order(video_rooms::id)
        .select(Row::as_select())
        .load(database)?;
    Ok(kept(rows, bad))
}

/// Rooms that are over, the newest first.
pub(super) fn closed(database: &mut Database, query: &ClosedRooms, bad: &BadRows) -> Result<Vec<Room>, Trouble> {
    let mut rows = video_rooms::table
        .filter(video_rooms::status.eq(word(&RoomStatus::Closed)))
        .order((video_rooms::created_at.desc(), video_rooms::id.desc()))
        .limit(to_limit(query.limit))
        .select(Row::as_select())
        .into_boxed();
    if let Some(owner) = &query.owner {
        rows = rows.filter(video_rooms::owner.eq(storable(owner).into_owned()));
    }
    if let Some(text) = &query.text {
        let pattern = event_query::pattern(text);
        rows = rows.filter(
            video_rooms::id.like(pattern.clone()).escape('\\').or(video_rooms::name.like(pattern).escape('\\')),
        );
    }
    if let Some((created_at, id)) = &query.behind {
        rows = rows.filter(
            video_rooms::created_at
                .lt(created_at.0)
                .or(video_rooms::created_at.eq(created_at.0).and(video_rooms::id.lt(id.clone()))),
        );
    }
    Ok(kept(rows.load(database)?, bad).iter().map(as_shown).collect())
}

/// Deletes a slice of the rooms that were closed before; whether there may be more.
pub(super) fn prune(database: &mut Database, closed_before: Timestamp) -> Result<bool, Trouble> {
    let ids: Vec<String> = video_rooms::table
        .filter(video_rooms::closed_at.lt(closed_before.0))
        .limit(to_limit(PRUNE_ROWS_MAX))
        .select(video_rooms::id)
        .load(database)?;
    let is_full = ids.len() == PRUNE_ROWS_MAX;
    if !ids.is_empty() {
        diesel::delete(video_rooms::table.filter(video_rooms::id.eq_any(ids))).execute(database)?;
    }
    Ok(is_full)
}

/// Keeps somebody out for good.
pub(super) fn ban(database: &mut Database, room: &RoomId, subject: &str, at: Timestamp) -> Result<(), Trouble> {
    let row = (
        video_bans::room_id.eq(room.as_str()),
        video_bans::subject.eq(storable(subject)),
        video_bans::created_at.eq(at.0),
    );
    each!(database, connection => diesel::insert_into(video_bans::table)
        .values(&row)
        .on_conflict_do_nothing()
        .execute(connection))?;
    Ok(())
}

/// Who is kept out of a room for good.
pub(super) fn bans(database: &mut Database, room: &RoomId) -> Result<Vec<String>, Trouble> {
    Ok(video_bans::table
        .filter(video_bans::room_id.eq(room.as_str()))
        .order(video_bans::created_at)
        .select(video_bans::subject)
        .load(database)?)
}

fn kept(rows: Vec<Row>, bad: &BadRows) -> Vec<RoomRecord> {
    let kept = |row: Row| {
        let id = row.id.clone();
        bad.keep("video_rooms", &id, row.into_record())
    };
    rows.into_iter().filter_map(kept).collect()
}

impl Row {
    fn into_record(self) -> Result<RoomRecord, BadRow> {
        let more: MoreSettings = serde_json::from_str(&self.settings_json).map_err(|_| BadRow::Json)?;
        let metadata: Option<Value> =
            self.metadata_json.as_deref().map(serde_json::from_str).transpose().map_err(|_| BadRow::Json)?;
        let host_token = self.host_token_hash.map(|hash| hash.try_into().map(TokenHash)).transpose();
        let closed = match (self.closed_at, &self.close_reason) {
            (Some(at), Some(reason)) => Some((Timestamp(at), meaning(reason)?)),
            (_, _) => None,
        };
        Ok(RoomRecord {
            id: RoomId::parse(&self.id).map_err(|_| BadRow::Kind)?,
            owner: self.owner.unwrap_or_default().into(),
            settings: RoomSettings {
                name: self.name.into(),
                host_id: self.host_id.map(Into::into),
                max_participants: u32::try_from(self.max_participants).map_err(|_| BadRow::Kind)?,
                password_hash: self.password_hash.map(Into::into),
                visibility: meaning(&self.visibility)?,
                lobby: meaning(&self.lobby)?,
                topology: meaning(&self.topology)?,
                host_policy: meaning(&self.host_policy)?,
                expires_at: self.expires_at.map(Timestamp),
                metadata,
                more,
            },
            host_token: host_token.map_err(|_| BadRow::Hash)?,
            status: meaning(&self.status)?,
            epoch: self.epoch.into(),
            created_at: Timestamp(self.created_at),
            started_at: self.started_at.map(Timestamp),
            closed,
        })
    }
}

/// A room that is over, as lists show it.
fn as_shown(room: &RoomRecord) -> Room {
    let settings = &room.settings;
    Room {
        room_id: room.id.to_string(),
        name: settings.name.to_string(),
        host_id: settings.host_id.as_ref().map(ToString::to_string),
        status: room.status,
        visibility: settings.visibility,
        locked: settings.password_hash.is_some(),
        lobby: settings.lobby,
        topology: settings.topology,
        host_policy: settings.host_policy,
        max_participants: settings.max_participants,
        participant_count: 0,
        reconnecting_count: 0,
        grace_sec: u32::try_from(settings.more.grace.as_secs()).unwrap_or(u32::MAX),
        relay_only: settings.more.relay_only,
        persistent: settings.more.persistent,
        max_video_senders: settings.more.max_video_senders,
        metadata: settings.metadata.clone(),
        permissions: settings.more.permissions,
        created_at: room.created_at.to_rfc3339(),
        started_at: room.started_at.map(Timestamp::to_rfc3339),
        expires_at: settings.expires_at.map(Timestamp::to_rfc3339),
        closed_at: room.closed.map(|(at, _)| at.to_rfc3339()),
        epoch: room.epoch.to_string(),
        room_seq: 0,
    }
}

/// A value of a closed set as its one word.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        other => unreachable!("{other:?} is no word"),
    }
}

/// What a word means.
pub(super) fn meaning<T: DeserializeOwned>(word: &str) -> Result<T, BadRow> {
    serde_json::from_value(Value::String(word.to_owned())).map_err(|_| BadRow::Kind)
}

/// A value as JSON text, as both databases can hold it.
pub(super) fn text(value: &impl Serialize) -> String {
    // JSON writes a NUL as an escape, so none is in the text.
    serde_json::to_string(value).expect("it has string keys and no failing serializer")
}
