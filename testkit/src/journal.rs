//! Journals: what publishers and subscribers saw, one JSON object per line.
//!
//! Any program in any language can write them; [`crate::checker`] decides whether what they say
//! together can be true of a correct server. A line is written with a single system call, so a
//! killed writer leaves at most one broken line, the last one, which readers skip.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// One line of a journal, without its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Record {
    /// A publisher begins an attempt. Written before the request is sent.
    Publish {
        /// Who.
        publisher: String,
        /// The idempotency key: the same for all attempts at one publication.
        key: String,
        /// The one channel it goes to.
        channel: String,
        /// The hash of the content, see [`content_hash`].
        hash: String,
        /// Whether the server need not store it.
        #[serde(default)]
        volatile: bool,
    },
    /// The server said that it has it.
    Ack {
        /// Of the attempt.
        key: String,
        /// The position it got; a volatile message may have none.
        id: Option<String>,
        /// What the server promised.
        durability: Durability,
    },
    /// The server said that it does not have it.
    Refused {
        /// Of the attempt.
        key: String,
        /// The HTTP status.
        status: u16,
        /// The problem's code, if there was one.
        code: Option<String>,
    },
    /// No answer: the connection was lost, or time ran out.
    Unknown {
        /// Of the attempt.
        key: String,
    },
    /// A subscriber begins a connection. Written before the request is sent.
    #[serde(rename_all = "camelCase")]
    Attach {
        /// Who, over all its connections.
        client: String,
        /// The position it asks to go on from; `earliest` = from the beginning.
        last_event_id: Option<String>,
        /// All it is to receive, also what the server adds by itself (`broadcast`). A name may
        /// end in `*`.
        channels: Vec<String>,
    },
    /// The first frame of a connection.
    Hello {
        /// Who.
        client: String,
        /// The position it begins at.
        id: Option<String>,
        /// Whether the server says that nothing was missed.
        recovered: Option<bool>,
    },
    /// A message arrived.
    Event {
        /// At whom.
        client: String,
        /// Its position, from this very frame; `null` when the frame had none.
        id: Option<String>,
        /// Its channel, where the format tells.
        channel: Option<String>,
        /// Its publication's key.
        key: Option<String>,
        /// The hash of the content.
        hash: String,
    },
    /// The server said that something is missing.
    Gap {
        /// To whom.
        client: String,
        /// The position after which it is missing.
        requested: Option<String>,
        /// The position up to which it is missing; `null` or `earliest` = what is left follows.
        resumed_from: Option<String>,
        /// Why.
        reason: Option<String>,
    },
    /// A subscriber's connection ended.
    Detach {
        /// Who.
        client: String,
    },
    /// A line of the log, dumped per channel after the run, oldest first.
    Stored {
        /// Its position.
        id: String,
        /// Its channel.
        channel: String,
        /// Its publication's key, where there is one.
        key: Option<String>,
        /// The hash of the content.
        hash: String,
    },
}

/// What an acknowledgement promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Durability {
    /// It is in the log and survives a power cut.
    Disk,
    /// It was handed on and not stored.
    Memory,
}

#[derive(Serialize, Deserialize)]
struct Line<R> {
    /// Milliseconds since 1970; for the reader of a journal, the checker does not use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<u64>,
    #[serde(flatten)]
    record: R,
}

/// A journal being written; can be shared by threads.
#[derive(Debug)]
pub struct Journal {
    file: Mutex<File>,
}

impl Journal {
    /// Creates or empties the file.
    ///
    /// # Errors
    /// Of the file system.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: Mutex::new(File::create(path)?) })
    }

    /// Writes one record with the present time.
    ///
    /// # Errors
    /// Of the file system.
    pub fn append(&self, record: &Record) -> io::Result<()> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let t = since_1970.ok().and_then(|time| u64::try_from(time.as_millis()).ok());
        let mut line = serde_json::to_vec(&Line { t, record }).map_err(io::Error::other)?;
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.write_all(&line)
    }
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A line is no record.
    #[error("{path}, line {line}: {source}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: u64,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// Reads a journal record by record, in constant memory.
