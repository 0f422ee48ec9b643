//! A Socket.IO client that polls: one request at a time on one kept connection.
//!
//! What the client has to say goes by POST before the next poll, so a poll is held whenever there is nothing
//! to say. Browsers send both at once, on two connections.

use super::Found;
use super::carry::Carry;
use super::socketio::SocketIo;
use super::stream_parser::find;
use crate::http::{self, Extent};
use crate::payload::Payload;

const SEPARATOR: u8 = 0x1e;
const SID: &[u8] = br#""sid":""#;
const CONTENT_TYPE: &str = "text/plain;charset=UTF-8";

/// See the module.
#[derive(Debug)]
pub(crate) struct SocketIoPolling {
    /// Path and query, with the session once it is known.
    path: String,
    has_session: bool,
    awaits_post: bool,
    carry: Carry,
    client: SocketIo,
}

impl SocketIoPolling {
    /// A client whose first request is a GET of `path`.
    pub(super) fn new(path: &str, client: SocketIo) -> Self {
        Self { path: path.to_owned(), has_session: false, awaits_post: false, carry: Carry::default(), client }
    }

    /// As [`super::Dialect::feed`].
    pub(super) fn feed(
        &mut self,
        input: &[u8],
        payload: &Payload,
        answer: &mut Vec<u8>,
        on_found: &mut impl FnMut(Found),
    ) {
        let mut carry = std::mem::take(&mut self.carry);
        let is_bounded = carry.feed(input, |input| {
            let Some(extent) = Extent::find(input) else {
                return 0;
            };
            let status = http::status(input);
            let body = &input[extent.head_bytes..extent.bytes()];
            if status == 200 {
                self.take_answer(body, payload, answer, on_found);
            } else {
                on_found(Found::Refused(status));
            }
            extent.bytes()
        });
        self.carry = carry;
        if !is_bounded {
            on_found(Found::Foreign);
        }
    }

    fn take_answer(&mut self, body: &[u8], payload: &Payload, request: &mut Vec<u8>, on_found: &mut impl FnMut(Found)) {
        let mut outgoing: Vec<u8> = Vec::new();
        if std::mem::take(&mut self.awaits_post) {
            if body != b"ok" {
                on_found(Found::Foreign);
            }
        } else {
            self.note_session(body);
            for packet in body.split(|&byte| byte == SEPARATOR) {
                let mut send = |packet: &[u8]| {
                    if !outgoing.is_empty() {
                        outgoing.push(SEPARATOR);
                    }
                    outgoing.extend_from_slice(packet);
                };
                self.client.take(packet, payload, &mut send, on_found);
            }
        }
        if outgoing.is_empty() {
            request.extend(http::get(&self.path, "*/*"));
        } else {
            self.awaits_post = true;
            request.extend(http::post_head_of(&self.path, CONTENT_TYPE, outgoing.len()));
            request.extend(outgoing);
        }
    }

    fn note_session(&mut self, body: &[u8]) {
        if self.has_session {
            return;
        }
        let sid = find(body, SID).map(|at| &body[at + SID.len()..]);
        let sid = sid.and_then(|rest| rest.split(|&byte| byte == b'"').next()).unwrap_or_default();
        self.path = format!("{}&sid={}", self.path, String::from_utf8_lossy(sid));
        self.has_session = true;
    }
}

#[cfg(test)]
mod tests {
    use super::SocketIoPolling;
    use crate::dialect::Found;
    use crate::dialect::socketio::SocketIo;
    use crate::payload::{Payload, Stamp};

    fn ok(body: &str) -> Vec<u8> {
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn a_client_connects_joins_polls_and_answers_pings() {
        let mut client = SocketIoPolling::new("/p?q", SocketIo::new(Some("bench")));
        let stamps = [1, 2].map(|sequence| Stamp { publisher: 0, sequence, sent_ns: 5 });
        let events = stamps.map(|stamp| {
            let mut event = b"42[\"message\",".to_vec();
            Payload::new(120).write(stamp, &mut event);
            event.push(b']');
            String::from_utf8(event).expect("it is text")
        });
        let mut found = Vec::new();
        let mut say = |answer: &[u8]| {
            let (first, second) = answer.split_at(answer.len() / 2);
            let mut request = Vec::new();
            for part in [first, second] {
                client.feed(part, &Payload::new(120), &mut request, &mut |finding| found.push(finding));
            }
            let text = String::from_utf8(request).expect("it is text");
            let (head, body) = text.split_once("\r\n\r\n").expect("a request has a head");
            format!("{} {body}", head.split(" HTTP").next().expect("a first line")).trim_end().to_owned()
        };
        assert_eq!(say(&ok("0{\"sid\":\"ab\",\"upgrades\":[]}")), "POST /p?q&sid=ab 40");
        assert_eq!(say(&ok("ok")), "GET /p?q&sid=ab");
        assert_eq!(say(&ok("40{\"sid\":\"x\"}")), "POST /p?q&sid=ab 420[\"join\",\"bench\"]");
        assert_eq!(say(&ok("ok")), "GET /p?q&sid=ab");
        assert_eq!(say(&ok("430[{\"ok\":true}]")), "GET /p?q&sid=ab");
        assert_eq!(say(&ok(&format!("{}\x1e2\x1e{}", events[0], events[1]))), "POST /p?q&sid=ab 3");
        let expected: Vec<Found> =
            [Found::Open].into_iter().chain(stamps.into_iter().map(Found::Publication)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_refusal_is_found() {
        let mut client = SocketIoPolling::new("/p", SocketIo::new(None));
        let mut found = Vec::new();
        let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        client.feed(answer, &Payload::new(120), &mut Vec::new(), &mut |finding| found.push(finding));
        assert_eq!(found, [Found::Refused(400)]);
    }
}
