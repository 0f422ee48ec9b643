//! What once went wrong in rooms; most of it was found by `core/tests/sim_rooms`.

use super::*;

/// A report of somebody who is connected to nobody.
fn no_links() -> crate::call_quality::Report {
    crate::call_quality::Report::parse(&[]).expect("a report of nobody")
}

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

#[test]
fn a_room_that_waits_for_the_next_call_still_ends_in_time() {
    let mut stage = Stage::new(|settings| {
        settings.more.persistent = true;
        settings.expires_at = Some(Timestamp(3_600_000_000));
    });
    let (_, token) = stage.join("a").expect("in");
    stage.rooms.leave(stage.clock(), &room(), &token, LeaveReason::ClientLeave).expect("gone");
    stage.drain(true);
    stage.pass(Duration::from_secs(3_601));
    assert_eq!(stage.rooms.status(&room()), None);
}

#[test]
fn what_waits_behind_a_refused_signal_is_passed_on() {
    let mut stage = Stage::new(|_| ());
    let (a, _) = stage.join("a").expect("in");
    let (_, token) = stage.join("b").expect("in");
    stage.signal(token, Some(2), &a.participant.participant_id).expect("parked");
    stage.take_told();
    assert_eq!(stage.signal(token, Some(1), "p_nobody"), Err(RoomRefusal::NoTarget));
    assert_eq!(stage.take_told(), ["a webrtc.signal"]);
}

#[test]
fn a_line_that_is_up_again_is_not_taken_for_a_silent_one() {
    let mut stage = Stage::new(|settings| settings.more.grace = Duration::from_secs(120));
    let (_, token) = stage.join("a").expect("in");
    stage
        .rooms
        .note_quality(
            stage.clock(),
            &room(),
            &token,
            &crate::call_quality::Report::parse(&[]).expect("a report of nobody"),
        )
        .expect("noted");
    stage.rooms.link_down(stage.clock(), &place("a").session, place("a").connection, DisconnectReason::Unreachable);
    stage.pass(Duration::from_secs(61));
    stage.rooms.link_up(&place("a"));
    stage.pass(Duration::from_secs(1));
    stage.pass(Duration::from_secs(200));
    stage.signal(token, None, "p_x").expect_err("nobody else is there");
    assert!(stage.rooms.status(&room()) == Some(RoomStatus::Active), "nobody was sent away");
}

#[test]
fn a_sender_hears_of_each_target_that_a_signal_did_not_reach() {
    let mut stage = Stage::new(|_| ());
    let (a, _) = stage.join("a").expect("in");
    let (b, _) = stage.join("b").expect("in");
    let (_, token) = stage.join("c").expect("in");
    let [a, b] = [a, b].map(|joined| ParticipantId::parse(&joined.participant.participant_id).expect("valid"));
    stage.rooms.link_down(stage.clock(), &place("a").session, place("a").connection, DisconnectReason::Unreachable);
    stage.fill(token, &a);
    stage.take_told();
    let both = Signal { target: Target::These(vec![a.clone(), b.clone(), b]), ..signal(None, a.as_str()) };
    let (fates, _) = stage.rooms.signal(stage.clock(), &room(), &token, vec![both]).expect("taken");
    assert_eq!((fates[0].delivered, fates[0].buffered), (1, 0));
    stage.drain(true);
    assert_eq!(
        stage.told.iter().map(|(line, _)| line.as_str()).collect::<Vec<_>>(),
        ["b webrtc.signal", "c webrtc.undelivered"]
    );
    assert_eq!(stage.told[1].1["to"], a.as_str());
}

#[test]
fn a_decision_with_a_mistake_in_it_decides_nothing_and_nobody_is_let_in_twice() {
    let mut stage = Stage::new(|settings| settings.lobby = LobbyMode::On);
    let [a, b] = ["a", "b"].map(|who| {
        let (joined, _) = stage.join(who).expect("waits");
        ParticipantId::parse(&joined.participant.participant_id).expect("valid")
    });
    let (host, clock) = (Actor::Host(TokenHash(HOST)), stage.clock());
    let stranger = ParticipantId::parse("p_x").expect("valid");
    let [deny, wrong] = [a.clone(), stranger].map(|id| Waiting::These(vec![id]));
    assert!(stage.rooms.decide(clock, &room(), &host, &wrong, &deny).is_err());
    assert_eq!(stage.rooms.census(), (1, 0, 2));
    let admit = Waiting::These(vec![b.clone(), b.clone(), a.clone()]);
    let decided = stage.rooms.decide(clock, &room(), &host, &admit, &deny).expect("decided");
    assert_eq!((decided.denied, decided.admitted), (vec![a], vec![b]));
    stage.drain(true);
    assert_eq!(stage.news.iter().filter(|news| **news == NewsKind::ParticipantJoined).count(), 1);
}