#[derive(Debug)]
pub struct JournalReader {
    path: PathBuf,
    reader: BufReader<File>,
    line: u64,
}

impl JournalReader {
    /// Opens a journal.
    ///
    /// # Errors
    /// [`JournalError::Read`].
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let path = path.to_path_buf();
        match File::open(&path) {
            Ok(file) => Ok(Self { path, reader: BufReader::new(file), line: 0 }),
            Err(source) => Err(JournalError::Read { path, source }),
        }
    }
}

impl Iterator for JournalReader {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let mut bytes = Vec::new();
            if let Err(source) = self.reader.read_until(b'\n', &mut bytes) {
                return Some(Err(JournalError::Read { path: self.path.clone(), source }));
            }
            if bytes.is_empty() {
                return None;
            }
            self.line += 1;
            if bytes.trim_ascii().is_empty() {
                continue;
            }
            return match serde_json::from_slice::<Line<Record>>(&bytes) {
                Ok(line) => Some(Ok(line.record)),
                // The writer was killed in the middle of its last line.
                Err(_) if !bytes.ends_with(b"\n") => None,
                Err(source) => Some(Err(JournalError::Line { path: self.path.clone(), line: self.line, source })),
            };
        }
    }
}

/// The hash used in journals: FNV-1a with 64 bits as 16 hexadecimal digits. Made for telling
/// messages of a test apart, easy to write in any language, and no protection against anyone.
#[must_use]
pub fn content_hash(content: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    format!("{:016x}", content.iter().fold(0xCBF2_9CE4_8422_2325, step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_documented_shape() {
        let line = r#"{"t":5,"kind":"attach","client":"c","lastEventId":null,"channels":["a"]}"#;
        let parsed: Line<Record> = serde_json::from_str(line).expect("a documented line");
        let channels = vec!["a".to_owned()];
        let record = Record::Attach { client: "c".to_owned(), last_event_id: None, channels };
        assert_eq!((parsed.t, &parsed.record), (Some(5), &record));
        assert_eq!(serde_json::to_string(&parsed).expect("plain data"), line);
        for line in [
            r#"{"kind":"publish","publisher":"p","key":"k","channel":"a","hash":"h","volatile":false,"more":1}"#,
            r#"{"kind":"ack","key":"k","id":"e-1","durability":"disk"}"#,
            r#"{"kind":"refused","key":"k","status":503,"code":"storage_busy"}"#,
            r#"{"kind":"unknown","key":"k"}"#,
            r#"{"kind":"hello","client":"c","id":"e-0","recovered":false}"#,
            r#"{"kind":"event","client":"c","id":"e-1","channel":null,"key":"k","hash":"h"}"#,
            r#"{"kind":"gap","client":"c","requested":"e-1","resumedFrom":"e-5","reason":"retention"}"#,
            r#"{"kind":"detach","client":"c"}"#,
            r#"{"kind":"stored","id":"e-1","channel":"a","key":"k","hash":"h"}"#,
        ] {
            assert!(serde_json::from_str::<Line<Record>>(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_killed_writer_costs_its_last_line_and_no_more() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("journal");
        let journal = Journal::create(&path).expect("a new file");
        let record = Record::Unknown { key: "k".to_owned() };
        journal.append(&record).expect("there is space");
        let mut bytes = std::fs::read(&path).expect("it was written");
        bytes.extend_from_slice(b"\n{\"kind\":\"unk");
        std::fs::write(&path, &bytes).expect("there is space");
        let read = || JournalReader::open(&path).expect("the file is there");
        let records: Result<Vec<Record>, _> = read().collect();
        assert_eq!(records.expect("the broken end is skipped"), [record]);
        bytes.push(b'\n');
        std::fs::write(&path, &bytes).expect("there is space");
        let error = read().find_map(Result::err).expect("a whole broken line is an error");
        assert!(error.to_string().contains("journal, line 3"), "{error}");
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(content_hash(b""), "cbf29ce484222325");
        assert_eq!(content_hash(b"foobar"), "85944171f73967e8");
    }
}
