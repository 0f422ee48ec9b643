//! The one declaration of every setting: name, meaning, form, range and default.
//!
//! From it come the fields of [`Config`], flags, environment variables, keys of the file, the
//! errors about them and docs/config.md. A new setting is a new entry here and nothing else.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::system::uname;
use santral_core::limits;

use super::LogFormat;
use super::descriptors::{self, Descriptors};
use super::forms::{
    Address, Choice, Count, DatabaseUrl, Describe, Folder, Form, LogFilter, Name, Span, Switch, Whole, span_text,
};
use super::resolve::Resolver;
use super::secret::Secret;
use crate::ports::store::Durability;

/// What is said of one setting.
pub(crate) struct Key {
    /// As in the file; the other spellings follow from it.
    pub(crate) name: &'static str,
    /// One line of meaning, then, as further lines, what one should know.
    about: &'static [&'static str],
    /// What its values look like.
    pub(super) form: &'static (dyn Describe + Sync),
    /// What holds when nobody says anything.
    pub(super) default: Default,
}

impl Key {
    /// Without the dashes in front.
    pub(crate) fn flag(&self) -> String {
        self.name.replace('_', "-")
    }

    /// The name of the environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("SANTRAL_{}", self.name.to_uppercase())
    }

    /// Whether the flag may stand without a value.
    pub(crate) fn is_switch(&self) -> bool {
        self.form.is_switch()
    }

    /// The meaning in one line, for `-h`.
    pub(crate) fn summary(&self) -> String {
        self.about[0].trim().trim_end_matches('.').to_owned()
    }

    /// The meaning in full.
    pub(crate) fn about(&self) -> String {
        self.about.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }

    /// Meaning, values and default, for `--help`.
    pub(crate) fn help(&self) -> String {
        format!("{}\n[values: {}; default: {}]", self.about(), self.form.expected(), self.default.shown())
    }
}

/// What holds when nobody says anything.
pub(super) enum Default {
    /// This text.
    Text(&'static str),
    /// This number, from [`limits`].
    Number(u64),
    /// This time span, from [`limits`].
    Span(Duration),
    /// Whatever this machine or another setting says.
    Derived {
        /// In words.
        shown: &'static str,
        /// In fact.
        from: fn(&Basis) -> String,
    },
}

impl Default {
    /// The text, which is read like one that was given.
    pub(super) fn text(&self, basis: &Basis) -> String {
        match self {
            Self::Derived { from, .. } => from(basis),
            Self::Text(_) | Self::Number(_) | Self::Span(_) => self.shown(),
        }
    }

    /// The text, or what it depends on.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) | Self::Derived { shown: text, .. } => (*text).to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Span(span) => span_text(*span),
        }
    }
}

/// What defaults are derived from.
pub(super) struct Basis {
    /// The effective `data_dir`.
    pub(super) data_dir: String,
    /// The limit on open files.
    pub(super) descriptors: u64,
}

