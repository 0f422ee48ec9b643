//! Rooms: made, read, changed, closed.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use santral_core::limits::{
    HOST_ID_BYTES_MAX, PARTICIPANTS_MAX, ROOM_DEPARTURE_TIMEOUT, ROOM_EMPTY_TIMEOUT, ROOM_GRACE, ROOM_PAGE_MAX,
    ROOM_SEATS_DEFAULT, ROOM_SEATS_EASY,
};
use santral_core::rooms::{
    Actor, Created, MoreSettings, NewRoom as CoreRoom, RoomId, RoomRefusal, RoomSettings, Rooms, SettingsChange,
};
use santral_schema::access::Role;
use santral_schema::video::{CreatedRoom, NewRoom, Room, RoomChange, RoomDetail};

use super::{Guest, VideoRooms, form, known, tokens};
use crate::hub::Hub;
use crate::ports::video::ClosedRooms;
use crate::service::{Refusal, blocking, ice};

/// Characters of a room's epoch: it tells one life of a room from another, and is no secret.
const EPOCH_LENGTH: usize = 12;

/// A room that was made, or was there.
#[derive(Debug)]
pub struct Made {
    /// The answer.
    pub answer: CreatedRoom,
    /// Whether it had been made before by the same request.
    pub already: bool,
    /// Which state of its settings this is: an entity tag (RFC 9110, section 8.8.3).
    pub version: String,
}

/// A room as somebody may see it.
#[derive(Debug)]
pub struct Seen {
    /// The answer.
    pub answer: RoomDetail,
    /// See [`Made::version`].
    pub version: String,
}

