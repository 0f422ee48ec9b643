//! What a client hears of an event that asked for an acknowledgement: one object, always.

use serde::Serialize;
use serde_json::value::RawValue;

use santral_core::socketio::Args;

use crate::service::Refusal;
use crate::telemetry::metrics::labels::RefusalClass;

/// See the module.
#[derive(Debug)]
pub struct Answer(Box<RawValue>);

#[derive(Serialize)]
struct Done<'a, T> {
    ok: bool,
    #[serde(flatten)]
    more: &'a T,
}

#[derive(Serialize)]
struct Failed<'a> {
    ok: bool,
    error: Fault<'a>,
}

#[derive(Serialize)]
struct Fault<'a> {
    code: &'a str,
    message: &'a str,
}

impl Answer {
    /// `{"ok":true,…}` with what there is to say.
    #[must_use]
    pub fn done(more: &impl Serialize) -> Self {
        Self::of(&Done { ok: true, more })
    }

    /// `{"ok":false,"error":{"code":…,"message":…}}`.
    #[must_use]
    pub fn failed(code: &str, message: &str) -> Self {
        Self::of(&Failed { ok: false, error: Fault { code, message } })
    }

    /// What a refusal is to a client of Socket.IO.
    #[must_use]
    pub fn refused(refusal: &Refusal) -> Self {
        Self::failed(code_of(refusal), &refusal.to_string())
    }

    /// The arguments of the acknowledgement.
    #[must_use]
    pub fn into_args(self) -> Args {
        Args::parse(&format!("[{}]", self.0)).expect("one JSON value within brackets is an array")
    }

    fn of(value: &impl Serialize) -> Self {
        Self(serde_json::value::to_raw_value(value).expect("answers have string keys and no failing serializer"))
    }
}

/// The code of an answer, from the few that clients may meet.
#[must_use]
pub(super) fn code_of(refusal: &Refusal) -> &'static str {
    match (refusal, refusal.class()) {
        (Refusal::TooLarge { .. } | Refusal::TooDeep, _) => "too_large",
        (Refusal::Token(_), _) => "unauthorized",
        (_, RefusalClass::Denied) => "forbidden",
        (_, RefusalClass::Limited) => "rate_limited",
        (_, RefusalClass::Unavailable | RefusalClass::Failed) => "unavailable",
        (_, RefusalClass::Invalid) => "invalid",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Room {
        room: &'static str,
    }

    #[test]
    fn an_answer_is_one_object_that_says_ok() {
        assert_eq!(Answer::done(&Room { room: "a" }).into_args().as_array(), r#"[{"ok":true,"room":"a"}]"#);
        let refused = Answer::refused(&Refusal::TooLarge { bytes: 3, bytes_max: 2 }).into_args();
        assert!(refused.as_array().starts_with(r#"[{"ok":false,"error":{"code":"too_large","message":"#));
    }
}
