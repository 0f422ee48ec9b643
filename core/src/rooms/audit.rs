//! What must hold in all rooms at any time, for tests that watch over it.

use std::collections::{BTreeMap, BTreeSet};

use super::registry::Rooms;
use super::room::Room;
use crate::limits::DEAD_TOKENS_MAX;
use crate::names::SessionToken;

impl Rooms {
    /// Looks at everything: seats, bounds, and whether what leads to a room agrees with it (INV-10).
    ///
    /// # Errors
    /// Says what does not hold.
    pub fn audit(&self) -> Result<(), String> {
        let mut tokens = 0;
        let mut sessions: BTreeMap<&SessionToken, usize> = BTreeMap::new();
        for room in self.rooms.values() {
            room.audit().map_err(|fault| format!("room {}: {fault}", room.id))?;
            for seat in &room.seats {
                for token in [Some(seat.token), seat.earlier_token].into_iter().flatten() {
                    tokens += 1;
                    require(self.tokens.get(&token) == Some(&room.id), "each token leads to its room")?;
                }
                if let Some(session) = &seat.session {
                    *sessions.entry(session).or_default() += 1;
                }
            }
            let scheduled = room.scheduled.map(|due| self.due.contains(&(due, room.id.clone())));
            require(scheduled != Some(false), "what is due is in the list")?;
            require(room.scheduled == room.deadline(), "the list has what is due first")?;
        }
        require(tokens == self.tokens.len(), "no token leads to nobody")?;
        let scheduled = self.rooms.values().filter(|room| room.scheduled.is_some()).count();
        require(scheduled == self.due.len(), "nothing is due for nobody")?;
        let noted = |(session, count): (&&SessionToken, &usize)| {
            self.sessions.get(*session).is_some_and(|rooms| rooms.len() == *count)
        };
        require(sessions.len() == self.sessions.len() && sessions.iter().all(noted), "sessions lead to their rooms")?;
        require(self.dead.len() == self.dead_in_order.len(), "dead tokens have an order")?;
        require(self.dead.len() <= DEAD_TOKENS_MAX, "dead tokens are bounded")?;
        require(self.effects.index.is_empty(), "the indexes are up to date")
    }
}

impl Room {
    fn audit(&self) -> Result<(), String> {
        let admitted = || self.seats.iter().filter(|seat| seat.is_admitted);
        require(self.closed.is_none(), "no closed room stays")?;
        require(admitted().count() <= self.settings.max_participants as usize, "no more than its seats")?;
        require(self.seats.iter().filter(|seat| seat.is_host).count() <= 1, "one host")?;
        require(admitted().all(|seat| seat.ordinal > 0 && seat.ordinal < self.next_ordinal), "numbers of its own")?;
        let ordinals: BTreeSet<u32> = admitted().map(|seat| seat.ordinal).collect();
        require(ordinals.len() == admitted().count(), "each its own number")?;
        self.seats.iter().try_for_each(|seat| seat.outbox.audit().and_then(|()| seat.uplink.audit()))
    }
}

/// What must hold does, or is named.
pub(super) fn require(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("does not hold: {what}")) }
}
