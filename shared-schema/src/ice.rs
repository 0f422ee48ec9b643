//! STUN and TURN servers for the browsers of a call, in the form that `RTCPeerConnection` takes.

use std::fmt;

use serde::Serialize;
use ts_rs::TS;
use utoipa::ToSchema;

/// A server, or several that take the same credential: `RTCIceServer` of WebRTC 1.0, section 4.2.4.
#[derive(Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IceServer {
    /// URIs of RFC 7064 or RFC 7065.
    #[schema(examples(json!(["turn:turn.example.com:3478?transport=udp"])))]
    pub urls: Vec<String>,
    /// For TURN: when the credential ends, in seconds since 1970, and whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub username: Option<String>,
    /// For TURN: the password of that user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub credential: Option<String>,
}

/// Without the credential, which is a secret.
impl fmt::Debug for IceServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// Answer of `GET /api/webrtc/ice-servers`; the same comes again in `webrtc.ice-servers` before it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IceServers {
    /// For `iceServers` of the configuration of an `RTCPeerConnection`. May be empty.
    pub ice_servers: Vec<IceServer>,
    /// How long they are good, in seconds from now.
    #[ts(type = "number")]
    pub ttl_sec: u64,
    /// When to take fresh ones, RFC 3339; absent where nothing ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub refresh_at: Option<String>,
    /// Whether media must go through TURN: `iceTransportPolicy: "relay"`.
    pub relay_only: bool,
}