#[test]
fn whoever_sits_there_already_does_not_get_a_second_seat() {
    let mut stage = Stage::new(|_| ());
    let (a, first) = stage.join("a").expect("in");
    for _ in 0..3 {
        // No answer arrives, so it comes with the first token again.
        let mut again = stage.ask("a");
        again.resume = Some(first);
        let (joined, token) = stage.join_as(again).expect("back");
        assert_eq!(joined.participant.participant_id, a.participant.participant_id);
        // A command on its session, which needs no token, says nothing of the token that it has.
        let current = stage.rooms.token_of(&room(), &place("a").session).expect("sits there");
        assert_eq!(current, token);
        assert_eq!(stage.signal(current, None, "p_x"), Err(RoomRefusal::NoTarget));
    }
    assert_eq!(stage.rooms.census(), (1, 1, 0));
}

#[test]
fn a_host_who_takes_its_own_place_stays_host_and_does_not_wait() {
    let mut stage = Stage::new(|settings| settings.lobby = LobbyMode::UntilHost);
    let mut host = stage.ask("a");
    host.host_token = Some(TokenHash(HOST));
    stage.join_as(host).expect("in");
    stage.join("b").expect("in");
    let mut again = stage.ask("a");
    (again.on_duplicate, again.place) = (OnDuplicate::Replace, Some(place("z")));
    let (joined, _) = stage.join_as(again).expect("in");
    assert!(joined.participant.is_host && joined.participant.ordinal > 0);
}

#[test]
fn the_rows_of_a_room_name_one_host() {
    let mut stage = Stage::new(|_| ());
    let mut host = stage.ask("a");
    host.host_token = Some(TokenHash(HOST));
    let (_, token) = stage.join_as(host).expect("in");
    let (b, _) = stage.join("b").expect("in");
    let heir = ParticipantId::parse(&b.participant.participant_id).expect("valid");
    stage.rooms.transfer_host(&room(), &Actor::Participant(token), &heir).expect("transferred");
    let mut owner = stage.ask("c");
    owner.host_token = Some(TokenHash(HOST));
    let (owner, _) = stage.join_as(owner).expect("in");
    assert!(owner.participant.is_host);
    let (saved, _) = stage.saved();
    let hosts = saved.participants.iter().filter(|row| row.is_host).count();
    assert_eq!(hosts, 1);
}

#[test]
fn rows_that_were_cut_short_make_one_host() {
    let mut stage = Stage::new(|_| ());
    for who in ["a", "b"] {
        stage.join(who).expect("in");
    }
    let (mut saved, token) = stage.saved();
    for row in &mut saved.participants {
        row.is_host = true;
    }
    let mut after = Stage::new(|_| ());
    after.rooms.close(after.clock(), &room(), &Actor::Host(TokenHash(HOST))).expect("closed");
    after.rooms.restore(after.clock(), saved, Arc::from("e2"));
    let (_, people) = after.rooms.detail(&room(), &Actor::Participant(token)).expect("there");
    assert_eq!(people.unwrap_or_default().iter().filter(|person| person.is_host).count(), 1);
}

#[test]
fn a_sender_hears_that_its_target_left_before_what_did_not_reach_it() {
    let mut stage = Stage::new(|_| ());
    let (a, _) = stage.join("a").expect("in");
    let (_, token) = stage.join("b").expect("in");
    stage.rooms.link_down(stage.clock(), &place("a").session, place("a").connection, DisconnectReason::Unreachable);
    stage.signal(token, Some(1), &a.participant.participant_id).expect("buffered");
    stage.told.clear();
    stage.pass(Duration::from_secs(20));
    let told: Vec<_> = stage.told.iter().map(|(line, data)| (line.as_str(), data["roomSeq"].as_u64())).collect();
    assert_eq!(told, [("b video.participant.left", Some(5)), ("b webrtc.undelivered", Some(6))]);
}

#[test]
fn everybody_hears_that_somebody_is_there_before_they_hear_that_it_is_the_host() {
    let mut stage = Stage::new(|_| ());
    let mut host = stage.ask("a");
    host.host_token = Some(TokenHash(HOST));
    let (_, token) = stage.join_as(host).expect("in");
    let (b, _) = stage.join("b").expect("in");
    let heir = ParticipantId::parse(&b.participant.participant_id).expect("valid");
    stage.rooms.transfer_host(&room(), &Actor::Participant(token), &heir).expect("transferred");
    stage.drain(true);
    stage.take_told();
    let mut owner = stage.ask("c");
    owner.host_token = Some(TokenHash(HOST));
    stage.join_as(owner).expect("in");
    let told: Vec<_> = stage.take_told().into_iter().filter(|line| line.starts_with("b ")).collect();
    assert_eq!(told, ["b video.participant.joined", "b video.host.changed"]);
}

