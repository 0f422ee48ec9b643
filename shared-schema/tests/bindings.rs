//! The committed TypeScript types are those of the code.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use santral_schema::{
    access, accounts, call_quality, channels, connections, event_log, events, health, ice, invitations, participants,
    problem, publish, reason, sessions, settings, signal, stats, video, webhooks,
};
use ts_rs::{Config, TS};

/// Makes the function that lists the declarations of types, each with its documentation.
macro_rules! all_declarations {
    ($($type:ty),+ $(,)?) => {
        fn all_declarations(config: &Config) -> Vec<String> {
            vec![$(declaration::<$type>(config)),+]
        }
    };
}

all_declarations! {
    publish::PublishItem,
    publish::Except,
    publish::Answers,
    publish::Receipt,
    publish::Emitted,
    publish::ReceiptDurability,
    sessions::StreamRequest,
    sessions::StreamFormat,
    events::Hello,
    events::Envelope,
    events::From,
    events::Gap,
    events::GapReason,
    events::PresenceChange,
    events::PresenceKind,
    events::Bye,
    reason::DisconnectReason,
    sessions::Command,
    sessions::HistoryCommand,
    sessions::PresenceCommand,
    sessions::PingCommand,
    sessions::AuthCommand,
    sessions::VideoCommand,
    sessions::LeftVideoRoom,
    sessions::Authorized,
    sessions::Subscriptions,
    sessions::Pong,
    channels::ChannelList,
    channels::ChannelItem,
    channels::History,
    channels::Presence,
    channels::PresentSession,
    access::Role,
    accounts::Credentials,
    accounts::SignedIn,
    accounts::TokenType,
    accounts::RefreshRequest,
    accounts::LogoutRequest,
    accounts::PasswordChange,
    accounts::SetupRequest,
    accounts::Account,
    accounts::Me,
    accounts::GrantPatterns,
    accounts::AccountList,
    accounts::NewAccount,
    accounts::AccountChange,
    accounts::ApiKeyItem,
    accounts::ApiKeyList,
    accounts::NewApiKey,
    accounts::CreatedApiKey,
    accounts::TicketRequest,
    accounts::Ticket,
    connections::ConnectionList,
    connections::Connection,
    connections::ConnectionDetail,
    connections::Kicked,
    connections::ConnectionActions,
    connections::ConnectionMatch,
    connections::ActionsDone,
    connections::BlockItem,
    connections::BlockList,
    event_log::EventLevel,
    event_log::EventType,
    event_log::LoggedEvent,
    event_log::EventList,
    event_log::EventsCleared,
    settings::SettingKind,
    settings::SettingValue,
    settings::SettingSource,
    settings::SettingItem,
    settings::SettingList,
    settings::FixedLimit,
    settings::SettingChange,
    settings::SettingHistory,
    settings::SettingHistoryItem,
    health::Health,
    health::Liveness,
    health::HealthStatus,
    health::StorageHealth,
    stats::Stats,
    stats::ConnectionStats,
    stats::TransportStats,
    stats::MessageStats,
    stats::DeliveryStats,
    stats::BacklogStats,
    stats::GapStats,
    stats::GapCount,
    stats::SlowConsumerStats,
    stats::LatencyStats,
    stats::CallStats,
    stats::ScoreCount,
    stats::RouteCount,
    stats::Latency,
    stats::LatencyBucket,
    stats::LogStats,
    stats::ProcessStats,
    stats::StatsSample,
    stats::StatsRing,
    stats::VideoStats,
    video::Visibility,
    video::LobbyMode,
    video::Topology,
    video::HostPolicy,
    video::RoomStatus,
    video::ParticipantState,
    video::ParticipantRole,
    video::LeaveReason,
    video::CloseReason,
    video::Media,
    video::MediaChange,
    video::Permissions,
    video::NewRoom,
    video::CreatedRoom,
    video::Room,
    video::RoomList,
    video::RoomDetail,
    video::RoomChange,
    participants::OnDuplicate,
    participants::JoinRequest,
    participants::ClientProgram,
    participants::Participant,
    participants::JoinStatus,
    participants::JoinAnswer,
    participants::Inside,
    participants::SignalLimits,
    participants::LeaveRequest,
    participants::ParticipantChange,
    participants::LobbyDecision,
    participants::Chosen,
    participants::LobbyDecided,
    participants::HostTransfer,
    invitations::InvitationRequest,
    invitations::CreatedInvitation,
    signal::SignalType,
    signal::SignalTo,
    signal::Signal,
    signal::SignalRequest,
    signal::SignalFate,
    signal::SignalAnswer,
    ice::IceServer,
    ice::IceServers,
    call_quality::StatsReport,
    call_quality::PeerReport,
    call_quality::LinkState,
    call_quality::CallScore,
    call_quality::ScoreAnswer,
    call_quality::Advice,
    webhooks::WebhookType,
    webhooks::Webhook,
    webhooks::ConnectionWebhook,
    webhooks::ChannelWebhook,
    problem::Problem,
    problem::ProblemCode,
}

#[test]
fn the_typescript_types_are_fresh() {
    let text = bindings();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bindings/santral.ts");
    if env::var_os("SANTRAL_UPDATE_DOCS").is_some() {
        fs::write(&path, &text).expect("the bindings can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "bindings/santral.ts is stale; run: SANTRAL_UPDATE_DOCS=1 cargo test -p santral-schema");
}

#[test]
fn no_wire_type_is_left_out() {
    let bindings = bindings();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(sources).expect("the source can be read") {
        let source = fs::read_to_string(entry.expect("an entry can be read").path()).expect("a file can be read");
        let lines: Vec<_> = source.lines().map(str::trim).collect();
        for (index, derive) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("#[derive(")) {
            let declared = |line: &&str| {
                let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
                rest.split([' ', ';', '{']).next().map(str::to_owned)
            };
            let name = lines[index..].iter().find_map(declared).expect("a type follows its derive");
            let is_exported = bindings.contains(&format!("export type {name} "));
            assert!(is_exported, "{name} is not in bindings/santral.ts: {derive}");
        }
    }
}

/// What the file should hold.
fn bindings() -> String {
    let config = Config::new().with_large_int("number");
    let declarations = all_declarations(&config);
    let mut text = "// Wire types of Santral, see docs/protocol.md.\n\
        // Generated from shared-schema/src. Do not edit; run: SANTRAL_UPDATE_DOCS=1 cargo test -p santral-schema\n"
        .to_owned();
    for declaration in declarations {
        write!(text, "\n{declaration}").expect("a String takes all text");
    }
    text
}

/// A declaration on lines of its own, indented by its braces.
fn declaration<T: TS>(config: &Config) -> String {
    let mut text = T::docs().unwrap_or_default();
    let declared = format!("export {}\n", T::decl(config)).replace(", };", ",\n};");
    let mut depth = 0;
    for line in declared.lines().map(str::trim_end) {
        depth -= usize::from(line.starts_with('}'));
        let is_comment_body = line.starts_with(" *");
        let indent = " ".repeat(4 * depth);
        writeln!(text, "{indent}{line}").expect("a String takes all text");
        depth += usize::from(!is_comment_body && line.ends_with('{'));
    }
    text
}
