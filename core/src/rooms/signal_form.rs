//! The form of a request with signals: what can be said of it before anybody asks who sends it.

use std::sync::Arc;

use serde_json::value::RawValue;

use santral_schema::signal::{Signal as SignalBody, SignalRequest, SignalTo, SignalType};

use super::ids::ParticipantId;
use super::refusal::RoomRefusal;
use super::signals::{Signal, Target};
use crate::json;
use crate::limits::{NEGOTIATION_ID_BYTES_MAX, SIGNAL_BYTES_MAX, SIGNAL_DEPTH_MAX, SIGNAL_TARGETS_MAX, SIGNALS_MAX};

/// What is wrong with the form of a request with signals.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignalFault {
    /// A field is not what it must be.
    #[error("{0}")]
    Field(&'static str),
    /// Something is over its bound.
    #[error("{0}")]
    TooLarge(&'static str),
    /// It is for somebody who cannot be anywhere.
    #[error(transparent)]
    Target(RoomRefusal),
}

/// The room of a request, and its signals, whose form is right.
///
/// # Errors
/// [`SignalFault`] for the first that is wrong.
pub fn checked(request: SignalRequest) -> Result<(String, Vec<Signal>), SignalFault> {
    let SignalRequest { room_id, signals, seq, to, kind, negotiation_id, from, data } = request;
    let is_flat =
        seq.is_some() || to.is_some() || kind.is_some() || negotiation_id.is_some() || from.is_some() || data.is_some();
    let signals = match (signals, to, kind) {
        (Some(_), _, _) if is_flat => {
            return Err(SignalFault::Field("send `signals`, or the fields of one signal, not both"));
        }
        (Some(signals), _, _) => signals,
        (None, Some(to), Some(kind)) => vec![SignalBody { seq, to, kind, negotiation_id, from, data }],
        (None, _, _) => return Err(SignalFault::Field("`to` or `type` is missing, or `signals`")),
    };
    if signals.is_empty() {
        return Err(SignalFault::Field("`signals` is empty"));
    }
    if signals.len() > SIGNALS_MAX {
        return Err(SignalFault::TooLarge("more than 64 signals stand in one request"));
    }
    Ok((room_id, signals.into_iter().map(signal).collect::<Result<_, _>>()?))
}

fn signal(signal: SignalBody) -> Result<Signal, SignalFault> {
    let SignalBody { seq, to, kind, negotiation_id, from, data } = signal;
    if seq.is_some_and(|seq| seq == 0 || seq > SEQ_MAX) {
        return Err(SignalFault::Field("`seq` counts from 1 to 2^53-1"));
    }
    if negotiation_id.as_ref().is_some_and(|id| id.is_empty() || id.len() > NEGOTIATION_ID_BYTES_MAX) {
        return Err(SignalFault::Field("`negotiationId` has 1 to 64 bytes"));
    }
    let target = target(&to)?;
    let data = match data {
        Some(data) => data,
        None if needs_data(kind) => return Err(SignalFault::Field("a signal of this type has `data`")),
        None => RawValue::from_string("{}".to_owned()).expect("an empty object is JSON"),
    };
    check_data(kind, &data)?;
    Ok(Signal { seq, target, to, kind, negotiation: negotiation_id.map(Arc::from), from, data })
}

/// Greatest number that every JSON reader keeps (RFC 8259, section 6).
const SEQ_MAX: u64 = (1 << 53) - 1;

fn target(to: &SignalTo) -> Result<Target, SignalFault> {
    let parse = |text: &String| ParticipantId::parse(text).map_err(|_| SignalFault::Target(RoomRefusal::NoTarget));
    match to {
        SignalTo::One(text) if text == "*" => Ok(Target::Others),
        SignalTo::One(text) => Ok(Target::These(vec![parse(text)?])),
        SignalTo::Several(texts) if texts.is_empty() || texts.len() > SIGNAL_TARGETS_MAX => {
            Err(SignalFault::Field("`to` names 1 to 16 participants"))
        }
        SignalTo::Several(texts) => {
            let mut ids = texts.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
            // Whoever is named twice gets it once.
            ids.sort_unstable();
            ids.dedup();
            Ok(Target::These(ids))
        }
    }
}

fn needs_data(kind: SignalType) -> bool {
    match kind {
        SignalType::Offer
        | SignalType::Answer
        | SignalType::Pranswer
        | SignalType::Candidate
        | SignalType::Candidates
        | SignalType::Custom => true,
        SignalType::Rollback | SignalType::EndOfCandidates | SignalType::Renegotiate | SignalType::Bye => false,
    }
}

fn check_data(kind: SignalType, data: &RawValue) -> Result<(), SignalFault> {
    let text = data.get();
    if text.len() > SIGNAL_BYTES_MAX {
        return Err(SignalFault::TooLarge("the data of one signal has more than 65536 bytes"));
    }
    if !text.starts_with(['{', '[']) {
        return Err(SignalFault::Field("`data` is an object or an array"));
    }
    if json::nests_deeper_than(text, SIGNAL_DEPTH_MAX) {
        return Err(SignalFault::Field("`data` nests deeper than 8 levels"));
    }
    let is_description = matches!(kind, SignalType::Offer | SignalType::Answer | SignalType::Pranswer);
    if is_description && !has_sdp(text) {
        return Err(SignalFault::Field("`data` of an offer or an answer has a text `sdp`"));
    }
    Ok(())
}

fn has_sdp(text: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Description {
        #[expect(dead_code, reason = "only its type is of interest")]
        sdp: String,
    }
    // serde would take an array of the fields' values as well.
    text.starts_with('{') && serde_json::from_str::<Description>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> Option<SignalFault> {
        checked(serde_json::from_str(json).expect("the test's bodies have fields that are known")).err()
    }

    #[test]
    fn a_flat_signal_is_a_batch_of_one() {
        let flat = r#"{"roomId":"r","to":"p_1","type":"offer","data":{"sdp":"v=0"},"seq":4}"#;
        let (room, signals) = checked(serde_json::from_str(flat).expect("JSON")).expect("good");
        assert_eq!((room.as_str(), signals.len(), signals[0].seq), ("r", 1, Some(4)));
        assert_eq!(signals[0].data.get(), r#"{"sdp":"v=0"}"#);
    }

    #[test]
    fn bounds_are_where_they_are_said_to_be() {
        let custom = |data: &str| format!(r#"{{"roomId":"r","to":"p_1","type":"custom","data":{data}}}"#);
        let of_bytes = |bytes: usize| custom(&format!("[\"{}\"]", "x".repeat(bytes - 4)));
        assert_eq!(refusal(&of_bytes(SIGNAL_BYTES_MAX)), None);
        assert!(matches!(refusal(&of_bytes(SIGNAL_BYTES_MAX + 1)), Some(SignalFault::TooLarge(_))));
        let deep = |levels: usize| custom(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
        assert_eq!(refusal(&deep(8)), None);
        assert!(matches!(refusal(&deep(9)), Some(SignalFault::Field(_))));
        let one = r#"{"to":"p_1","type":"bye"}"#;
        let many = |count: usize| format!(r#"{{"roomId":"r","signals":[{}]}}"#, vec![one; count].join(","));
        assert_eq!(refusal(&many(64)), None);
        assert!(matches!(refusal(&many(65)), Some(SignalFault::TooLarge(_))));
        assert!(matches!(refusal(&many(0)), Some(SignalFault::Field(_))));
        let to = |count: usize| format!(r#"{{"roomId":"r","to":[{}],"type":"bye"}}"#, vec![r#""p""#; count].join(","));
        assert_eq!(refusal(&to(16)), None);
        assert!(matches!(refusal(&to(17)), Some(SignalFault::Field(_))));
    }

    #[test]
    fn forms_that_are_wrong_are_told_of() {
        for bad in [
            r#"{"roomId":"r"}"#,
            r#"{"roomId":"r","to":"p"}"#,
            r#"{"roomId":"r","signals":[{"to":"p","type":"bye"}],"to":"p"}"#,
            r#"{"roomId":"r","to":"p","type":"offer"}"#,
            r#"{"roomId":"r","to":"p","type":"offer","data":{"sdp":1}}"#,
            r#"{"roomId":"r","to":"p","type":"answer","data":["v=0"]}"#,
            r#"{"roomId":"r","to":"p","type":"custom","data":"text"}"#,
            r#"{"roomId":"r","to":"p","type":"bye","seq":0}"#,
            r#"{"roomId":"r","to":"p","type":"bye","seq":9007199254740992}"#,
            r#"{"roomId":"r","to":"p","type":"bye","negotiationId":""}"#,
            r#"{"roomId":"r","to":[],"type":"bye"}"#,
        ] {
            assert!(matches!(refusal(bad), Some(SignalFault::Field(_))), "{bad}");
        }
        assert_eq!(
            refusal(r#"{"roomId":"r","to":"a b","type":"bye"}"#),
            Some(SignalFault::Target(RoomRefusal::NoTarget))
        );
        for unknown in [r#"{"roomId":"r","target":"p","type":"bye"}"#, r#"{"roomId":"r","signals":[{"tо":"p"}]}"#] {
            assert!(serde_json::from_str::<SignalRequest>(unknown).is_err(), "{unknown}");
        }
    }
}
