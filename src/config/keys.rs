//! The one declaration of every setting: name, meaning, form, range and default.
//!
//! From it come the fields of [`Config`], flags, environment variables, keys of the file, what the
//! API shows and takes, the errors about all of them and docs/settings.md. A new setting is a new
//! entry here and nothing else.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use rustix::system::uname;
use santral_core::grants::Patterns;
use santral_core::limits;
use santral_core::namespace::Namespace;
use santral_schema::webhooks::WebhookType;

use super::descriptors::{self, Descriptors};
use super::forms::{
    Address, Choice, Count, DatabaseUrl, Folder, Form, LogFilter, Name, Positive, Span, Switch, SwitchOr, Whole,
};
use super::ice_urls::{IceUrl, StunServer, TurnServer};
use super::key::{Basis, Default, Key, Reach};
use super::lists::{ChannelPatterns, ListOf, NamespaceName, Network, Origin, RoomPatterns};
use super::optional::{FilePath, Line, Optional, SigningSecret};
use super::origins::OriginPattern;
use super::resolve::Resolver;
use super::secret::Secret;
use super::webhooks::{WebhookEvent, WebhookUrl, WebhookUrls, rare_events};
use super::{AdminUi, ForwardedHeader, LogFormat, OpenMode, Registration, Transport, UnknownEvent};
use crate::ports::store::Durability;