impl VideoRooms {
    /// Makes a room.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn create(&self, guest: &Guest<'_>, mut new: NewRoom) -> Result<Made, Refusal> {
        self.creations.admit(guest)?;
        let id = form::new_room_id(new.room_id.as_deref())?;
        self.check_host_id(guest, new.host_id.as_deref())?;
        let is_named = new.room_id.is_some();
        let password = form::password(new.password.take())?;
        let settings = settings_of(&new)?;
        let warnings = self.warnings(&settings);
        let host_token = tokens::new_host_token();
        let first_ordinal = if is_named { self.next_ordinal(&id).await? } else { 1 };
        let wanted = CoreRoom {
            id,
            owner: Arc::clone(&guest.principal.name),
            settings,
            host_token: tokens::hash(&host_token),
            epoch: nanoid::nanoid!(EPOCH_LENGTH).into(),
            first_ordinal,
        };
        let (created, version) = self.make(wanted, password).await?;
        self.journal.saved().await;
        let Created { room, already } = created;
        let join_url = format!("/call#room={}", room.room_id);
        let answer = CreatedRoom { room, host_token: (!already).then_some(host_token), join_url, warnings };
        Ok(Made { answer, already, version })
    }

    /// Makes the room, with the hash of its password. Each hash of a password is another one, so a request
    /// that comes again takes the hash of the room that it has made.
    async fn make(&self, mut wanted: CoreRoom, password: Option<String>) -> Result<(Created, String), Refusal> {
        loop {
            let id = wanted.id.clone();
            let before = self.ask(move |rooms, _| Ok(rooms.password_hash(&id))).await?;
            if let Some(password) = &password {
                wanted.settings.password_hash = Some(self.hash_like(before.as_ref(), password).await?);
            }
            let (id, room) = (wanted.id.clone(), wanted.clone());
            let made = self.ask(move |rooms, clock| {
                let hash = rooms.password_hash(&id);
                if hash != before && password_is_asked(&room) {
                    // Another request was quicker: the hash has to be compared with that of its room.
                    return Ok(None);
                }
                let created = rooms.create(clock, room)?;
                Ok(Some((created, version_of(rooms, &id))))
            });
            if let Some(made) = made.await? {
                return Ok(made);
            }
        }
    }

    /// The hash that is there, if it is that of the password, else a fresh one.
    async fn hash_like(&self, before: Option<&Arc<str>>, password: &str) -> Result<Arc<str>, Refusal> {
        let passwords = &self.accounts.passwords;
        if let Some(before) = before
            && passwords.verify(Some(before.to_string()), password.to_owned()).await?
        {
            return Ok(Arc::clone(before));
        }
        Ok(passwords.hash_shared(password.to_owned()).await?.into())
    }

    /// One's own id, unless one is a server, which speaks for its users; where nobody signs in it is a label.
    fn check_host_id(&self, guest: &Guest<'_>, host: Option<&str>) -> Result<(), Refusal> {
        let Some(host) = host else { return Ok(()) };
        if host.is_empty() || host.len() > HOST_ID_BYTES_MAX || host.chars().any(char::is_control) {
            return Err(Refusal::Field("`hostId` is the id of a user: 1 to 64 bytes without control characters"));
        }
        let principal = guest.principal;
        let speaks_for_others = matches!(principal.role, Role::Publisher | Role::Admin);
        let is_own = principal.user.as_deref() == Some(host);
        if is_own || speaks_for_others || self.openness.is_open() { Ok(()) } else { Err(Refusal::HostMismatch) }
    }

    /// The first number in the order of admission: the numbers of an earlier room of this id are in the history.
    async fn next_ordinal(&self, id: &RoomId) -> Result<u32, Refusal> {
        let (store, id) = (Arc::clone(&self.store), id.clone());
        match blocking(move || store.next_ordinal(&id)).await {
            Err(Refusal::Store(error)) => {
                // A call does not depend on the disk.
                log::warn!("the history of a video room cannot be read: {error}");
                Ok(1)
            }
            found => found,
        }
    }

    fn warnings(&self, settings: &RoomSettings) -> Vec<String> {
        let mut warnings = Vec::new();
        if settings.max_participants > ROOM_SEATS_EASY {
            warnings.push("mesh_over_6".to_owned());
        }
        if settings.more.relay_only && !ice::can_relay(&self.hub.config.load()) {
            warnings.push("relay_only_without_turn".to_owned());
        }
        warnings
    }

    /// Reads a room, with whoever is in it for those who are, its owner and the operator.
    ///
    /// # Errors
    /// [`RoomRefusal::NoRoom`].
    pub async fn detail(&self, guest: &Guest<'_>, room: &str) -> Result<Seen, Refusal> {
        let id = known(room)?;
        let actor = guest.actor(&id);
        self.ask(move |rooms, _| {
            let (room, participants) = rooms.detail(&id, &actor)?;
            Ok(Seen { answer: RoomDetail { room, participants }, version: version_of(rooms, &id) })
        })
        .await
    }

    /// Changes what a room is set to, if it is still of this version.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing was changed.
    pub async fn change(
        &self,
        guest: &Guest<'_>,
        room: &str,
        version: Option<String>,
        change: RoomChange,
    ) -> Result<(Room, String), Refusal> {
        let id = known(room)?;
        let actor = guest.actor(&id);
        let password = match change.password.clone() {
            // Before a password is hashed, which takes long.
            Some(password) => {
                let (id, actor) = (id.clone(), actor.clone());
                self.ask(move |rooms, clock| rooms.change(clock, &id, &actor, SettingsChange::default())).await?;
                Some(self.hash_new(password).await?)
            }
            None => None,
        };
        let change = SettingsChange { password_hash: password, ..change_of(change)? };
        let changed = self.ask(move |rooms, clock| {
            if let Some(wanted) = version {
                // Whoever may not know of the room does not learn of its version.
                rooms.detail(&id, &actor)?;
                if version_of(rooms, &id) != wanted {
                    return Ok(None);
                }
            }
            let room = rooms.change(clock, &id, &actor, change)?;
            Ok(Some((room, version_of(rooms, &id))))
        });
        let changed = changed.await?.ok_or(Refusal::PreconditionFailed)?;
        self.journal.saved().await;
        Ok(changed)
    }

    async fn hash_new(&self, password: Option<String>) -> Result<Option<Arc<str>>, Refusal> {
        let Some(password) = form::password(password)? else { return Ok(None) };
        Ok(Some(self.accounts.passwords.hash_shared(password).await?.into()))
    }

    /// Closes a room. Whoever has closed it before has what they want.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn close(&self, guest: &Guest<'_>, room: &str) -> Result<(), Refusal> {
        let id = known(room)?;
        let actor = guest.actor(&id);
        let (asked, by) = (id.clone(), actor.clone());
        match self.ask(move |rooms, clock| rooms.close(clock, &asked, &by)).await {
            Err(Refusal::Room(RoomRefusal::Closed(_))) => Ok(()),
            Err(Refusal::Room(RoomRefusal::NoRoom)) if self.was_closed_by(&id, &actor).await? => Ok(()),
            Err(refusal) => Err(refusal),
            Ok(()) => {
                self.journal.saved().await;
                Ok(())
            }
        }
    }

    /// Whether there was a room of this id which this actor could have closed.
    async fn was_closed_by(&self, id: &RoomId, actor: &Actor) -> Result<bool, Refusal> {
        let Actor::Visitor(visitor) = actor else { return Ok(false) };
        if visitor.principal.is_empty() && !visitor.is_admin {
            return Ok(false);
        }
        let query = ClosedRooms {
            owner: (!visitor.is_admin).then(|| visitor.principal.to_string()),
            text: Some(id.to_string()),
            behind: None,
            limit: ROOM_PAGE_MAX,
        };
        let (store, id) = (Arc::clone(&self.store), id.to_string());
        let closed = blocking(move || store.closed_rooms(&query)).await?;
        Ok(closed.iter().any(|room| room.room_id == id))
    }
}

