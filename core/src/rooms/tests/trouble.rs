//! What once went wrong in rooms; most of it was found by `core/tests/sim_rooms`.

use super::*;

#[test]
fn a_call_begins_once_however_often_its_only_member_comes_back() {
    let mut stage = Stage::new(|_| ());
    let (_, token) = stage.join("a").expect("in");
    stage.rooms.leave(stage.clock(), &room(), &token, LeaveReason::ClientLeave).expect("gone");
    stage.join("a").expect("in");
    let mut again = stage.ask("a");
    (again.on_duplicate, again.place) = (OnDuplicate::Replace, Some(place("z")));
    stage.join_as(again).expect("in");
    assert_eq!(stage.news.iter().filter(|news| **news == NewsKind::RoomStarted).count(), 1);
}
