//! How calls go: reports of participants, checked and judged.
//!
//! | file | what |
//! |---|---|
//! | `mod` | a report, and what is wrong with it |
//! | `route` | by which way media go |
//! | `score` | how good a link is, and a call |
//! | `watch` | what is new in a report, and when others are told of a score |
//! | `advice` | what to send at most |
//!
//! What a participant reports is its own word. It decides nothing but what others are shown and what is
//! counted, so a lie harms nobody else.

mod advice;
mod route;
mod score;
mod watch;

use std::time::Duration;

use santral_schema::call_quality::{LinkState, PeerReport};

use crate::limits::{
    CALL_FPS_MAX, CALL_KBPS_MAX, CALL_MILLISECONDS_MAX, CALL_PAIR_BYTES_MAX, CALL_PIXELS_MAX, PARTICIPANT_ID_BYTES_MAX,
    PARTICIPANTS_MAX,
};

pub use advice::advice;
pub use route::{Candidate, Route};
pub use score::{call_score, link_score};
pub use watch::{LinkNews, Observation, QualityWatch};

/// A report that was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    links: Vec<Link>,
}

/// What was reported of the link to one other participant, as far as it is judged. Bitrates, frame rate and
/// size are checked only: a camera that is off looks like one that is cut off.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The other's participant id.
    pub peer: Box<str>,
    /// How it does.
    pub state: LinkState,
    /// By which way media go; `None` while there is none.
    pub route: Option<Route>,
    /// Round trip.
    pub rtt: Option<Duration>,
    /// Jitter of what arrives.
    pub jitter: Option<Duration>,
    /// Part of the packets that were lost, from 0 to 1.
    pub loss: Option<f64>,
    /// Freezes since the link began.
    pub freezes: Option<u32>,
    /// How long the setup took.
    pub setup: Option<Duration>,
}

/// Why a report was refused.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ReportError {
    /// More links than a room has others.
    #[error("`peers` has more than {PARTICIPANTS_MAX} items")]
    TooManyPeers,
    /// The id of another participant is none.
    #[error("`peers[{0}].peer` is not the id of a participant")]
    Peer(usize),
    /// One other stands there twice.
    #[error("`peers[{0}].peer` stands there before")]
    Repeated(usize),
    /// The candidates are described at length.
    #[error("`peers[{0}].pair` is longer than {CALL_PAIR_BYTES_MAX} bytes")]
    Pair(usize),
    /// A number that cannot be.
    #[error("`peers[{index}].{field}` must be from 0 to {max}")]
    Number {
        /// Of which item.
        index: usize,
        /// Its name.
        field: &'static str,
        /// The greatest value.
        max: f64,
    },
}

impl Report {
    /// Checks what somebody reported.
    ///
    /// # Errors
    /// [`ReportError`] for the first thing that is wrong.
    pub fn parse(peers: &[PeerReport]) -> Result<Self, ReportError> {
        if peers.len() > PARTICIPANTS_MAX {
            return Err(ReportError::TooManyPeers);
        }
        let links: Vec<_> =
            peers.iter().enumerate().map(|(index, peer)| Link::parse(index, peer)).collect::<Result<_, _>>()?;
        let is_repeated = |index: &usize| links[..*index].iter().any(|link| link.peer == links[*index].peer);
        match (0..links.len()).find(is_repeated) {
            Some(index) => Err(ReportError::Repeated(index)),
            None => Ok(Self { links }),
        }
    }

    /// The links.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }
}

impl Link {
    fn parse(index: usize, report: &PeerReport) -> Result<Self, ReportError> {
        if !is_participant_id(&report.peer) {
            return Err(ReportError::Peer(index));
        }
        let pair = report.pair.as_deref();
        if pair.is_some_and(|pair| pair.len() > CALL_PAIR_BYTES_MAX) {
            return Err(ReportError::Pair(index));
        }
        let number = |field, value: Option<f64>, max| match value {
            Some(number) if !(0.0..=max).contains(&number) => Err(ReportError::Number { index, field, max }),
            Some(_) | None => Ok(value),
        };
        let span = |field, value| number(field, value, CALL_MILLISECONDS_MAX).map(|value| value.map(milliseconds));
        number("kbpsIn", report.kbps_in, CALL_KBPS_MAX)?;
        number("kbpsOut", report.kbps_out, CALL_KBPS_MAX)?;
        number("fps", report.fps, CALL_FPS_MAX)?;
        number("width", report.width.map(f64::from), CALL_PIXELS_MAX)?;
        number("height", report.height.map(f64::from), CALL_PIXELS_MAX)?;
        Ok(Self {
            peer: report.peer.as_str().into(),
            state: report.state,
            route: pair.map(Route::parse),
            rtt: span("rttMs", report.rtt_ms)?,
            jitter: span("jitterMs", report.jitter_ms)?,
            loss: number("lossPct", report.loss_pct, 100.0)?.map(|percent| percent / 100.0),
            freezes: report.freezes,
            setup: span("setupMs", report.setup_ms)?,
        })
    }
}

