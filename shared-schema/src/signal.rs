//! Signals: what the participants of a call say to each other so that their media finds a way.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use ts_rs::TS;
use utoipa::ToSchema;

/// What a signal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SignalType {
    /// A session description that asks for an answer (RFC 9429, section 4.2).
    Offer,
    /// The answer to an offer.
    Answer,
    /// A provisional answer.
    Pranswer,
    /// Takes back an offer.
    Rollback,
    /// One ICE candidate.
    Candidate,
    /// Several of them.
    Candidates,
    /// There are no more candidates.
    EndOfCandidates,
    /// Asks the other side to offer.
    Renegotiate,
    /// The connection to this peer is over.
    Bye,
    /// Whatever the application means by it.
    Custom,
}

/// For whom a signal is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(untagged)]
pub enum SignalTo {
    /// A participant, or `"*"` for all others.
    One(String),
    /// Several of them, at most 16.
    Several(Vec<String>),
}

/// One signal.
#[derive(Debug, Clone, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct Signal {
    /// Its number, counted by the sender from 1: a repeated one is not passed on again, and those that
    /// overtook others wait for them.
    #[ts(type = "number")]
    pub seq: Option<u64>,
    /// For whom.
    pub to: SignalTo,
    /// What it is.
    #[serde(rename = "type")]
    pub kind: SignalType,
    /// Which negotiation it belongs to; chosen by who offers.
    pub negotiation_id: Option<String>,
    /// Who sends it; nobody needs to say, and who says somebody else is refused.
    pub from: Option<String>,
    /// An object or an array, passed on as it was written.
    #[ts(type = "unknown")]
    #[schema(value_type = Object)]
    pub data: Option<Box<RawValue>>,
}

/// Body of `POST /api/webrtc/signal`: `signals`, or the fields of one signal.
#[derive(Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[ts(optional_fields)]
pub struct SignalRequest {
    /// The room.
    pub room_id: String,
    /// Several signals, at most 64.
    pub signals: Option<Vec<Signal>>,
    /// See [`Signal`].
    #[ts(type = "number")]
    pub seq: Option<u64>,
    /// See [`Signal`].
    pub to: Option<SignalTo>,
    /// See [`Signal`].
    #[serde(rename = "type")]
    pub kind: Option<SignalType>,
    /// See [`Signal`].
    pub negotiation_id: Option<String>,
    /// See [`Signal`].
    pub from: Option<String>,
    /// See [`Signal`].
    #[ts(type = "unknown")]
    #[schema(value_type = Option<Object>)]
    pub data: Option<Box<RawValue>>,
}

/// What became of one signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
#[ts(optional_fields)]
pub struct SignalFate {
    /// Its number, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(type = "number")]
    pub seq: Option<u64>,
    /// Its number among the events of the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(type = "number")]
    pub room_seq: Option<u64>,
    /// To how many it goes at once.
    pub delivered: u32,
    /// For how many it waits, because their line is down.
    pub buffered: u32,
    /// It had come before; it was not passed on again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub duplicate: bool,
    /// It waits for those that it has overtaken.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[ts(as = "Option<bool>")]
    pub parked: bool,
    /// Why it was not passed on: `target_not_in_room`, `target_buffer_full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Answer to `POST /api/webrtc/signal`.
#[derive(Debug, Clone, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignalAnswer {
    /// One for each signal, in their order.
    pub accepted: Vec<SignalFate>,
    /// The last number up to which nothing of the sender is missing.
    #[ts(type = "number")]
    pub last_seq: u64,
}
