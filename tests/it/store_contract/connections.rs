//! Cases about the record of who was connected.

use santral::ports::connections::{ConnectionEnd, ConnectionRecord, ConnectionStart};
use santral_core::entry::Timestamp;
use santral_core::limits::RECORD_PRUNE_ROWS_MAX;
use santral_core::names::ConnectionId;

use super::accounts::HOSTILE;
use super::place::Place;

fn id(number: usize) -> ConnectionId {
    ConnectionId::parse(&format!("{number:022}")).expect("22 characters")
}

fn start(number: usize, at: i64) -> ConnectionRecord {
    ConnectionRecord::Started(ConnectionStart {
        id: id(number),
        node: "here".into(),
        user: number.is_multiple_of(2).then(|| "ada".into()),
        transport: "sse",
        address: Some("192.0.2.1".into()),
        user_agent: Some(HOSTILE[number % HOSTILE.len()].into()),
        at: Timestamp(at),
    })
}

fn end(number: usize, at: i64, code: u16) -> ConnectionRecord {
    ConnectionRecord::Ended(ConnectionEnd { id: id(number), code, at: Timestamp(at) })
}

pub(super) fn starts_and_ends_are_recorded_in_one_batch_or_in_two(place: &Place) {
    let connections = place.open().records.connections();
    connections.record(&[]).expect("no trouble");
    connections
        .record(&[start(1, 10), start(2, 11), end(2, 12, 3000), start(3, 13), end(9, 14, 1), start(1, 15)])
        .expect("no trouble");
    let mut stranger = place.stranger();
    let mut count = |of: &str| stranger.count(&format!("connections WHERE {of}"));
    assert_eq!(count("1 = 1"), 3, "an end without a start is nothing");
    assert_eq!(count("disconnected_at IS NULL"), 2);
    assert_eq!(count("connected_at = 11 AND disconnected_at = 12 AND disconnect_code = 3000 AND user_id = 'ada'"), 1);
    connections.record(&[end(1, 20, u16::MAX), end(1, 21, 1), end(3, 22, 0), start(2, 23)]).expect("no trouble");
    assert_eq!(count("connected_at = 10 AND disconnected_at = 20 AND disconnect_code = 65535"), 1, "it ends once");
    assert_eq!(count("connected_at = 13 AND disconnect_code = 0 AND user_id IS NULL AND node = 'here'"), 1);
    assert_eq!(count("connected_at = 23"), 0, "an id begins once");
}

pub(super) fn hostile_user_agents_are_text(place: &Place) {
    let connections = place.open().records.connections();
    let records: Vec<_> = (0..HOSTILE.len()).map(|number| start(number, 0)).collect();
    connections.record(&records).expect("no trouble");
    let with_nul = ConnectionRecord::Started(ConnectionStart {
        id: id(99),
        node: "here".into(),
        user: None,
        transport: "sse",
        address: None,
        user_agent: Some("a\0b".into()),
        at: Timestamp(i64::MIN),
    });
    connections.record(&[with_nul, end(99, i64::MAX, 1)]).expect("no trouble");
    let mut stranger = place.stranger();
    assert_eq!(stranger.count("connections"), 1 + i64::try_from(HOSTILE.len()).expect("a small number"));
    assert_eq!(stranger.count("connections WHERE user_agent = 'a\u{fffd}b'"), 1);
}

pub(super) fn what_a_crashed_run_left_open_is_closed(place: &Place) {
    let connections = place.open().records.connections();
    connections.record(&[start(1, 1), start(2, 2), start(3, 3), end(3, 4, 7)]).expect("no trouble");
    place.execute("UPDATE connections SET node = 'elsewhere' WHERE connected_at = 2");
    assert_eq!(connections.close_stale("here", 9, Timestamp(50)), Ok(1));
    assert_eq!(connections.close_stale("here", 9, Timestamp(60)), Ok(0));
    let mut stranger = place.stranger();
    assert_eq!(
        stranger.count("connections WHERE disconnected_at = 50 AND disconnect_code = 9 AND connected_at = 1"),
        1
    );
    assert_eq!(stranger.count("connections WHERE disconnected_at IS NULL AND node = 'elsewhere'"), 1);
}

pub(super) fn old_connections_go_in_slices_and_open_ones_stay(place: &Place) {
    let connections = place.open().records.connections();
    let count = RECORD_PRUNE_ROWS_MAX + 10;
    let times = |number: usize| i64::try_from(number).expect("a small number");
    let records: Vec<_> = (0..count).flat_map(|number| [start(number, times(number)), end(number, 5_000, 1)]).collect();
    connections.record(&records).expect("no trouble");
    connections.record(&[start(90_000, 0)]).expect("no trouble");
    let mut stranger = place.stranger();
    assert_eq!(connections.prune(Timestamp(5), u64::MAX), Ok(false));
    assert_eq!(stranger.count("connections WHERE connected_at < 5"), 1, "the one that is open");
    assert_eq!(connections.prune(Timestamp(i64::MAX), u64::MAX), Ok(true));
    assert_eq!(connections.prune(Timestamp(i64::MAX), u64::MAX), Ok(false));
    assert_eq!(stranger.count("connections"), 1);
    connections
        .record(
            &(0..20).flat_map(|number| [start(number, 100 + times(number)), end(number, 500, 1)]).collect::<Vec<_>>(),
        )
        .expect("no trouble");
    while connections.prune(Timestamp(0), 5).expect("no trouble") {}
    assert_eq!(stranger.count("connections WHERE disconnected_at IS NOT NULL"), 5);
    assert_eq!(stranger.count("connections WHERE connected_at >= 115"), 5, "the newest stay");
}
