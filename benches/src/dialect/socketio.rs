//! A Socket.IO client of the main namespace: Engine.IO protocol 4, Socket.IO protocol 5.
//!
//! Packets go in one by one, whatever the transport; what is to be sent goes to a callback.

use super::Found;
use super::stream_parser::find;
use crate::payload::Payload;

const EVENT: &[u8] = br#"2["message","#;
const CONNECTED: &[u8] = b"0{";
/// The answer to the one acknowledged event that is sent.
const ACK: &[u8] = b"30[";
const OK: &[u8] = br#""ok":true"#;

/// See the module.
#[derive(Debug)]
pub(crate) struct SocketIo {
    room: Option<&'static str>,
}

impl SocketIo {
    /// A client that joins a room, or is content to be connected.
    pub(super) fn new(room: Option<&'static str>) -> Self {
        Self { room }
    }

    /// Takes one Engine.IO packet.
    pub(super) fn take(
        &self,
        packet: &[u8],
        payload: &Payload,
        send: &mut impl FnMut(&[u8]),
        on_found: &mut impl FnMut(Found),
    ) {
        match packet {
            [b'0', ..] => send(b"40"),
            b"2" => send(b"3"),
            b"6" => (),
            [b'4', message @ ..] => self.take_message(message, payload, send, on_found),
            _ => on_found(Found::Foreign),
        }
    }

    fn take_message(
        &self,
        message: &[u8],
        payload: &Payload,
        send: &mut impl FnMut(&[u8]),
        on_found: &mut impl FnMut(Found),
    ) {
        let data = message.strip_prefix(EVENT).and_then(|rest| rest.strip_suffix(b"]"));
        if let Some(stamp) = data.and_then(|data| payload.read(data)) {
            on_found(Found::Publication(stamp));
        } else if message.starts_with(CONNECTED) {
            match self.room {
                Some(room) => send(format!("420[\"join\",\"{room}\"]").as_bytes()),
                None => on_found(Found::Open),
            }
        } else if message.starts_with(ACK) && find(message, OK).is_some() {
            on_found(Found::Open);
        } else {
            on_found(Found::Foreign);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::SocketIo;
    use crate::dialect::Found;
    use crate::payload::Payload;

    fn take(room: Option<&'static str>, packet: &[u8]) -> (Vec<Vec<u8>>, Vec<Found>) {
        let (mut sent, mut found) = (Vec::new(), Vec::new());
        let mut send = |packet: &[u8]| sent.push(packet.to_vec());
        SocketIo::new(room).take(packet, &Payload::new(120), &mut send, &mut |finding| found.push(finding));
        (sent, found)
    }

    #[test]
    fn a_client_without_a_room_is_open_when_it_is_connected() {
        assert_eq!(take(None, b"40{\"sid\":\"a\"}"), (vec![], vec![Found::Open]));
    }

    #[test]
    fn what_nobody_expects_is_foreign() {
        for packet in
            [&b"1"[..], b"41", b"44{}", b"430[{\"ok\":false}]", b"42[\"message\",1]", b"42[\"other\",{}]", b""]
        {
            assert_eq!(take(Some("bench"), packet), (vec![], vec![Found::Foreign]), "{packet:?}");
        }
    }
}
