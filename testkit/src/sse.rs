//! An independent Server-Sent-Events parser: bytes in, items out.
//!
//! Follows the WHATWG HTML standard, section 9.2.5 (parsing) and 9.2.6 (interpreting). Beyond
//! what a browser shows, it also reports comments, `retry` lines and frames which only move the
//! last event id, since tests want to see them. It does no I/O; [`crate::SseClient`] feeds it.

/// One dispatched event, as a browser's `EventSource` would show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The `event` field, or `message` where the frame had none.
    pub event_type: String,
    /// The `data` lines joined by LF.
    pub data: String,
    /// The last event id in force at the dispatch, which an earlier frame may have set.
    pub last_event_id: String,
    /// The valid `retry` value inside this very frame, in milliseconds.
    pub retry: Option<u64>,
}

/// What the parser can report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A frame with data.
    Event(Event),
    /// A frame without data: never shown to a page, though it sets the last event id.
    Empty {
        /// The last event id after this frame.
        last_event_id: String,
        /// The valid `retry` value inside this frame, in milliseconds.
        retry: Option<u64>,
    },
    /// A line starting with a colon; the text after the colon, untrimmed.
    Comment(String),
}

/// Incremental parser; chunks may be cut anywhere, also inside a character or between CR and LF.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    first_line_done: bool,
    after_cr: bool,
    frame: Frame,
    id_buffer: String,
    last_event_id: String,
    retry_ms: Option<u64>,
}

/// The buffers of the frame being read. `touched` tells a frame of nothing but comments (or a
/// second empty line) from one that had fields.
#[derive(Debug, Default)]
struct Frame {
    event_type: String,
    data: String,
    retry: Option<u64>,
    touched: bool,
}

impl Parser {
    /// A parser at the start of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A parser for the next connection of the same client, which keeps its last event id.
    #[must_use]
    pub fn resuming(last_event_id: &str) -> Self {
        Self { id_buffer: last_event_id.to_owned(), last_event_id: last_event_id.to_owned(), ..Self::default() }
    }

