//! Cases about the outbox of webhooks: lines by address and subject, and what they wait for.

use std::sync::Arc;

use santral::ports::webhooks::{NewDelivery, Outbox, Settled, WaitingDelivery};
use santral_core::entry::Timestamp;
use santral_core::limits::{RECORD_PRUNE_ROWS_MAX, WEBHOOK_RUN_MAX, WEBHOOK_SCAN_ROWS_MAX};
use santral_schema::webhooks::WebhookType;

use super::accounts::HOSTILE;
use super::place::{Place, eventually};

const HERE: &str = "https://here.example/hooks";
const THERE: &str = "https://there.example/hooks";

fn delivery(url: &str, subject: &str, number: usize) -> NewDelivery {
    NewDelivery {
        event_id: format!("whk_{number}").into(),
        url: url.into(),
        subject: subject.into(),
        kind: WebhookType::RoomStarted,
        body: format!("{{\"number\":{number}}}").into(),
        at: Timestamp(i64::try_from(number).expect("a small number")),
    }
}

/// The events at the beginning of each line that is due.
fn due(outbox: &Arc<dyn Outbox>, url: &str, now: i64, busy: &[&str], lines: usize) -> Vec<Vec<String>> {
    let busy: Vec<String> = busy.iter().map(|subject| (*subject).to_owned()).collect();
    let lines = outbox.due(url, Timestamp(now), &busy, lines).expect("no trouble");
    lines.into_iter().map(|line| line.into_iter().map(|delivery| delivery.event_id).collect()).collect()
}

fn first(outbox: &Arc<dyn Outbox>, url: &str, now: i64) -> WaitingDelivery {
    let lines = outbox.due(url, Timestamp(now), &[], 1).expect("no trouble");
    lines.into_iter().flatten().next().expect("something is due")
}

fn failed(delivery: WaitingDelivery, until: i64) -> Settled {
    Settled::Failed { delivery, until: Timestamp(until), error: "status 500".to_owned() }
}

pub(super) fn deliveries_wait_in_lines_by_address_and_subject(place: &Place) {
    let outbox = place.open().records.webhooks();
    outbox.append(&[]).expect("no trouble");
    let batch = [delivery(HERE, "room:a", 1), delivery(THERE, "room:a", 1), delivery(HERE, "room:b", 2)];
    outbox.append(&batch).expect("no trouble");
    outbox.append(&[delivery(HERE, "room:a", 3), delivery(HERE, "room:a", 4)]).expect("no trouble");
    assert_eq!(outbox.count(), Ok(5));
    assert_eq!(due(&outbox, HERE, 0, &[], 9), Vec::<Vec<String>>::new(), "before it happened");
    assert_eq!(due(&outbox, HERE, 10, &[], 9), [vec!["whk_1", "whk_3", "whk_4"], vec!["whk_2"]]);
    assert_eq!(due(&outbox, HERE, 10, &[], 1), [vec!["whk_1", "whk_3", "whk_4"]]);
    assert_eq!(due(&outbox, HERE, 10, &["room:a"], 9), [["whk_2"]]);
    assert_eq!(due(&outbox, THERE, 10, &[], 9), [["whk_1"]]);
    let waiting = first(&outbox, HERE, 10);
    assert_eq!((waiting.kind.as_str(), waiting.body.as_str()), ("room_started", "{\"number\":1}"));
    assert_eq!((waiting.url.as_str(), waiting.subject.as_str(), waiting.at), (HERE, "room:a", Timestamp(1)));
    outbox.settle(&[Settled::Over(waiting.id)]).expect("no trouble");
    outbox.settle(&[Settled::Over(waiting.id)]).expect("it may be said twice");
    assert_eq!(due(&outbox, HERE, 10, &[], 9), [vec!["whk_2"], vec!["whk_3", "whk_4"]]);
    assert_eq!(outbox.count(), Ok(4));
}

