//! A publisher that does not give up: what got no answer is sent again under the same key.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;

use santral_testkit::http::{Request, Response};
use santral_testkit::journal::{Durability, Journal, Record, content_hash};
use santral_testkit::random::SplitMix64;

use super::{CHANNELS, Phase};
use crate::support::post_json;

pub(super) struct Publisher {
    name: String,
    address: SocketAddr,
    journal: Arc<Journal>,
    phase: Arc<Phase>,
    random: SplitMix64,
    count: u64,
}

struct Message {
    key: String,
    channel: String,
    data: String,
}

/// Messages of one request.
struct Parcel {
    messages: Vec<Message>,
    request: Request,
    /// Without a key a lost answer stays unknown: sent again, it might be stored twice.
    may_repeat: bool,
}

impl Publisher {
    pub(super) fn new(
        number: usize,
        address: SocketAddr,
        journal: Arc<Journal>,
        phase: &Arc<Phase>,
        random: SplitMix64,
    ) -> Self {
        Self { name: format!("p{number}"), address, journal, phase: Arc::clone(phase), random, count: 0 }
    }

    pub(super) fn run(mut self) {
        while !self.phase.is_ending() {
            let parcel = self.next_parcel();
            while !self.attempt(&parcel) && parcel.may_repeat && !self.phase.is_over() {
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Every way to publish, by turns at random.
    fn next_parcel(&mut self) -> Parcel {
        match self.random.below(5) {
            0 => {
                let message = self.message("broadcast");
                let request = post_json("/api/broadcast", &message.data).header("Idempotency-Key", &message.key);
                Parcel { messages: vec![message], request, may_repeat: true }
            }
            1 => {
                let message = self.message_somewhere();
                let request = post_json("/api/publish", &item(&message, false));
                Parcel { messages: vec![message], request, may_repeat: false }
            }
            2 => {
                let message = self.message_somewhere();
                let request = post_json("/api/publish", &item(&message, true));
                Parcel { messages: vec![message], request, may_repeat: true }
            }
            3 => self.batch(true),
            _ => self.batch(false),
        }
    }

    /// A batch with a key for each item, or one for all.
    fn batch(&mut self, has_item_keys: bool) -> Parcel {
        let count = 1 + self.random.below(20);
        let messages: Vec<_> = (0..count).map(|_| self.message_somewhere()).collect();
        let items: Vec<_> = messages.iter().map(|message| item(message, has_item_keys)).collect();
        let mut request = post_json("/api/publish", &format!("[{}]", items.join(",")));
        if !has_item_keys {
            request = request.header("Idempotency-Key", &format!("batch-{}", messages[0].key));
        }
        Parcel { messages, request, may_repeat: true }
    }

    fn message_somewhere(&mut self) -> Message {
        let index = usize::try_from(self.random.below(CHANNELS.len() as u64)).expect("there are few channels");
        self.message(CHANNELS[index])
    }

    fn message(&mut self, channel: &str) -> Message {
        self.count += 1;
        let key = format!("{}-{}", self.name, self.count);
        let filler = "ş".repeat(usize::try_from(self.random.below(300)).expect("it is small"));
        let data = format!(r#"{{"key":"{key}","text":"{filler}"}}"#);
        Message { key, channel: channel.to_owned(), data }
    }

    /// Sends the parcel once. False when it should be sent again.
    fn attempt(&self, parcel: &Parcel) -> bool {
        for message in &parcel.messages {
            self.write(Record::Publish {
                publisher: self.name.clone(),
                key: message.key.clone(),
                channel: message.channel.clone(),
                hash: content_hash(message.data.as_bytes()),
                volatile: false,
            });
        }
        match parcel.request.send(self.address, ANSWER_MAX) {
            Ok(answer) if answer.status == 200 => {
                self.acknowledged(parcel, &answer);
                true
            }
            Ok(answer) => {
                assert_eq!(answer.status, 503, "nothing but passing trouble is expected: {answer:?}");
                let code = answer.json().expect("a problem is JSON")["code"].as_str().map(str::to_owned);
                self.write_all(parcel, |key| Record::Refused { key, status: answer.status, code: code.clone() });
                false
            }
            Err(_) => {
                self.write_all(parcel, |key| Record::Unknown { key });
                false
            }
        }
    }

    fn acknowledged(&self, parcel: &Parcel, answer: &Response) {
        let receipts = match answer.json().expect("a receipt is JSON") {
            Value::Array(receipts) => receipts,
            receipt => vec![receipt],
        };
        assert_eq!(receipts.len(), parcel.messages.len(), "{answer:?}");
        for (message, receipt) in parcel.messages.iter().zip(&receipts) {
            let durability = if receipt["durability"] == "disk" { Durability::Disk } else { Durability::Memory };
            let id = receipt["id"].as_str().map(str::to_owned);
            self.write(Record::Ack { key: message.key.clone(), id, durability });
        }
        self.phase.acked.fetch_add(receipts.len() as u64, Ordering::AcqRel);
    }

    fn write_all(&self, parcel: &Parcel, record: impl Fn(String) -> Record) {
        parcel.messages.iter().for_each(|message| self.write(record(message.key.clone())));
    }

    fn write(&self, record: Record) {
        self.journal.append(&record).expect("the journal can be written");
    }
}

fn item(message: &Message, has_key: bool) -> String {
    let Message { key, channel, data } = message;
    let key = if has_key { format!(r#","key":"{key}""#) } else { String::new() };
    format!(r#"{{"channel":"{channel}","data":{data}{key}}}"#)
}

/// How long a publisher waits before it counts an answer as lost.
const ANSWER_MAX: Duration = Duration::from_millis(1_500);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(10);