#[test]
fn a_refused_signal_that_is_repeated_is_refused_again() {
    let mut stage = Stage::new(|_| ());
    let (_, token) = stage.join("a").expect("in");
    assert_eq!(stage.signal(token, Some(1), "p_x"), Err(RoomRefusal::NoTarget));
    let again = stage.rooms.signal(stage.clock(), &room(), &token, vec![signal(Some(1), "p_x")]);
    let (fates, _) = again.expect("answered");
    assert!(fates[0].duplicate);
    assert_eq!(fates[0].error.as_deref(), Some("target_not_in_room"));
}

#[test]
fn a_page_that_was_loaded_anew_does_not_send_what_the_page_before_it_had_begun() {
    let mut stage = Stage::new(|_| ());
    let (a, _) = stage.join("a").expect("in");
    let (_, token) = stage.join("b").expect("in");
    let to = a.participant.participant_id;
    stage.signal(token, Some(2), &to).expect("parked");
    let mut again = stage.ask("b");
    again.resume = Some(token);
    let (joined, token) = stage.join_as(again).expect("back");
    assert_eq!(joined.last_seq, 0);
    stage.take_told();
    stage.signal(token, Some(1), &to).expect("sent");
    stage.signal(token, Some(2), &to).expect("sent");
    assert_eq!(stage.take_told(), ["a webrtc.signal", "a webrtc.signal"]);
    let fates = stage.rooms.signal(stage.clock(), &room(), &token, vec![signal(Some(3), &to)]).expect("sent").0;
    assert!(!fates[0].duplicate);
}

#[test]
fn who_was_silent_is_back_with_the_next_word() {
    let mut stage = Stage::new(|_| ());
    let (_, token) = stage.join("a").expect("in");
    stage.join("b").expect("in");
    stage.rooms.note_quality(stage.clock(), &room(), &token, &no_links()).expect("noted");
    stage.pass(Duration::from_secs(60));
    stage.take_told();
    stage.rooms.note_quality(stage.clock(), &room(), &token, &no_links()).expect("noted");
    stage.drain(true);
    assert_eq!(stage.told.pop().map(|(_, data)| data["participant"]["state"].clone()), Some(Value::from("joined")));
    stage.pass(Duration::from_secs(59));
    assert_eq!(stage.rooms.census(), (1, 2, 0));
    // A link that is gone meanwhile is no link.
    stage.pass(Duration::from_secs(1));
    stage.rooms.link_down(stage.clock(), &place("a").session, place("a").connection, DisconnectReason::Unreachable);
    stage.rooms.note_quality(stage.clock(), &room(), &token, &no_links()).expect("noted");
    stage.pass(Duration::from_secs(20));
    assert_eq!(stage.rooms.census(), (1, 1, 0));
}

#[test]
fn a_page_that_closed_for_good_is_said_to_have() {
    let mut stage = Stage::new(|_| ());
    let (_, token) = stage.join("a").expect("in");
    stage.rooms.leave(stage.clock(), &room(), &token, LeaveReason::PageClosed).expect("noted");
    stage.pass(Duration::from_secs(5));
    assert!(stage.news.contains(&NewsKind::ParticipantLeft(LeaveReason::PageClosed)));
}

#[test]
fn who_missed_too_much_hears_how_things_stand_before_anything_else() {
    let mut stage = Stage::new(|_| ());
    let (a, token_a) = stage.join("a").expect("in");
    let (b, token) = stage.join("b").expect("in");
    let a = ParticipantId::parse(&a.participant.participant_id).expect("valid");
    stage.rooms.link_down(stage.clock(), &place("a").session, place("a").connection, DisconnectReason::Unreachable);
    stage.fill(token, &a);
    // An event that cannot be refused; then somebody comes in, and signals.
    let b = ParticipantId::parse(&b.participant.participant_id).expect("valid");
    let hand = PersonChange { hand_raised: Some(true), ..PersonChange::default() };
    stage.rooms.change_person(stage.clock(), &room(), &Actor::Participant(token), &b, hand).expect("raised");
    let (_, newcomer) = stage.join("c").expect("in");
    stage.signal(newcomer, None, a.as_str()).expect("buffered");
    stage.take_told();
    stage.rooms.link_up(&place("a"));
    stage.drain(true);
    let told = stage.take_told();
    let told = told.iter().filter(|line| line.starts_with("a ")).filter_map(|line| line.rsplit('.').next());
    assert_eq!(told.collect::<Vec<_>>(), ["resync", "joined", "signal", "updated"]);
    // Nothing of before can be had.
    let mut back = stage.ask("a");
    (back.resume, back.seen) = (Some(token_a), Some((5, "e1".into())));
    assert!(stage.join_as(back).expect("back").0.resync);
}