/// Whether it may be one: whether there is such a participant, the room knows.
fn is_participant_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
    (1..=PARTICIPANT_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// In range, so that it cannot fail.
fn milliseconds(number: f64) -> Duration {
    Duration::from_secs_f64(number / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(json: &str) -> Vec<PeerReport> {
        serde_json::from_str(json).expect("the test's reports have the right form")
    }

    fn refusal(json: &str) -> Option<String> {
        Report::parse(&peers(json)).err().map(|error| error.to_string())
    }

    #[test]
    fn a_report_is_read_whole() {
        let report = Report::parse(&peers(
            r#"[{"peer":"p_1","state":"connected","pair":"relay/tls→host/udp","rttMs":80.5,"jitterMs":3,"lossPct":1.5,
                 "kbpsIn":350,"kbpsOut":340.5,"fps":15,"width":640,"height":480,"freezes":2,"setupMs":900},
                {"peer":"p_2","state":"new"}]"#,
        ))
        .expect("a valid report");
        let [first, second] = report.links() else { panic!("{report:?}") };
        let expected = Link {
            peer: "p_1".into(),
            state: LinkState::Connected,
            route: Some(Route::parse("relay/tls→host/udp")),
            rtt: Some(Duration::from_micros(80_500)),
            jitter: Some(Duration::from_millis(3)),
            loss: Some(0.015),
            freezes: Some(2),
            setup: Some(Duration::from_millis(900)),
        };
        assert_eq!(*first, expected);
        assert_eq!((second.rtt, second.route, second.state), (None, None, LinkState::New));
    }

    #[test]
    fn a_number_ends_where_its_range_does() {
        for (field, max) in [
            ("rttMs", 600_000_u32),
            ("jitterMs", 600_000),
            ("lossPct", 100),
            ("kbpsIn", 10_000_000),
            ("kbpsOut", 10_000_000),
            ("fps", 1_000),
            ("width", 32_768),
            ("height", 32_768),
            ("setupMs", 600_000),
        ] {
            let of = |value: &str| refusal(&format!(r#"[{{"peer":"p","state":"connected","{field}":{value}}}]"#));
            assert_eq!(of("0"), None, "{field}");
            assert_eq!(of(&max.to_string()), None, "{field}");
            let complaint = format!("`peers[0].{field}` must be from 0 to {max}");
            assert_eq!(of(&(max + 1).to_string()).as_ref(), Some(&complaint));
            if !["width", "height"].contains(&field) {
                assert_eq!(of("-0.1").as_ref(), Some(&complaint));
                assert_eq!(of("1e300").as_ref(), Some(&complaint));
            }
        }
    }

    #[test]
    fn what_is_no_number_never_gets_so_far() {
        let mut report = peers(r#"[{"peer":"p","state":"connected"}]"#);
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            report[0].rtt_ms = Some(odd);
            assert!(matches!(Report::parse(&report), Err(ReportError::Number { field: "rttMs", .. })), "{odd}");
        }
        for field in [r#""width":-1"#, r#""freezes":1.5"#, r#""rttMs":1e999"#, r#""rttMs":"1""#, r#""rtt":1"#] {
            let text = format!(r#"[{{"peer":"p","state":"connected",{field}}}]"#);
            assert!(serde_json::from_str::<Vec<PeerReport>>(&text).is_err(), "{field}");
        }
    }

    #[test]
    fn others_are_named_once_and_not_more_than_a_room_holds() {
        let many = |count: usize| {
            let items: Vec<_> = (0..count).map(|number| format!(r#"{{"peer":"p{number}","state":"new"}}"#)).collect();
            refusal(&format!("[{}]", items.join(",")))
        };
        assert_eq!((many(0), many(PARTICIPANTS_MAX)), (None, None));
        assert_eq!(many(PARTICIPANTS_MAX + 1).as_deref(), Some("`peers` has more than 32 items"));
        let twice = r#"[{"peer":"a","state":"new"},{"peer":"b","state":"new"},{"peer":"a","state":"new"}]"#;
        assert_eq!(refusal(twice).as_deref(), Some("`peers[2].peer` stands there before"));
        let named = |name: &str| refusal(&format!(r#"[{{"peer":"{name}","state":"new"}}]"#));
        assert_eq!(named(&"p".repeat(PARTICIPANT_ID_BYTES_MAX)), None);
        for odd in ["", "a b", "ä", &"p".repeat(PARTICIPANT_ID_BYTES_MAX + 1)] {
            assert_eq!(named(odd).as_deref(), Some("`peers[0].peer` is not the id of a participant"), "{odd}");
        }
        let long = format!(r#"[{{"peer":"p","state":"new","pair":"{}"}}]"#, "x".repeat(CALL_PAIR_BYTES_MAX + 1));
        assert_eq!(refusal(&long).as_deref(), Some("`peers[0].pair` is longer than 64 bytes"));
    }
}