macro_rules! keys {
    ($($(#[doc = $about:literal])+ $name:ident: $value:ty = $form:expr, $default:expr;)+) => {
        /// What the server does, as the operator wants it: every value is in range.
        #[derive(Debug, Clone)]
        pub struct Config {
            $($(#[doc = $about])+ pub $name: $value,)+
            /// How the limit on open files is shared out; its `streams` never exceeds `max_connections`.
            pub descriptors: Descriptors,
        }

        /// Every setting, in the order of the documentation.
        pub(crate) static KEYS: &[Key] =
            &[$(Key { name: stringify!($name), about: &[$($about),+], form: &$form, default: $default }),+];

        /// Reads every setting; `None` when the resolver has noted a problem.
        pub(super) fn read_all(resolver: &mut Resolver, limit: u64) -> Option<Config> {
            // All are read before the first `?`, so that all problems are found.
            let descriptors = resolver.check(descriptors::split(limit));
            $(let $name = resolver.read(stringify!($name), &$form);)+
            Some(Config { descriptors: descriptors?, $($name: $name?,)+ })
        }
    };
}

keys! {
    /// Address and port to listen on; port 0 takes a free one.
    /// An address that other machines can reach needs `open`.
    listen: SocketAddr = Address, Default::Text("127.0.0.1:8080");

    /// Folder for everything that the server keeps; created, readable by its owner only.
    /// A relative path starts at the current directory. In a container, mount a volume and name it here.
    data_dir: PathBuf = Folder, Default::Text("data");

    /// Where the log is kept.
    /// `DATABASE_URL` is understood too; `SANTRAL_DATABASE_URL` wins. Never shown with its password.
    database_url: Secret = DatabaseUrl,
        Default::Derived { shown: "sqlite:<data_dir>/santral.db", from: database_in_data_dir };

    /// What an acknowledgement promises: `disk` survives a power cut, `os` only a crash of the server.
    durability: Durability = Choice(&[("disk", Durability::Disk), ("os", Durability::Os)]), Default::Text("disk");

    /// Worker threads.
    workers: usize = Count(Whole { min: 1, max: WORKERS_MAX, unit: "threads" }),
        Default::Derived { shown: "one for each processor", from: available_workers };

    /// Name of this node in answers and logs.
    node: String = Name, Default::Derived { shown: "the host name, or a random one", from: host_name };

    /// Longest silence on a stream before a ping is sent.
    heartbeat: Duration = Span { min: Duration::from_secs(1), max: Duration::from_secs(300) },
        Default::Span(limits::HEARTBEAT);

    /// How many stored messages are retained.
    retention_messages: u64 = Whole { min: 1, max: 1_000_000_000, unit: "messages" },
        Default::Number(limits::RETENTION_MESSAGES);

    /// How long stored messages are retained.
    retention_age: Duration = Span { min: Duration::from_secs(1), max: Duration::from_secs(3_650 * 24 * 60 * 60) },
        Default::Span(limits::RETENTION_AGE);

    /// Largest data of one message, as JSON text.
    message_bytes_max: usize = Count(Whole { min: 1_024, max: 1_024 * 1_024, unit: "bytes" }),
        Default::Number(limits::MESSAGE_BYTES_MAX as u64);

    /// Time over which a stopping server says goodbye to its streams.
    drain_window: Duration = Span { min: Duration::ZERO, max: Duration::from_secs(300) },
        Default::Span(limits::DRAIN_WINDOW);

    /// Most open streams on this node; further ones are turned away for a while.
    /// The limit on open files may allow fewer: `santral check-config` shows what remains.
    max_connections: usize = Count(Whole { min: 1, max: 1_000_000, unit: "streams" }),
        Default::Derived { shown: "what the limit on open files allows", from: streams_allowed };

    /// Which log records are written: a level, or a list of levels for parts of the server.
    log_level: String = LogFilter, Default::Text("info,actix_server=warn");

    /// Log records as text for people, or as one JSON object per line.
    log_format: LogFormat = Choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]), Default::Text("text");

    /// Allows an address that other machines can reach although everybody may do everything.
    /// Accounts come in a later release; until then, put a proxy with authentication in front.
    open: bool = Switch, Default::Text("false");
}

fn database_in_data_dir(basis: &Basis) -> String {
    // Tidied, because a path that begins with two slashes would end the scheme of the URL.
    let folder: PathBuf = Path::new(&basis.data_dir).components().collect();
    format!("sqlite:{}", folder.join("santral.db").display())
}

fn available_workers(_: &Basis) -> String {
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get() as u64);
    workers.min(WORKERS_MAX).to_string()
}

fn host_name(_: &Basis) -> String {
    let name = uname().nodename().to_string_lossy().into_owned();
    let tells_apart = !["localhost", "localhost.localdomain", "(none)"].contains(&name.as_str());
    if tells_apart && Name.parse(&name).is_some() {
        return name;
    }
    format!("node-{}", nanoid::nanoid!(6, &NODE_ID_CHARACTERS))
}

fn streams_allowed(basis: &Basis) -> String {
    // Too low a limit is reported on its own; any number in range will do here.
    descriptors::split(basis.descriptors).map_or(1, |shares| shares.streams.min(1_000_000)).to_string()
}

/// More threads than this do not share one log faster.
const WORKERS_MAX: u64 = 256;

/// Without letters that are easily confused.
const NODE_ID_CHARACTERS: [char; 31] = [
    'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'j', 'k', 'm', 'n', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
    '2', '3', '4', '5', '6', '7', '8', '9',
];
