//! The grammar of names as JSON Schema, for the description of the API. The server's own judgement is
//! `santral_core::names`; a test compares the two.

use std::borrow::Cow;

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

macro_rules! text_schemas {
    ($($(#[doc = $doc:literal])+ $name:ident = $pattern:literal, $example:literal;)+) => {
        $(
            $(#[doc = $doc])+
            ///
            /// Stands for a string in the derived schemas; it has no values.
            pub enum $name {}

            impl $name {
                /// The regular expression (ECMA-262, as JSON Schema 2020-12 has it).
                pub const PATTERN: &str = $pattern;
            }

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let text = ObjectBuilder::new()
                        .schema_type(Type::String)
                        .pattern(Some($pattern))
                        .description(Some(concat!($($doc),+).trim()))
                        .examples([$example]);
                    text.into()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed(stringify!($name))
                }
            }
        )+
    };
}

text_schemas! {
    /// The name of a channel. Those that begin with `user:` belong to the server.
    ChannelName = r"^[A-Za-z0-9][A-Za-z0-9_.:@/-]{0,127}$", "orders.42";
    /// What names of channels begin with; all names when it is empty.
    ChannelPrefix = r"^([A-Za-z0-9][A-Za-z0-9_.:@/-]{0,127})?$", "orders.";
    /// A channel, or a prefix of channels with a star behind it.
    Selector = r"^([A-Za-z0-9][A-Za-z0-9_.:@/-]{0,127}\*?|\*)$", "orders.*";
    /// A space of channels beside the usual one, `/`.
    Namespace = r"^/[A-Za-z0-9_.:@/-]{0,63}$", "/chat";
    /// The id of a video room.
    RoomId = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", "meeting-123";
    /// A connection or a channel.
    Excepted = r"^([A-Za-z0-9][A-Za-z0-9_.:@/-]{0,127}|[A-Za-z0-9_-]{22})$", "V1StGXR8_Z5jdHi6B-myTq";
    /// The name of an event: at most 128 bytes without control characters. `hello`, `ping`, `gap`, `bye`, `presence` and all that begin with `santral:`, `video.` or `webrtc.` belong to the server.
    EventName = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]{1,128}$", "order.created";
    /// One live attach of a client, as `hello` names it.
    ConnectionId = r"^[A-Za-z0-9_-]{22}$", "V1StGXR8_Z5jdHi6B-myTq";
    /// A secret of at least 128 random bits that names a session.
    SessionToken = r"^[A-Za-z0-9_-]{22,64}$", "7Zr3vYb0hUeMZsXqJkPw1A";
    /// The id of a user.
    UserId = r"^[A-Za-z0-9_.:@/-]{1,123}$", "ada";
    /// A place in the log, as the server gave it.
    Position = r"^[0-9a-f]{8}-[0-9]+(\.[0-9]+)?$", "5f3a9c01-42";
    /// Makes a publish safe to repeat.
    IdempotencyKey = r"^[!-~]{1,255}$", "order-42-created";
}
