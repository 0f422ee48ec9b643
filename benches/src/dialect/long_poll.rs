//! A client of Santral's long polls: one request at a time on one kept connection.

use super::carry::Carry;
use super::stream_parser::find;
use super::{Found, json_events};
use crate::http::{self, Extent};
use crate::payload::Payload;

const EVENTS: &[u8] = br#"{"events":["#;
const POSITION: &[u8] = br#""position":""#;
const SESSION: &[u8] = br#""session":""#;

/// See the module.
#[derive(Debug)]
pub(crate) struct LongPoll {
    path: &'static str,
    carry: Carry,
}

impl LongPoll {
    /// A client that polls at `path`, which has a query.
    pub(super) fn new(path: &'static str) -> Self {
        Self { path, carry: Carry::default() }
    }

    /// As [`super::Dialect::feed`].
    pub(super) fn feed(
        &mut self,
        input: &[u8],
        payload: &Payload,
        answer: &mut Vec<u8>,
        on_found: &mut impl FnMut(Found),
    ) {
        let path = self.path;
        let is_bounded = self.carry.feed(input, |input| {
            let Some(extent) = Extent::find(input) else {
                return 0;
            };
            let status = http::status(input);
            let body = &input[extent.head_bytes..extent.bytes()];
            if status != 200 {
                on_found(Found::Refused(status));
            } else if let Some(next) = take_batch(path, body, payload, on_found) {
                answer.extend(http::get(&next, "*/*"));
            } else {
                on_found(Found::Foreign);
            }
            extent.bytes()
        });
        if !is_bounded {
            on_found(Found::Foreign);
        }
    }
}

/// Takes the events of one answer, and says where to poll next; `None` if it is none of Santral's.
fn take_batch(path: &str, body: &[u8], payload: &Payload, on_found: &mut impl FnMut(Found)) -> Option<String> {
    let mut rest = body.strip_prefix(EVENTS)?;
    while let [b'{', ..] = rest {
        let (event, behind) = rest.split_at(json_events::object_bytes(rest)?);
        if let Some(found) = json_events::finding(event, payload) {
            on_found(found);
        }
        rest = behind.strip_prefix(b",").unwrap_or(behind);
    }
    let position = text_behind(rest, POSITION)?;
    let session = text_behind(rest, SESSION)?;
    Some(format!("{path}&session={session}&lastEventId={position}"))
}

fn text_behind<'a>(input: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let start = find(input, name)? + name.len();
    let text = input[start..].split(|&byte| byte == b'"').next()?;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::LongPoll;
    use crate::dialect::Found;
    use crate::dialect::json_events::tests::message;
    use crate::payload::{Payload, Stamp};

    fn say(client: &mut LongPoll, body: &str) -> (Vec<Found>, String) {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let (mut found, mut request) = (Vec::new(), Vec::new());
        let (first, second) = answer.as_bytes().split_at(answer.len() / 2);
        for part in [first, second] {
            client.feed(part, &Payload::new(120), &mut request, &mut |finding| found.push(finding));
        }
        let text = String::from_utf8_lossy(&request);
        (found, text.split(" HTTP").next().unwrap_or_default().to_owned())
    }

    #[test]
    fn each_answer_says_where_the_next_poll_goes_on() {
        let mut client = LongPoll::new("/poll?channel=bench");
        let hello = r#"{"events":[{"event":"hello","data":{"a":"}"}}],"position":"e-0","session":"s"}"#;
        let next = "GET /poll?channel=bench&session=s&lastEventId=e-0".to_owned();
        assert_eq!(say(&mut client, hello), (vec![Found::Open], next));
        let stamps = [1, 2].map(|sequence| Stamp { publisher: 0, sequence, sent_ns: 5 });
        let [one, two] = stamps.map(|stamp| String::from_utf8(message(stamp)).expect("it is text"));
        let batch = format!(r#"{{"events":[{one},{two}],"position":"e-2","session":"s"}}"#);
        let next = "GET /poll?channel=bench&session=s&lastEventId=e-2".to_owned();
        assert_eq!(say(&mut client, &batch), (stamps.map(Found::Publication).to_vec(), next));
        let nothing = r#"{"events":[],"position":"e-2","session":"s"}"#;
        assert_eq!(say(&mut client, nothing).0, []);
    }

    #[test]
    fn what_is_no_batch_is_foreign() {
        assert_eq!(say(&mut LongPoll::new("/"), "{}"), (vec![Found::Foreign], String::new()));
    }
}