    /// Takes the next bytes and returns all items they complete.
    ///
    /// The end of the stream needs no call: an unfinished frame is dropped with the parser, as
    /// section 9.2.6 asks.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Item> {
        let mut items = Vec::new();
        for &byte in bytes {
            let lf_of_crlf = byte == b'\n' && self.after_cr;
            self.after_cr = byte == b'\r';
            if lf_of_crlf {
                continue;
            }
            if byte == b'\r' || byte == b'\n' {
                items.extend(self.end_line());
            } else {
                self.line.push(byte);
            }
        }
        items
    }

    /// What a reconnect would send as `Last-Event-ID`; empty when there is nothing to send.
    #[must_use]
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// The reconnection time in force, in milliseconds, if the stream set one.
    #[must_use]
    pub fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    /// Lines end at ASCII bytes, so decoding line by line replaces broken UTF-8 exactly as
    /// decoding the whole stream would.
    fn end_line(&mut self) -> Option<Item> {
        let bytes = std::mem::take(&mut self.line);
        let is_first = !std::mem::replace(&mut self.first_line_done, true);
        let bytes = match bytes.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if is_first => rest,
            Some(_) | None => &bytes,
        };
        let line = String::from_utf8_lossy(bytes);
        if line.is_empty() {
            return self.dispatch();
        }
        if let Some(comment) = line.strip_prefix(':') {
            return Some(Item::Comment(comment.to_owned()));
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        self.field(name, value.strip_prefix(' ').unwrap_or(value));
        None
    }

    fn field(&mut self, name: &str, value: &str) {
        match name {
            "event" => value.clone_into(&mut self.frame.event_type),
            "data" => {
                self.frame.data.push_str(value);
                self.frame.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.id_buffer),
            "retry" => {
                let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                // A number beyond u64 is as good as never.
                let retry = digits.then(|| value.parse().unwrap_or(u64::MAX));
                self.frame.retry = retry.or(self.frame.retry);
                self.retry_ms = retry.or(self.retry_ms);
            }
            _ => return,
        }
        self.frame.touched = true;
    }

    fn dispatch(&mut self) -> Option<Item> {
        let frame = std::mem::take(&mut self.frame);
        self.last_event_id.clone_from(&self.id_buffer);
        let last_event_id = self.last_event_id.clone();
        let Some(data) = frame.data.strip_suffix('\n') else {
            let empty = Item::Empty { last_event_id, retry: frame.retry };
            return frame.touched.then_some(empty);
        };
        let event_type = match frame.event_type.as_str() {
            "" => "message".to_owned(),
            name => name.to_owned(),
        };
        Some(Item::Event(Event { event_type, data: data.to_owned(), last_event_id, retry: frame.retry }))
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Vec<Item> {
        Parser::new().feed(bytes)
    }

    fn event(event_type: &str, data: &str, last_event_id: &str) -> Item {
        Item::Event(Event {
            event_type: event_type.to_owned(),
            data: data.to_owned(),
            last_event_id: last_event_id.to_owned(),
            retry: None,
        })
    }

    fn empty(last_event_id: &str) -> Item {
        Item::Empty { last_event_id: last_event_id.to_owned(), retry: None }
    }

    #[test]
    fn the_examples_of_the_standard_parse_as_it_says() {
        let stock = b"data: YHOO\ndata: +2\ndata: 10\n\n";
        assert_eq!(parse(stock), [event("message", "YHOO\n+2\n10", "")]);

        let four = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n";
        assert_eq!(
            parse(four),
            [
                Item::Comment(" test stream".to_owned()),
                event("message", "first event", "1"),
                event("message", "second event", ""),
            ],
            "the third lacks its empty line and is discarded"
        );

        assert_eq!(parse(b"data\n\ndata\ndata\n\ndata:\n"), [event("message", "", ""), event("message", "\n", "")]);
        assert_eq!(parse(b"data:test\n\ndata: test\n\n"), [event("message", "test", ""), event("message", "test", "")]);
    }

    #[test]
    fn every_cut_of_every_line_ending_gives_the_same_items() {
        let stream =
            "\u{FEFF}:c\u{e9}\nid: 7\nevent: \u{15f}\ndata: a\ndata:\u{1F600}\n\nid: 8\n\nretry: 50\ndata: z\n\n";
        let expected = parse(stream.as_bytes());
        assert_eq!(expected.len(), 4);
        for ending in ["\n", "\r\n", "\r"] {
            let bytes = stream.replace('\n', ending).into_bytes();
            for cut in 0..=bytes.len() {
                let mut parser = Parser::new();
                let mut items = parser.feed(&bytes[..cut]);
                items.extend(parser.feed(&bytes[cut..]));
                assert_eq!(items, expected, "cut at {cut} with {ending:?}");
            }
            let mut parser = Parser::new();
            let items: Vec<Item> = bytes.iter().flat_map(|byte| parser.feed(&[*byte])).collect();
            assert_eq!(items, expected, "byte by byte with {ending:?}");
        }
    }

    #[test]
    fn a_lone_cr_ends_the_line_at_once() {
        assert_eq!(parse(b"data: now\r\r"), [event("message", "now", "")]);
        let mut parser = Parser::new();
        assert_eq!(parser.feed(b"data: a\r\n\r").len(), 1);
        assert_eq!(parser.feed(b"\ndata: b\n\r\n"), [event("message", "b", "")]);
    }

    #[test]
    fn only_one_byte_order_mark_and_only_at_the_start_is_dropped() {
        assert_eq!(parse("\u{FEFF}data: a\n\n".as_bytes()), [event("message", "a", "")]);
        assert_eq!(parse("\u{FEFF}\u{FEFF}data: a\n\n".as_bytes()), []);
        assert_eq!(parse("\n\u{FEFF}data: a\n\n".as_bytes()), []);
    }

    #[test]
    fn an_id_with_nul_is_ignored_and_an_empty_id_clears() {
        let items = parse(b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\nid:\ndata: c\n\n");
        assert_eq!(items, [event("message", "a", "1"), event("message", "b", "1"), event("message", "c", "")]);
    }

    #[test]
    fn an_id_without_data_counts_only_once_its_frame_ends() {
        let mut parser = Parser::new();
        assert_eq!(parser.feed(b"id: 5\nevent: lost\n"), []);
        assert_eq!(parser.last_event_id(), "");
        assert_eq!(parser.feed(b"\ndata: x\n\n"), [empty("5"), event("message", "x", "5")]);
        assert_eq!(parser.last_event_id(), "5", "and the event name did not leak");
    }

    #[test]
    fn retry_takes_digits_only() {
        let mut parser = Parser::new();
        parser.feed(b"retry: 2000\nretry: 1e3\nretry: -5\nretry:\n\n");
        assert_eq!(parser.retry_ms(), Some(2000));
        let items = parser.feed(b"retry: 99999999999999999999\ndata: x\n\n");
        assert_eq!(parser.retry_ms(), Some(u64::MAX));
        assert!(matches!(&items[..], [Item::Event(Event { retry: Some(u64::MAX), .. })]));
    }

    #[test]
    fn names_are_exact_and_unknown_fields_are_ignored() {
        assert_eq!(parse(b"Data: a\n data: b\ndata : c\ndat: d\n\n"), []);
        assert_eq!(parse(b"event: x\nevent\ndata: a\n\n"), [event("message", "a", "")]);
        assert_eq!(parse(b"data:a:b\n\n"), [event("message", "a:b", "")]);
    }

    #[test]
    fn broken_utf8_becomes_the_replacement_character() {
        assert_eq!(
            parse(b"data: \xF0\x9F\x98\n\ndata: \xFF\n\n"),
            [event("message", "\u{FFFD}", ""), event("message", "\u{FFFD}", "")]
        );
    }

    #[test]
    fn a_resuming_parser_keeps_its_id() {
        let mut parser = Parser::resuming("e-4");
        assert_eq!(parser.last_event_id(), "e-4");
        assert_eq!(parser.feed(b"data: x\n\n"), [event("message", "x", "e-4")]);
    }
}