fn password_is_asked(room: &CoreRoom) -> bool {
    room.settings.password_hash.is_some()
}

/// Tells one state of a room's settings from any other.
fn version_of(rooms: &Rooms, id: &RoomId) -> String {
    let settings = rooms.settings(id).map(|settings| {
        let RoomSettings { name, host_id, max_participants, password_hash, visibility, lobby, topology, .. } = settings;
        let first = (name, host_id, max_participants, password_hash, visibility, lobby, topology);
        let RoomSettings { host_policy, expires_at, metadata, more, .. } = settings;
        (first, host_policy, expires_at.map(|at| at.0), metadata, more)
    });
    let text = serde_json::to_vec(&settings).expect("settings have string keys and no failing serializer");
    let digest = Sha256::digest(text);
    format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&digest[..12]))
}

fn settings_of(new: &NewRoom) -> Result<RoomSettings, Refusal> {
    let max_participants = new.max_participants.unwrap_or(ROOM_SEATS_DEFAULT);
    if max_participants == 0 {
        return Err(Refusal::Field("`maxParticipants` is at least 1"));
    }
    if new.max_video_senders.is_some_and(|senders| senders == 0 || senders > max_participants) {
        return Err(Refusal::Field("`maxVideoSenders` is 1 to `maxParticipants`"));
    }
    let not_before = form::moment(new.not_before.as_deref(), "`notBefore` is no time by RFC 3339")?;
    let expires_at = form::moment(new.expires_at.as_deref(), "`expiresAt` is no time by RFC 3339")?;
    if expires_at.is_some_and(|end| end <= Hub::wall_clock() || not_before.is_some_and(|begin| begin >= end)) {
        return Err(Refusal::Field("`expiresAt` is in the past or before `notBefore`"));
    }
    let max_duration = new.max_duration_sec.map(|seconds| form::span(Some(seconds), ROOM_GRACE)).transpose()?;
    Ok(RoomSettings {
        name: form::name(&new.name)?,
        host_id: new.host_id.as_deref().map(Arc::from),
        max_participants,
        password_hash: None,
        visibility: new.visibility,
        lobby: new.lobby,
        topology: new.topology,
        host_policy: new.host_policy,
        expires_at,
        metadata: form::metadata(new.metadata.as_deref())?,
        more: MoreSettings {
            empty_timeout: form::span(new.empty_timeout_sec, ROOM_EMPTY_TIMEOUT)?,
            departure_timeout: form::span(new.departure_timeout_sec, ROOM_DEPARTURE_TIMEOUT)?,
            max_duration,
            grace: new.grace_sec.map_or(Ok(ROOM_GRACE), form::grace)?,
            not_before: not_before.map(|at| at.0),
            persistent: new.persistent,
            relay_only: new.relay_only,
            max_video_senders: new.max_video_senders,
            permissions: new.permissions.unwrap_or_default(),
        },
    })
}

fn change_of(change: RoomChange) -> Result<SettingsChange, Refusal> {
    if change.max_participants == Some(0) {
        return Err(Refusal::Field("`maxParticipants` is at least 1"));
    }
    // Before anybody compares versions: no room can be so large, whatever it is set to.
    let limit = u32::try_from(PARTICIPANTS_MAX).unwrap_or(u32::MAX);
    if change.max_participants.is_some_and(|seats| seats > limit) {
        return Err(RoomRefusal::ExceedsMesh { limit }.into());
    }
    let span = |seconds: Option<u32>| seconds.map(|seconds| form::span(Some(seconds), ROOM_GRACE)).transpose();
    let metadata = change.metadata.as_ref().map(|metadata| form::metadata(metadata.as_deref())).transpose()?;
    Ok(SettingsChange {
        name: change.name.as_deref().map(form::name).transpose()?,
        password_hash: None,
        visibility: change.visibility,
        lobby: change.lobby,
        host_policy: change.host_policy,
        max_participants: change.max_participants,
        metadata,
        empty_timeout: span(change.empty_timeout_sec)?,
        departure_timeout: span(change.departure_timeout_sec)?,
        grace: change.grace_sec.map(form::grace).transpose()?,
        permissions: change.permissions,
    })
}
