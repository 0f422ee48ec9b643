//! Participants who try what they may not: each attempt has one answer, and changes nothing.

use santral_core::rooms::{Actor, Join, ParticipantId, SettingsChange, Signal, Target, TokenHash};
use santral_schema::participants::OnDuplicate;
use santral_schema::signal::SignalTo;
use santral_schema::signal::SignalType;
use santral_schema::video::{Media, ParticipantRole};

use serde_json::value::RawValue;

use crate::facts::hash;
use crate::requests::room_id;
use crate::world::{Check, World};

impl World {
    /// Somebody tries something.
    pub(crate) fn attack(&mut self) -> Check {
        let before = self.rooms.census();
        let held: Vec<_> = self.clients.iter().filter_map(|client| client.view.as_ref()).collect();
        let held: Vec<_> = held.iter().map(|view| (view.room, view.id.clone(), view.token)).collect();
        if held.is_empty() {
            return Ok(());
        }
        let (room, id, token) = held[self.rng.index(held.len())].clone();
        let (_, other, _) = held[self.rng.index(held.len())].clone();
        let elsewhere = held.iter().find(|(of, ..)| *of != room).map(|(_, id, _)| id.clone());
        match self.rng.index(6) {
            0 => self.expect_refused(room, hash(token), plain("p_guessed"), "a guessed id")?,
            1 => {
                if let Some(elsewhere) = elsewhere {
                    self.expect_refused(room, hash(token), plain(&elsewhere), "a target in the other room")?;
                }
            }
            2 => {
                if other != id {
                    let forged = Signal { from: Some(other), ..plain("p_guessed") };
                    self.expect_refused(room, hash(token), forged, "a forged sender")?;
                }
            }
            3 => {
                let offer = Signal { target: Target::Others, to: SignalTo::One("*".to_owned()), ..plain("p_x") };
                self.expect_refused(room, hash(token), offer, "an offer to everybody")?;
            }
            4 => self.steal(room, token)?,
            _more => self.use_foreign_tokens(room, token)?,
        }
        if self.rooms.census() != before {
            return Err("INV-10: an attack changed who is in".to_owned());
        }
        self.after_rooms()
    }

    fn expect_refused(&mut self, room: usize, token: TokenHash, signal: Signal, what: &str) -> Check {
        let answer = self.rooms.signal(self.clock(), &room_id(room), &token, vec![signal]);
        answer.map_or(Ok(()), |fates| Err(format!("INV-10: {what} is taken: {fates:?}")))
    }

    /// A token in the hands of somebody else gives no seat.
    fn steal(&mut self, room: usize, token: u64) -> Check {
        let number = self.fresh();
        let owner = self.facts.tokens.get(&token).cloned().unwrap_or_default();
        let mut visitor = self.visitor(0);
        (visitor.principal, visitor.user) = ("user:thief".into(), Some("thief".into()));
        let join = Join {
            room: room_id(room),
            visitor,
            place: None,
            fresh_id: ParticipantId::parse(&format!("p_{number}")).map_err(|error| error.to_string())?,
            fresh_token: hash(number),
            resume: Some(hash(token)),
            seen: None,
            password_of: None,
            invitation: None,
            host_token: None,
            on_duplicate: OnDuplicate::Replace,
            display_name: "thief".into(),
            role: ParticipantRole::Moderator,
            media: Media::default(),
            metadata: None,
        };
        let stolen = self.rooms.join(self.clock(), join);
        stolen.map_or(Ok(()), |(joined, _)| Err(format!("INV-10: the token of {owner} was stolen: {joined:?}")))
    }

    /// Tokens are good in their room only, and host tokens are nobody else's.
    fn use_foreign_tokens(&mut self, room: usize, token: u64) -> Check {
        let (clock, there) = (self.clock(), room_id(1 - room));
        let actor = Actor::Participant(hash(token));
        if self.rooms.close(clock, &there, &actor).is_ok() {
            return Err("INV-10: a token of one room closes another".to_owned());
        }
        let change = SettingsChange { name: Some("taken over".into()), ..SettingsChange::default() };
        let guessed = Actor::Host(hash(token));
        if self.rooms.change(clock, &room_id(room), &guessed, change).is_ok() {
            return Err("INV-10: a participant's token passes for a host's".to_owned());
        }
        self.expect_refused(1 - room, hash(token), plain("p_guessed"), "a token of the other room")
    }
}

/// An offer to one participant.
fn plain(to: &str) -> Signal {
    Signal {
        seq: None,
        target: Target::These(ParticipantId::parse(to).into_iter().collect()),
        to: SignalTo::One(to.to_owned()),
        kind: SignalType::Offer,
        negotiation: None,
        from: None,
        data: RawValue::from_string("{\"sdp\":\"\"}".to_owned()).expect("JSON"),
    }
}