macro_rules! keys {
    ($($(#[doc = $about:literal])+ $reach:ident $name:ident: $value:ty = $form:expr, $default:expr;)+) => {
        /// What the server does, as the operator wants it: every value is in range.
        #[derive(Debug, Clone)]
        pub struct Config {
            $($(#[doc = $about])+ pub $name: $value,)+
            /// How the limit on open files is shared out; its `streams` never exceeds `max_connections`.
            pub descriptors: Descriptors,
        }

        /// Every setting, in the order of the documentation.
        pub(crate) static KEYS: &[Key] = &[$(Key {
            name: stringify!($name),
            reach: reach!($reach),
            about: &[$($about),+],
            form: &$form,
            default: $default,
        }),+];

        /// Reads every setting; `None` when the resolver has noted a problem.
        pub(super) fn read_all(resolver: &mut Resolver) -> Option<Config> {
            // All are read before the first `?`, so that all problems are found.
            let descriptors = resolver.check(descriptors::split(resolver.descriptors()));
            $(let $name = resolver.read(stringify!($name), &$form);)+
            Some(Config { descriptors: descriptors?, $($name: $name?,)+ })
        }
    };
}

macro_rules! reach {
    (live) => {
        Reach::Live
    };
    (start) => {
        Reach::Start
    };
}

keys! {
    /// Address and port to listen on; port 0 takes a free one.
    /// An address that other machines can reach needs accounts: see `open`.
    start listen: SocketAddr = Address, Default::Text("127.0.0.1:8080");

    /// Folder for everything that the server keeps; created, readable by its owner only.
    /// A relative path starts at the current directory. In a container, mount a volume and name it here.
    start data_dir: PathBuf = Folder, Default::Text("data");

    /// Where the log is kept.
    /// `DATABASE_URL` is understood too; `SANTRAL_DATABASE_URL` wins. Never shown with its password.
    start database_url: Secret = DatabaseUrl,
        Default::Derived { shown: "sqlite:<data_dir>/santral.db", from: database_in_data_dir };

    /// What an acknowledgement promises: `disk` survives a power cut, `os` only a crash of the server.
    start durability: Durability = Choice(&[("disk", Durability::Disk), ("os", Durability::Os)]), Default::Text("disk");

    /// Worker threads.
    start workers: usize = Count(Whole { min: 1, max: WORKERS_MAX, unit: "threads" }),
        Default::Derived { shown: "one for each processor", from: available_workers };

    /// Name of this node in answers and logs.
    start node: String = Name, Default::Derived { shown: "the host name, or a random one", from: host_name };

    /// Whether everybody may follow and publish everything without saying who they are.
    /// `auto` is open as long as only this machine can reach the address and there is no admin account.
    /// `true` is open for everybody who reaches the address; `false` never is.
    live open: OpenMode =
        SwitchOr(Choice(&[("auto", OpenMode::Auto), ("true", OpenMode::Open), ("false", OpenMode::Closed)])),
        Default::Text("auto");

    /// Whether strangers may make themselves accounts.
    live registration: Registration =
        Choice(&[("open", Registration::Open), ("closed", Registration::Closed)]), Default::Text("closed");

    /// Channels that those may follow who do not say who they are.
    live anonymous_subscribe: Patterns = ChannelPatterns, Default::Text("");

    /// Channels that those may publish to who do not say who they are.
    live anonymous_publish: Patterns = ChannelPatterns, Default::Text("");

    /// Channels whose followers those may see who do not say who they are.
    live anonymous_presence: Patterns = ChannelPatterns, Default::Text("");

    /// Video rooms that those may enter who do not say who they are.
    live anonymous_rooms: Patterns = RoomPatterns, Default::Text("");

    /// Channels that users with an account may follow.
    live user_subscribe: Patterns = ChannelPatterns, Default::Text("public:*");

    /// Channels that users with an account may publish to.
    live user_publish: Patterns = ChannelPatterns, Default::Text("");

    /// Channels whose followers users with an account may see.
    live user_presence: Patterns = ChannelPatterns, Default::Text("public:*");

    /// Video rooms that users with an account may enter.
    /// A private room asks for more: see docs/video.md.
    live user_rooms: Patterns = RoomPatterns, Default::Text("*");

    /// How long an access token is good; a stream ends with its token unless it presents a new one.
    live access_token_lifetime: Duration = Span { min: MINUTE, max: limits::ACCESS_TOKEN_LIFETIME_MAX },
        Default::Span(limits::ACCESS_TOKEN_LIFETIME);

    /// How long a login lasts without being used.
    live refresh_token_lifetime: Duration = Span { min: HOUR, max: DAY.saturating_mul(365) },
        Default::Span(limits::REFRESH_TOKEN_LIFETIME);

    /// Passwords that may be tried a minute at one account from one address; right ones are not counted.
    /// Three times as many from one address at all accounts, and from everywhere at one account: beyond that
    /// each address has one attempt a minute there, so nobody can lock anybody out.
    live login_attempts_per_minute: NonZeroU32 = Positive(Whole { min: 1, max: 10_000, unit: "attempts a minute" }),
        Default::Number(limits::LOGIN_ATTEMPTS_PER_MINUTE as u64);

    /// Whether `?token=` is taken on `/api/events`, for clients that cannot send headers.
    /// Proxies may log it; tickets do the same without that danger.
    live query_token: bool = Switch, Default::Text("true");

    /// Key for the tokens that the server signs; without it, one is made and kept in `data_dir`.
    /// Every node of one installation needs the same. Never shown.
    start token_secret: Option<Secret> = Optional(SigningSecret), Default::Text("");

    /// Key of an issuer of yours whose tokens are taken too (HS256). Never shown.
    start issuer_secret: Option<Secret> = Optional(SigningSecret), Default::Text("");

    /// Public key of an issuer of yours, as PEM or JWKS (RS256, ES256, EdDSA); read again when it changes.
    start issuer_key_file: Option<PathBuf> = Optional(FilePath), Default::Text("");

    /// What `iss` must be in the tokens of your issuer.
    start issuer_name: Option<String> = Optional(Line), Default::Text("");

    /// What `aud` must be in the tokens of your issuer.
    start issuer_audience: Option<String> = Optional(Line), Default::Text("");

    /// Web origins whose pages may use the API, beside the server's own.
    live cors_origins: Vec<OriginPattern> = ListOf { item: Origin, min: 0 }, Default::Text("");

    /// Proxies that are believed when they say for whom they ask.
    start trusted_proxies: Vec<IpNet> = ListOf { item: Network, min: 0 }, Default::Text("");

    /// The header in which trusted proxies say so; the others are not looked at.
    start forwarded_header: ForwardedHeader = Choice(&[
            ("x-forwarded-for", ForwardedHeader::XForwardedFor),
            ("forwarded", ForwardedHeader::Forwarded),
            ("cf-connecting-ip", ForwardedHeader::CfConnectingIp),
            ("x-real-ip", ForwardedHeader::XRealIp),
        ]),
        Default::Text("x-forwarded-for");

    /// Addresses to which the limits per address do not apply; by default this machine.
    /// A proxy that is not trusted hides all its clients behind one address: name it here, or better there.
    live unlimited_addresses: Vec<IpNet> = ListOf { item: Network, min: 0 }, Default::Text("127.0.0.0/8,::1/128");

    /// Requests a second from one address, or one IPv6 network of 64 bits.
    live rate_per_address: NonZeroU32 = Positive(Whole { min: 1, max: 1_000_000, unit: "requests a second" }),
        Default::Number(limits::RATE_PER_ADDRESS as u64);

    /// Requests that one address may make at once.
    live rate_burst_per_address: NonZeroU32 = Positive(Whole { min: 10, max: 1_000_000, unit: "requests" }),
        Default::Number(limits::RATE_BURST_PER_ADDRESS as u64);

    /// Requests a second of one user or API key.
    live rate_per_principal: NonZeroU32 = Positive(Whole { min: 1, max: 1_000_000, unit: "requests a second" }),
        Default::Number(limits::RATE_PER_PRINCIPAL as u64);

    /// Requests that one user or API key may make at once.
    live rate_burst_per_principal: NonZeroU32 = Positive(Whole { min: 10, max: 1_000_000, unit: "requests" }),
        Default::Number(limits::RATE_BURST_PER_PRINCIPAL as u64);

    /// Most open streams on this node; further ones are turned away for a while.
    /// The limit on open files may allow fewer: `santral check-config` shows what remains.
    /// Fewer than there are throws nobody out.
    live max_connections: usize = Count(Whole { min: 1, max: 1_000_000, unit: "streams" }),
        Default::Derived { shown: "what the limit on open files allows", from: streams_allowed };

    /// Most open streams of one user on this node.
    live connections_per_user: usize = Count(Whole { min: 1, max: 1_000_000, unit: "streams" }),
        Default::Number(limits::CONNECTIONS_PER_USER as u64);

    /// Most open streams from one address, or one IPv6 network of 64 bits, on this node.
    live connections_per_address: usize = Count(Whole { min: 1, max: 1_000_000, unit: "streams" }),
        Default::Number(limits::CONNECTIONS_PER_ADDRESS as u64);

    /// Ways in which clients may listen.
    live transports: Vec<Transport> = ListOf { item: TRANSPORTS, min: 1 },
        Default::Text("sse,websocket,poll,socketio");

    /// From a pong of a Socket.IO client to the next ping; a poll is held no longer.
    /// Together with `socketio_ping_timeout` stay below what the proxies in front allow.
    live socketio_ping_interval: Duration = Span { min: TENTH, max: limits::HEARTBEAT_MAX },
        Default::Span(limits::ENGINEIO_PING_INTERVAL);

    /// How long a Socket.IO client may take to answer a ping.
    live socketio_ping_timeout: Duration = Span { min: TENTH, max: limits::HEARTBEAT_MAX },
        Default::Span(limits::ENGINEIO_PING_TIMEOUT);

    /// How long the WebSocket of a Socket.IO client that polls may take to take over.
    live socketio_upgrade_timeout: Duration = Span { min: TENTH, max: limits::HEARTBEAT_MAX },
        Default::Span(limits::ENGINEIO_UPGRADE_TIMEOUT);

    /// How long a Socket.IO client may take to join its first namespace.
    live socketio_connect_timeout: Duration = Span { min: TENTH, max: limits::HEARTBEAT_MAX },
        Default::Span(limits::SOCKETIO_CONNECT_TIMEOUT);

    /// Largest request body or WebSocket message of a Socket.IO client.
    /// One message of it is bounded by `message_bytes_max` besides.
    live socketio_max_payload: usize = Count(Whole { min: 1_024, max: 16 * 1_024 * 1_024, unit: "bytes" }),
        Default::Number(limits::ENGINEIO_PAYLOAD_BYTES_MAX as u64);

    /// What becomes of an event of a Socket.IO client that is no command.
    /// `relay` passes it on to the others in the sender's rooms, or to everyone else if it is in none; `echo` to
    /// the sender too; `reject` answers with an error. Each asks for the right to publish there.
    live socketio_unknown_event: UnknownEvent = Choice(&[
            ("relay", UnknownEvent::Relay),
            ("echo", UnknownEvent::Echo),
            ("reject", UnknownEvent::Reject),
        ]),
        Default::Text("relay");

    /// Events of Socket.IO clients that ask to join a room.
    live socketio_join: Vec<String> = ListOf { item: Line, min: 1 }, Default::Text("join");

    /// Events of Socket.IO clients that ask to leave a room.
    live socketio_leave: Vec<String> = ListOf { item: Line, min: 1 }, Default::Text("leave");

    /// Events of Socket.IO clients that publish: room, event, arguments.
    live socketio_publish: Vec<String> = ListOf { item: Line, min: 1 }, Default::Text("publish");

    /// Namespaces that Socket.IO clients may join.
    live socketio_namespaces: Vec<Namespace> = ListOf { item: NamespaceName, min: 1 }, Default::Text("/");

    /// What the Admin UI of Socket.IO is shown in the namespace `/admin`, to operators only.
    /// `development` shows each connection as long as they are few, `production` figures only, `off` nothing.
    live socketio_admin: AdminUi = Choice(&[
            ("development", AdminUi::Development),
            ("production", AdminUi::Production),
            ("off", AdminUi::Off),
        ]),
        Default::Text("development");

    /// Folder `dist` of the npm package `socket.io-client`, for pages that load the client from the server.
    start socketio_client_dir: Option<PathBuf> = Optional(FilePath), Default::Text("");

    /// Namespaces in which `@socket.io/postgres-emitter` is heard, where the database is PostgreSQL; none by default.
    /// Whoever may connect to the database may then publish, move and disconnect without further right.
    start socketio_emitter_namespaces: Vec<Namespace> = ListOf { item: NamespaceName, min: 0 }, Default::Text("");

    /// Most participants that a video room may be made for.
    live video_max_participants: usize = Count(Whole { min: 1, max: limits::PARTICIPANTS_MAX as u64, unit: "participants" }),
        Default::Number(limits::ROOM_PARTICIPANTS_MAX as u64);

    /// Most participants of a video room whose media go from each to each, as all do without a media server.
    live video_mesh_limit: usize = Count(Whole { min: 1, max: limits::PARTICIPANTS_MAX as u64, unit: "participants" }),
        Default::Number(limits::MESH_PARTICIPANTS_MAX as u64);

    /// Most video rooms of one user or API key at the same time.
    live video_rooms_per_principal: usize = Count(Whole { min: 1, max: 1_000_000, unit: "rooms" }),
        Default::Number(limits::ROOMS_PER_PRINCIPAL as u64);

    /// Most video rooms at the same time.
    live video_rooms_max: usize = Count(Whole { min: 1, max: 1_000_000, unit: "rooms" }),
        Default::Number(limits::ROOMS_MAX as u64);

    /// STUN servers that the browsers of a call ask for their public address; this server contacts none.
    /// The default belongs to Google; name your own, or none where everybody is in one network or has TURN.
    live ice_stun_urls: Vec<IceUrl> = ListOf { item: StunServer, min: 0 }, Default::Text("stun:stun.l.google.com:19302");

    /// TURN servers that relay the media of a call where browsers cannot reach each other; see docs/turn.md.
    /// Name UDP, TCP and TLS, in the order of preference. Needs `turn_secret`.
    start turn_urls: Vec<IceUrl> = ListOf { item: TurnServer, min: 0 }, Default::Text("");

    /// Key from which passwords for the TURN servers are made: `static-auth-secret` of coturn. Never shown.
    /// Whoever is in a call sees what was made from it, so a short one could be guessed.
    start turn_secret: Option<Secret> = Optional(SigningSecret), Default::Text("");

    /// How long a password for the TURN servers is good; a fresh one comes after half of it.
    live turn_credential_lifetime: Duration =
        Span { min: limits::TURN_CREDENTIAL_LIFETIME_MIN, max: limits::TURN_CREDENTIAL_LIFETIME_MAX },
        Default::Span(limits::TURN_CREDENTIAL_LIFETIME);

    /// Where webhooks go: other servers that are told what happens here; see docs/webhooks.md.
    /// Each gets every event of `webhook_events`, signed, until it answers with 2xx. What waits for an address that
    /// is taken away is kept for a day.
    live webhook_urls: Vec<WebhookUrl> = WebhookUrls, Default::Text("");

    /// What webhooks tell of; by default all but what comes with every connection.
    live webhook_events: Vec<WebhookType> = ListOf { item: WebhookEvent, min: 1 },
        Default::Derived { shown: "all but client_connected and client_disconnected", from: rare_webhook_events };

    /// Key that webhooks are signed with; without it, one is made and kept in `data_dir` as `webhook.key`.
    /// Never shown.
    start webhook_secret: Option<Secret> = Optional(SigningSecret), Default::Text("");

    /// Whether webhooks may go to this machine and to private networks.
    /// Otherwise an address is refused when its name leads there. Whoever may change `webhook_urls` could else have
    /// the server knock at doors that only it can reach.
    start webhook_allow_private: bool = Switch, Default::Text("false");

    /// Longest silence on a stream before a ping is sent.
    /// Streams that are open keep to what they were told, unless it becomes shorter.
    live heartbeat: Duration = Span { min: Duration::from_secs(1), max: limits::HEARTBEAT_MAX },
        Default::Span(limits::HEARTBEAT);

    /// Time over which a stopping server says goodbye to its streams.
    live drain_window: Duration = Span { min: Duration::ZERO, max: Duration::from_secs(300) },
        Default::Span(limits::DRAIN_WINDOW);

    /// Largest data of one message, as JSON text.
    live message_bytes_max: usize = Count(Whole { min: 1_024, max: 2 * 1_024 * 1_024, unit: "bytes" }),
        Default::Number(limits::MESSAGE_BYTES_MAX as u64);

    /// How many stored messages are retained.
    live retention_messages: u64 = Whole { min: 1, max: 1_000_000_000, unit: "messages" },
        Default::Number(limits::RETENTION_MESSAGES);

    /// How long stored messages are retained.
    live retention_age: Duration = Span { min: Duration::from_secs(1), max: DAY.saturating_mul(3_650) },
        Default::Span(limits::RETENTION_AGE);

    /// How many events the event log retains.
    live event_log_rows_max: u64 = Whole { min: 1_000, max: 100_000_000, unit: "events" },
        Default::Number(limits::EVENT_LOG_ROWS_MAX);

    /// How long the event log retains events.
    live event_log_age: Duration = Span { min: HOUR, max: DAY.saturating_mul(3_650) },
        Default::Span(limits::EVENT_LOG_AGE);

    /// How long the record of a connection is retained after its end.
    live connection_record_age: Duration = Span { min: HOUR, max: DAY.saturating_mul(3_650) },
        Default::Span(limits::CONNECTION_RECORD_AGE);

    /// Which log records are written: a level, or a list of levels for parts of the server.
    live log_level: String = LogFilter, Default::Text("info,actix_server=warn");

    /// Log records as text for people, or as one JSON object per line.
    start log_format: LogFormat =
        Choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]), Default::Text("text");

    /// Starts without what was set by the API, for an operator who has locked themselves out.
    /// What is stored stays; `GET /api/settings` shows what holds without it.
    start ignore_stored_settings: bool = Switch, Default::Text("false");
}

const TRANSPORTS: Choice<Transport> = Choice(&[
    ("sse", Transport::Sse),
    ("websocket", Transport::WebSocket),
    ("poll", Transport::LongPoll),
    ("socketio", Transport::SocketIo),
]);

const TENTH: Duration = Duration::from_millis(100);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn database_in_data_dir(basis: &Basis) -> String {
    // Tidied, because a path that begins with two slashes would end the scheme of the URL.
    let folder: PathBuf = Path::new(&basis.data_dir).components().collect();
    format!("sqlite:{}", folder.join("santral.db").display())
}

fn rare_webhook_events(_: &Basis) -> String {
    rare_events()
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