#[test]
fn news_of_a_line_are_newer_than_the_place_that_a_request_brings() {
    let mut stage = Stage::new(|_| ());
    let (_, token) = stage.join("a").expect("in");
    let newer = Place { connection: place("b").connection, ..place("a") };
    stage.rooms.link_down(stage.clock(), &place("a").session, place("a").connection, DisconnectReason::Replaced);
    stage.rooms.link_up(&newer);
    let mut back = stage.ask("a");
    back.resume = Some(token);
    stage.join_as(back).expect("back");
    stage.rooms.link_down(stage.clock(), &newer.session, newer.connection, DisconnectReason::Unreachable);
    stage.pass(Duration::from_secs(20));
    assert_eq!(stage.rooms.census(), (1, 0, 0), "its line was down");
}

#[test]
fn a_session_is_watched_before_its_link_is_asked_for() {
    let mut stage = Stage::new(|_| ());
    stage.join("b").expect("in");
    let join = stage.ask("a");
    stage.rooms.join(stage.clock(), join).expect("in");
    assert!(matches!(stage.rooms.poll_effect(), Some(Effect::Watch(_, true))));
}

#[test]
fn nobody_in_the_lobby_gets_servers() {
    let mut stage = Stage::new(|settings| settings.lobby = LobbyMode::On);
    let join = stage.ask("a");
    let (_, offer) = stage.rooms.join(stage.clock(), join).expect("waits");
    assert_eq!(offer.json, Value::Null);
}

#[test]
fn who_is_in_twice_is_sent_away_twice() {
    let mut stage = Stage::new(|_| ());
    let (b, _) = stage.join("b").expect("in");
    let mut again = stage.ask("b");
    again.place = Some(place("z"));
    let (_, second) = stage.join_as(again).expect("in");
    let id = ParticipantId::parse(&b.participant.participant_id).expect("valid");
    let itself = stage.rooms.kick(stage.clock(), &room(), &Actor::Participant(second), &id, false);
    assert!(matches!(itself, Err(RoomRefusal::NotAllowed(_))));
    stage.rooms.kick(stage.clock(), &room(), &Actor::Host(TokenHash(HOST)), &id, false).expect("kicked");
    stage.drain(true);
    assert_eq!(stage.signal(second, None, "p_x"), Err(RoomRefusal::Left(LeaveReason::Kicked)));
    assert_eq!(stage.rooms.census(), (1, 0, 0));
}

#[test]
fn a_guest_keeps_its_seat_when_another_of_its_network_is_kept_out() {
    let mut stage = Stage::new(|_| ());
    let guest = |stage: &mut Stage, who: &str, resume: Option<TokenHash>| {
        let ask = stage.ask(who);
        let visitor = Visitor { principal: "".into(), user: None, network: Some("192.0.2.0".into()), ..visitor(who) };
        stage.join_as(Join { visitor, resume, ..ask })
    };
    let (_, token) = guest(&mut stage, "a", None).expect("in");
    let (b, _) = guest(&mut stage, "b", None).expect("in");
    let id = ParticipantId::parse(&b.participant.participant_id).expect("valid");
    stage.rooms.kick(stage.clock(), &room(), &Actor::Host(TokenHash(HOST)), &id, true).expect("banned");
    assert!(guest(&mut stage, "a", Some(token)).is_ok_and(|(joined, _)| joined.already));
    assert_eq!(guest(&mut stage, "c", None).map(drop), Err(RoomRefusal::Banned));
}

#[test]
fn who_changed_something_while_its_line_was_down_hears_that_it_is_back() {
    let mut stage = Stage::new(|_| ());
    let (a, token) = stage.join("a").expect("in");
    let id = ParticipantId::parse(&a.participant.participant_id).expect("valid");
    stage.rooms.link_down(stage.clock(), &place("a").session, place("a").connection, DisconnectReason::Unreachable);
    let raised = PersonChange { hand_raised: Some(true), ..PersonChange::default() };
    stage.rooms.change_person(stage.clock(), &room(), &Actor::Participant(token), &id, raised).expect("changed");
    stage.rooms.link_up(&place("a"));
    stage.drain(true);
    let states: Vec<_> = stage.told.iter().map(|(_, data)| data["participant"]["state"].clone()).collect();
    assert_eq!(states, ["reconnecting", "joined"]);
}