pub(super) fn a_line_waits_for_its_first(place: &Place) {
    let outbox = place.open().records.webhooks();
    let batch = [delivery(HERE, "room:a", 1), delivery(HERE, "room:a", 2), delivery(HERE, "room:b", 3)];
    outbox.append(&batch).expect("no trouble");
    outbox.append(&[delivery(THERE, "room:a", 1)]).expect("no trouble");
    outbox.settle(&[failed(first(&outbox, HERE, 10), 1_000)]).expect("no trouble");
    outbox.append(&[delivery(HERE, "room:a", 4)]).expect("who comes later waits too");
    assert_eq!(place.stranger().count("webhook_outbox WHERE next_attempt_at = 1000"), 3, "and nobody looks at it");
    assert_eq!(due(&outbox, HERE, 999, &[], 9), [["whk_3"]]);
    assert_eq!(due(&outbox, THERE, 999, &[], 9), [["whk_1"]], "another address does not wait");
    assert_eq!(due(&outbox, HERE, 1_000, &[], 9), [vec!["whk_3"], vec!["whk_1", "whk_2", "whk_4"]]);
    let again = outbox.due(HERE, Timestamp(1_000), &["room:b".to_owned()], 1).expect("no trouble");
    assert_eq!(again[0].iter().map(|delivery| delivery.attempts).collect::<Vec<_>>(), [1, 0, 0]);
    let mut stranger = place.stranger();
    assert_eq!(stranger.count("webhook_outbox WHERE last_error = 'status 500' AND event_id = 'whk_1'"), 1);
    // Given up: those behind it have their turn at once.
    outbox.settle(&[Settled::Over(again[0][0].id)]).expect("no trouble");
    assert_eq!(due(&outbox, HERE, 1_000, &["room:b"], 9), [["whk_2", "whk_4"]]);
}

pub(super) fn a_long_line_hides_no_other(place: &Place) {
    let outbox = place.open().records.webhooks();
    let long: Vec<_> = (0..3 * WEBHOOK_SCAN_ROWS_MAX).map(|number| delivery(HERE, "room:long", number)).collect();
    outbox.append(&long).expect("no trouble");
    outbox.append(&[delivery(HERE, "room:short", 900)]).expect("no trouble");
    let lines = due(&outbox, HERE, 10_000, &[], 9);
    assert_eq!(lines.iter().map(Vec::len).collect::<Vec<_>>(), [WEBHOOK_RUN_MAX, 1]);
    assert_eq!(lines[1], ["whk_900"]);
}

pub(super) fn a_clock_that_was_set_back_holds_up_no_line(place: &Place) {
    let outbox = place.open().records.webhooks();
    let hour = 3_600_000_000;
    outbox.append(&[delivery(HERE, "room:a", 1)]).expect("no trouble");
    outbox.settle(&[failed(first(&outbox, HERE, 10), 100 * hour)]).expect("no trouble");
    assert_eq!(due(&outbox, HERE, 99 * hour, &[], 9), Vec::<Vec<String>>::new());
    assert_eq!(due(&outbox, HERE, hour, &[], 9), [["whk_1"]], "nobody waits for days");
}

pub(super) fn what_goes_nowhere_any_more_is_deleted_when_it_is_old(place: &Place) {
    let outbox = place.open().records.webhooks();
    let count = RECORD_PRUNE_ROWS_MAX + 10;
    let old: Vec<_> = (0..count).map(|number| delivery(HERE, "room:a", number)).collect();
    outbox.append(&old).expect("no trouble");
    outbox.append(&[delivery(THERE, "room:a", 1), delivery(HERE, "room:a", 50_000)]).expect("no trouble");
    let kept: [Arc<str>; 1] = [THERE.into()];
    assert_eq!(outbox.prune(&kept, Timestamp(40_000)), Ok(RECORD_PRUNE_ROWS_MAX));
    assert_eq!(outbox.prune(&kept, Timestamp(40_000)), Ok(10));
    assert_eq!(outbox.prune(&kept, Timestamp(40_000)), Ok(0));
    assert_eq!(outbox.count(), Ok(2), "what is young, and what still goes somewhere");
    assert_eq!(outbox.prune(&[], Timestamp(40_000)), Ok(1), "without any address all of them go nowhere");
}

pub(super) fn hostile_subjects_are_subjects_like_any_other(place: &Place) {
    let outbox = place.open().records.webhooks();
    let batch: Vec<_> = HOSTILE.iter().enumerate().map(|(number, subject)| delivery(HERE, subject, number)).collect();
    outbox.append(&batch).expect("no trouble");
    outbox.append(&[delivery(HERE, "a\0b", 700)]).expect("no trouble");
    assert_eq!(due(&outbox, HERE, 10_000, &[], 1_000).len(), HOSTILE.len() + 1);
    outbox.settle(&[failed(first(&outbox, HERE, 10_000), 20_000)]).expect("no trouble");
    assert_eq!(due(&outbox, HERE, 10_000, &[], 1_000).len(), HOSTILE.len(), "that line alone waits");
}

pub(super) fn of_several_servers_one_sends_at_a_time(place: &Place) {
    let (first, second) = (place.open(), place.open());
    assert_eq!(first.records.webhooks().may_send(), Ok(true));
    assert_eq!(second.records.webhooks().may_send(), Ok(place.is_sqlite()), "a file has one server only");
    assert_eq!(first.records.webhooks().may_send(), Ok(true), "it keeps its turn");
    drop(first);
    let second = second.records.webhooks();
    eventually("the turn", || second.may_send().expect("no trouble").then_some(()));
}
