//! The list of rooms: those that are open, from memory, and those that were closed, from the database.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::DateTime;

use santral_core::entry::Timestamp;
use santral_core::limits::{ROOM_PAGE_DEFAULT, ROOM_PAGE_MAX};
use santral_core::rooms::RoomId;
use santral_schema::access::Role;
use santral_schema::video::{Room, RoomList, RoomStatus, Visibility};

use super::{Guest, VideoRooms};
use crate::ports::video::ClosedRooms;
use crate::service::{Refusal, blocking};

/// Which rooms are wanted.
#[derive(Debug, Clone, Default)]
pub struct RoomQuery {
    /// Where they stand; waiting and active ones if nothing is named.
    pub statuses: Vec<RoomStatus>,
    /// What stands in their name or id, in whatever case.
    pub text: Option<String>,
    /// Most rooms.
    pub limit: Option<usize>,
    /// That of the page before.
    pub cursor: Option<String>,
}

impl VideoRooms {
    /// The rooms that somebody may see, the newest first.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn list(&self, guest: &Guest<'_>, query: RoomQuery) -> Result<RoomList, Refusal> {
        let limit = query.limit.unwrap_or(ROOM_PAGE_DEFAULT).clamp(1, ROOM_PAGE_MAX);
        let before = query.cursor.as_deref().map(Place::parse).transpose()?;
        let statuses = match query.statuses.is_empty() {
            true => vec![RoomStatus::Waiting, RoomStatus::Active],
            false => query.statuses,
        };
        let mut rooms = self.open_rooms(guest).await?;
        if statuses.contains(&RoomStatus::Closed) {
            rooms.extend(self.closed_rooms(guest, before.as_ref(), query.text.as_deref(), limit).await?);
        }
        let text = query.text.unwrap_or_default().to_lowercase();
        rooms.retain(|room| {
            let is_named = room.name.to_lowercase().contains(&text) || room.room_id.to_lowercase().contains(&text);
            statuses.contains(&room.status) && is_named && before.as_ref().is_none_or(|before| before.precedes(room))
        });
        rooms.sort_by(|one, other| Place::of(other).cmp(&Place::of(one)));
        let is_more = rooms.len() > limit;
        rooms.truncate(limit);
        let cursor = rooms.last().filter(|_| is_more).map(|room| Place::of(room).to_string());
        Ok(RoomList { rooms, cursor })
    }

    /// Those of somebody, and those that are public for whoever may enter rooms of that name.
    async fn open_rooms(&self, guest: &Guest<'_>) -> Result<Vec<Room>, Refusal> {
        let (stranger, visitor) = (guest.visitor_with(false), guest.visitor_with(true));
        let grants = Arc::clone(&guest.principal.grants);
        let may_enter =
            move |room: &Room| RoomId::parse(&room.room_id).is_ok_and(|id| grants.rooms.allow(&id.as_granted()));
        self.ask(move |rooms, _| {
            let mut found: Vec<Room> = rooms.visible_to(&stranger).collect();
            let others =
                rooms.visible_to(&visitor).filter(|room| room.visibility == Visibility::Public && may_enter(room));
            let others: Vec<Room> =
                others.filter(|room| !found.iter().any(|one| one.room_id == room.room_id)).collect();
            found.extend(others);
            Ok(found)
        })
        .await
    }

    /// Those that somebody has made; all of them for the operator.
    async fn closed_rooms(
        &self,
        guest: &Guest<'_>,
        before: Option<&Place>,
        text: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Room>, Refusal> {
        let principal = guest.principal;
        let is_operator = matches!(principal.role, Role::Admin | Role::Viewer);
        if principal.name.is_empty() && !is_operator {
            return Ok(Vec::new());
        }
        let query = ClosedRooms {
            owner: (!is_operator).then(|| principal.name.to_string()),
            text: text.map(str::to_owned),
            // The list shows milliseconds; whatever stands there already is left out when both lists are one.
            behind: before.map(|place| (Timestamp(place.created_at.0 + 999), place.room.clone())),
            limit: limit + 1,
        };
        let store = Arc::clone(&self.store);
        blocking(move || store.closed_rooms(&query)).await
    }
}

/// Where a room stands in the list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    created_at: Timestamp,
    room: String,
}

impl Place {
    fn of(room: &Room) -> Self {
        // The time is our own text, so it is one.
        let created_at = DateTime::parse_from_rfc3339(&room.created_at).map_or(0, |at| at.timestamp_micros());
        Self { created_at: Timestamp(created_at), room: room.room_id.clone() }
    }

    fn parse(cursor: &str) -> Result<Self, Refusal> {
        let wrong = || Refusal::Cursor(cursor.to_owned());
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| wrong())?;
        let text = String::from_utf8(bytes).map_err(|_| wrong())?;
        let (created_at, room) = text.split_once(' ').ok_or_else(wrong)?;
        RoomId::parse(room).map_err(|_| wrong())?;
        Ok(Self { created_at: Timestamp(created_at.parse().map_err(|_| wrong())?), room: room.to_owned() })
    }

    /// Whether the room comes behind this place, the newest being first.
    fn precedes(&self, room: &Room) -> bool {
        Self::of(room) < *self
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{} {}", self.created_at.0, self.room);
        formatter.write_str(&BASE64_URL_SAFE_NO_PAD.encode(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went() {
        let place = Place { created_at: Timestamp(1_764_105_600_123_000), room: "a.b".to_owned() };
        assert_eq!(Place::parse(&place.to_string()), Ok(place));
        for bad in ["", "%", "YWJj", "YSBi"] {
            assert!(matches!(Place::parse(bad), Err(Refusal::Cursor(_))), "{bad}");
        }
    }
}
