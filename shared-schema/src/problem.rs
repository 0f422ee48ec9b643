//! Errors as clients see them: RFC 9457 problem documents with a stable code.

use serde::Serialize;
use ts_rs::TS;
use utoipa::ToSchema;

/// Body of every error answer, `application/problem+json` (RFC 9457, section 3).
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Where the code is explained, relative to the documentation.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: ProblemCode,
    /// What happened.
    pub detail: String,
    /// What to do first.
    pub remediation: String,
}

macro_rules! problem_codes {
    ($($(#[doc = $doc:literal])+ $code:ident = $status:literal, $title:literal, $remediation:literal;)+) => {
        /// The stable codes of all problems. Codes are added, never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum ProblemCode {
            $($(#[doc = $doc])+ $code,)+
        }

        impl ProblemCode {
            /// Every code, for tables and tests.
            pub const ALL: &[Self] = &[$(Self::$code,)+];

            /// The HTTP status that goes with the code.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$code => $status,)+ }
            }

            /// The code in words.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$code => $title,)+ }
            }

            /// What the reader should do first.
            #[must_use]
            pub fn remediation(self) -> &'static str {
                match self { $(Self::$code => $remediation,)+ }
            }
        }
    };
}

problem_codes! {
    /// The body is not the JSON that the operation takes.
    InvalidJson = 400, "Invalid JSON", "Send one well-formed JSON text in UTF-8 of the shape that docs/protocol.md gives.";
    /// A field or its value is not what the operation takes.
    InvalidField = 400, "Invalid field", "Correct the field that `detail` names.";
    /// The query has a parameter that the operation does not know, or a bad value.
    InvalidQuery = 400, "Invalid query", "Correct or remove the query parameter that `detail` names.";
    /// A channel name breaks the grammar or is reserved.
    InvalidChannel = 400, "Invalid channel name", "Use 1 to 128 of A-Z a-z 0-9 _ . : @ / - and begin with a letter or digit; where prefixes are taken, a star may stand at the end.";
    /// An event name breaks the grammar or is reserved.
    InvalidEvent = 400, "Invalid event name", "Use 1 to 128 of A-Z a-z 0-9 _ . : - and none of the server's own names.";
    /// The operation asks for a token, and the request has none.
    Unauthorized = 401, "Unauthorized", "Send a token or an API key: Authorization: Bearer <token>.";
    /// The token, ticket or key is not valid, or no longer.
    InvalidToken = 401, "Invalid token", "Get a fresh token: refresh it, or sign in again.";
    /// The caller's role does not allow the operation.
    Forbidden = 403, "Forbidden", "Use the token of somebody who may do this; docs/access.md says who may.";
    /// The caller has no right to the channel, prefix or target.
    ForbiddenChannel = 403, "Forbidden channel", "Ask for channels that the token grants, or get a token that grants this one.";
    /// The operator has blocked the client for a while.
    Blocked = 403, "Blocked", "Come back after Retry-After; the operator can end the block earlier.";
    /// There are as many of these as the bound allows.
    TooMany = 422, "Too many", "Remove some that are no longer needed.";
    /// A position is not one of this log.
    InvalidPosition = 400, "Invalid position", "Pass an id that the server gave, unchanged.";
    /// A session token is too short, too long or has bad characters.
    InvalidSession = 400, "Invalid session token", "Draw at least 128 random bits and write them as 22 to 64 characters of base64url.";
    /// JSON nests too deep.
    TooDeep = 400, "JSON nests too deep", "Flatten the message to at most 32 levels.";
    /// A batch has no items or too many.
    InvalidBatch = 400, "Invalid batch", "Send 1 to 1,000 items in one request.";
    /// A message names no target, or more than one.
    InvalidTarget = 400, "Invalid target", "Name exactly one of channel, channels, user and connection.";
    /// An idempotency key is empty, too long, or stands where nothing is stored.
    InvalidIdempotencyKey = 400, "Invalid idempotency key", "Send 1 to 255 visible ASCII characters, and only with messages that are stored.";
    /// A new password is too short, too long or too easily guessed.
    WeakPassword = 400, "Weak password", "Choose 8 to 128 characters that are in no list of common passwords and not the name.";
    /// Name and password do not belong together, or the account may not sign in.
    BadCredentials = 401, "Bad credentials", "Check the name and the password.";
    /// The operation needs the bearer token of somebody who has signed in with an account.
    LoginRequired = 401, "Login required", "Sign in and send the access token as Authorization: Bearer.";
    /// Nobody may register by themselves.
    RegistrationClosed = 403, "Registration closed", "Ask the operator for an account.";
    /// The first admin exists already, or the setup token is wrong.
    SetupClosed = 403, "Setup closed", "Use the link that the server printed when it last started; with an admin there is none.";
    /// There is nothing at this path.
    NotFound = 404, "Not found", "Check the path and the id.";
    /// The path exists, the method does not.
    MethodNotAllowed = 405, "Method not allowed", "Use one of the methods in the Allow header.";
    /// The request body did not arrive in time.
    BodyTimeout = 408, "Request body too slow", "Send the whole body within ten seconds.";
    /// A WebSocket was asked for without a proper handshake.
    UpgradeRequired = 426, "Upgrade required", "Open it with a WebSocket client; if one asked, look for a proxy on the way that removes the header that `detail` names, or use GET /api/events.";
    /// The operator has turned this transport off.
    TransportDisabled = 403, "Transport disabled", "Use one of the transports that `hello` and the setting `transports` name.";
    /// Another account has the name.
    NameTaken = 409, "Name taken", "Choose another name.";
    /// No admin who can sign in would be left.
    LastAdmin = 409, "Last admin", "Make somebody else an admin first.";
    /// There are as many API keys as there may be.
    TooManyApiKeys = 409, "Too many API keys", "Take back a key that is not used any more.";
    /// The message or the body is too large.
    TooLarge = 413, "Too large", "Send less; the bound stands in `detail`.";
    /// The body is not of a media type that the operation takes.
    UnsupportedMediaType = 415, "Unsupported media type", "Send the body with Content-Type: application/json, or what `detail` names.";
    /// The idempotency key was used with another request.
    IdempotencyKeyReused = 422, "Idempotency key reused", "Use a new key for a new message; repeat a request only unchanged.";
    /// A session follows as much as it may.
    TooManySubscriptions = 422, "Too many subscriptions", "Follow a prefix, or open another session.";
    /// There is no setting of this name.
    UnknownSetting = 404, "Unknown setting", "Use one of the names that GET /api/settings lists.";
    /// The value is not what the setting takes; the old one holds.
    InvalidSetting = 422, "Invalid setting", "Send a value of the form that `detail` names.";
    /// The setting can be set at a start only.
    SettingNeedsRestart = 409, "Setting needs a restart", "Set it by flag, environment or file, and start the server again.";
    /// The change would leave nobody who can change anything.
    WouldLockOut = 409, "Would lock you out", "Make an admin first (the link that the start printed, or `santral create-admin`), then repeat the change.";
    /// Something went wrong inside.
    Internal = 500, "Internal error", "Try again; if it stays, report the X-Request-Id to the operator.";
    /// The database is busy.
    StorageBusy = 503, "Storage busy", "Repeat the request after Retry-After, with an idempotency key.";
    /// The database is full.
    StorageFull = 503, "Storage full", "The operator must make room; repeat the request later.";
    /// The database failed.
    StorageFailed = 503, "Storage failed", "The operator must look at the log; repeat the request later, with an idempotency key.";
    /// The server is about to stop.
    Draining = 503, "Draining", "Connect again after Retry-After; another node or the next start will serve.";
    /// Too many passwords wait to be verified.
    TooManyLogins = 503, "Too many logins", "Repeat the request after Retry-After.";
    /// The server has as many streams as it can hold.
    TooManyConnections = 503, "Too many connections", "Try again after Retry-After.";
    /// The user has as many streams as one user may have.
    TooManyConnectionsOfUser = 429, "Too many connections of this user", "Close streams that are not needed, or try again after Retry-After.";
    /// The address has as many connections as one address may have.
    TooManyConnectionsOfAddress = 429, "Too many connections of this address", "Close connections that are not needed, or try again after Retry-After. Behind a proxy, the operator must name it in trusted_proxies.";
    /// The address or the principal asks more often than the limits allow.
    RateLimited = 429, "Rate limited", "Wait for Retry-After, then ask more slowly; the RateLimit fields say how much is left.";
    /// A page of a foreign origin asked, and the operator has not allowed that origin.
    OriginNotAllowed = 403, "Origin not allowed", "The operator adds the origin to cors_origins; or send the request without cookies.";
    /// There is a video room of this id already, with other settings or of somebody else.
    RoomExists = 409, "Room exists", "Choose another roomId, or leave it out and the server draws one; only an unchanged request finds the room that it has made.";
    /// More seats than a mesh can carry.
    ExceedsMeshLimit = 422, "Exceeds the mesh limit", "Ask for no more participants than `detail` names; the operator sets video_mesh_limit.";
    /// There are as many video rooms as there may be, of this principal or in all.
    TooManyRooms = 429, "Too many rooms", "Close rooms that are not needed, or try again after Retry-After.";
    /// A video room cannot have fewer seats than are taken.
    BelowCurrent = 409, "Below the present number", "Ask for at least as many seats as are taken, or wait until somebody has left.";
    /// The client is kept out of the video room.
    Banned = 403, "Kept out", "Ask the host of the room; who was sent away may come back after ten minutes, who was banned may not.";
    /// The video room opens later.
    NotOpenYet = 425, "Not open yet", "Join after the time in `detail`.";
    /// No stream of the client is open on which it could hear anything.
    NoEventStream = 409, "No event stream", "Open GET /api/events or a WebSocket first, and send the session that `hello` gave.";
    /// The video room has a password, and this is not it.
    BadPassword = 403, "Wrong room password", "Ask the host for the password, or for an invitation.";
    /// A client without a name must prove that the stream is its own.
    SessionRequired = 403, "Session required", "Send `session`, as `hello` gave it, instead of `connectionId`; or sign in.";
    /// The same person is in the video room already.
    AlreadyInRoom = 409, "Already in the room", "Join with onDuplicate `replace` or `allow`, or leave with the other one.";
    /// All seats of the video room are taken.
    RoomFull = 409, "Room full", "Wait until somebody leaves; the host can add seats.";
    /// As many wait to be let into the video room as can.
    LobbyFull = 409, "Lobby full", "Try again when some of those who wait were let in.";
    /// The invitation was used as often as it may be.
    InvitationUsed = 403, "Invitation used", "Ask for a new invitation.";
    /// There is no participant token, or it is none of a participant.
    BadToken = 401, "No participant token", "Join the room and send the token of the answer: Authorization: Bearer ptok_….";
    /// The participant has left the video room, or was sent away.
    NotJoined = 403, "Not in the room", "Join the room again; `detail` says why the seat is gone.";
    /// A resume has given a newer participant token.
    Superseded = 409, "Superseded", "Use the token of the newest answer to join; if another page has it, stop.";
    /// The participant token or the invitation is of another video room.
    WrongRoom = 403, "Wrong room", "Use the token of this room, or send the id of the token's room.";
    /// The participant waits to be let in.
    InLobby = 403, "In the lobby", "Wait for video.lobby.admitted.";
    /// The participant may not do this in the video room.
    PermissionDenied = 403, "Permission denied", "Ask the host; `detail` says for whom this is.";
    /// A signal says that somebody else sends it.
    FromMismatch = 403, "Wrong sender", "Leave `from` out: the server says who sends.";
    /// A signal is for somebody who is not in the video room.
    TargetNotInRoom = 404, "Target not in the room", "Send to the participants that the join answer and video.participant.joined name.";
    /// As much waits for the target of a signal as may.
    TargetBufferFull = 429, "Target buffer full", "Wait until the target is back, then send the signal again under a new seq.";
    /// Only signals of the type `custom` go to everybody.
    CannotBroadcast = 422, "Cannot broadcast", "Send offers, answers and candidates to each participant by name.";
    /// Signals are missing before this one.
    SeqGap = 409, "Signals missing", "Send the signal that `detail` names first, then this one again.";
    /// The video room was closed.
    RoomClosed = 410, "Room closed", "Create another room.";
    /// A signal, or a request with signals, is too large.
    SignalTooLarge = 413, "Signal too large", "Keep within the limits of the join answer: 64 KiB a signal, 64 signals and 256 KiB a request.";
    /// Somebody else is to be the host of a new video room.
    HostMismatch = 403, "Not the host", "Leave hostId out or send your own user id; servers with an API key of role publisher name anybody.";
    /// The video room is no longer as `If-Match` says.
    PreconditionFailed = 412, "Changed meanwhile", "Read the room again and repeat the change with its ETag.";
}

impl Problem {
    /// A problem with what happened this time.
    #[must_use]
    pub fn new(code: ProblemCode, detail: String) -> Self {
        Self {
            kind: format!("/docs/errors.md#{}", code.name()),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail,
            remediation: code.remediation().to_owned(),
        }
    }
}

impl ProblemCode {
    /// The code as it is written on the wire.
    #[must_use]
    pub fn name(self) -> String {
        let quoted = serde_json::to_string(&self).expect("a unit variant serializes to a string");
        quoted.trim_matches('"').to_owned()
    }
}
