//! Rows of `video_participants`: who is and was in which room.

use std::borrow::Cow;

use diesel::dsl::max;
use diesel::prelude::*;

use santral_core::entry::Timestamp;
use santral_core::rooms::{ParticipantId, ParticipantRecord, RoomId, TokenHash};
use santral_schema::video::ParticipantState;

use super::database::{Database, MultiBackend, each};
use super::error::Trouble;
use super::schema::video_participants;
use super::text::{BadRow, BadRows, storable, storable_option};
use super::video_rooms::{meaning, text, word};

/// A row as it is written.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = video_participants)]
#[diesel(treat_none_as_default_value = false)]
#[diesel(treat_none_as_null = true)]
struct NewRow<'a> {
    id: &'a str,
    room_id: &'a str,
    user_id: Option<Cow<'a, str>>,
    display_name: Cow<'a, str>,
    role: String,
    ordinal: i32,
    state: String,
    joined_at: i64,
    left_at: Option<i64>,
    left_reason: Option<String>,
    /// What somebody sends is known only while they are there.
    media_json: &'static str,
    metadata_json: String,
    token_hash: Option<&'a [u8]>,
    quality_json: Option<String>,
    principal: Option<Cow<'a, str>>,
    is_host: i32,
}

/// A row as it is read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = video_participants)]
#[diesel(check_for_backend(MultiBackend))]
struct Row {
    id: String,
    room_id: String,
    user_id: Option<String>,
    display_name: String,
    role: String,
    ordinal: i32,
    joined_at: i64,
    metadata_json: String,
    token_hash: Option<Vec<u8>>,
    quality_json: Option<String>,
    principal: Option<String>,
    is_host: i32,
}

/// Writes a row as it is from now on.
pub(super) fn put(database: &mut Database, person: &ParticipantRecord) -> Result<(), Trouble> {
    let state = if person.left.is_some() { ParticipantState::Left } else { ParticipantState::Joined };
    let row = NewRow {
        id: person.id.as_str(),
        room_id: person.room.as_str(),
        user_id: storable_option(person.user.as_deref()),
        display_name: storable(&person.display_name),
        role: word(&person.role),
        ordinal: i32::try_from(person.ordinal).unwrap_or(i32::MAX),
        state: word(&state),
        joined_at: person.joined_at.0,
        left_at: person.left.map(|(at, _)| at.0),
        left_reason: person.left.map(|(_, reason)| word(&reason)),
        media_json: "{}",
        metadata_json: text(&person.metadata),
        // Nothing is proved by the token of somebody who is gone.
        token_hash: person.left.is_none().then_some(&person.token.0[..]),
        quality_json: person.quality.as_ref().map(text),
        principal: storable_option((!person.principal.is_empty()).then_some(&*person.principal)),
        is_host: i32::from(person.is_host),
    };
    each!(database, connection => diesel::insert_into(video_participants::table)
        .values(&row)
        .on_conflict(video_participants::id)
        .do_update()
        .set(&row)
        .execute(connection))?;
    Ok(())
}

/// Who has not left a room.
pub(super) fn present(
    database: &mut Database,
    room: &RoomId,
    bad: &BadRows,
) -> Result<Vec<ParticipantRecord>, Trouble> {
    let rows: Vec<Row> = video_participants::table
        .filter(video_participants::room_id.eq(room.as_str()))
        .filter(video_participants::left_at.is_null())
        .order(video_participants::ordinal)
        .select(Row::as_select())
        .load(database)?;
    let kept = |row: Row| {
        let id = row.id.clone();
        bad.keep("video_participants", &id, row.into_record())
    };
    Ok(rows.into_iter().filter_map(kept).collect())
}

/// The first number that no participant of a room of this id has had.
pub(super) fn next_ordinal(database: &mut Database, room: &RoomId) -> Result<u32, Trouble> {
    let last: Option<i32> = video_participants::table
        .filter(video_participants::room_id.eq(room.as_str()))
        .select(max(video_participants::ordinal))
        .first(database)?;
    Ok(u32::try_from(last.unwrap_or(0)).unwrap_or(0).saturating_add(1))
}

impl Row {
    fn into_record(self) -> Result<ParticipantRecord, BadRow> {
        let hash = self.token_hash.unwrap_or_default();
        let quality: Option<String> =
            self.quality_json.as_deref().map(serde_json::from_str).transpose().map_err(|_| BadRow::Json)?;
        Ok(ParticipantRecord {
            id: ParticipantId::parse(&self.id).map_err(|_| BadRow::Kind)?,
            room: RoomId::parse(&self.room_id).map_err(|_| BadRow::Kind)?,
            principal: self.principal.unwrap_or_default().into(),
            user: self.user_id.map(Into::into),
            display_name: self.display_name.into(),
            role: meaning(&self.role)?,
            ordinal: u32::try_from(self.ordinal).map_err(|_| BadRow::Kind)?,
            is_host: self.is_host != 0,
            joined_at: Timestamp(self.joined_at),
            left: None,
            metadata: serde_json::from_str(&self.metadata_json).map_err(|_| BadRow::Json)?,
            token: TokenHash(hash.try_into().map_err(|_| BadRow::Hash)?),
            quality: quality.map(Into::into),
        })
    }
}
