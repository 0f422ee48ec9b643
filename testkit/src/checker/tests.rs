//! A true journal passes; each planted lie is found by the rule made for it.

use super::*;

/// Two channels, a retry after a refusal, an unknown outcome that was stored and one that was
/// not, a volatile and a direct message, a resume, a gap, a wildcard, and an epoch long gone.
const TRUE_RUN: &str = r#"
{"kind":"publish","publisher":"p1","key":"k1","channel":"a","hash":"h1"}
{"kind":"ack","key":"k1","id":"e1-1","durability":"disk"}
{"kind":"publish","publisher":"p1","key":"k2","channel":"b","hash":"h2"}
{"kind":"ack","key":"k2","id":"e1-2","durability":"disk"}
{"kind":"publish","publisher":"p1","key":"k3","channel":"a","hash":"h3"}
{"kind":"ack","key":"k3","id":"e1-3","durability":"disk"}
{"kind":"ack","key":"k3","id":"e1-3","durability":"disk"}
{"kind":"publish","publisher":"p2","key":"k4","channel":"b","hash":"h4"}
{"kind":"ack","key":"k4","id":"e1-4","durability":"disk"}
{"kind":"publish","publisher":"p2","key":"k5","channel":"a","hash":"h5"}
{"kind":"unknown","key":"k5"}
{"kind":"publish","publisher":"p2","key":"k6","channel":"a","hash":"h6"}
{"kind":"refused","key":"k6","status":503,"code":"storage_busy"}
{"kind":"publish","publisher":"p2","key":"k7","channel":"a","hash":"h7"}
{"kind":"publish","publisher":"p2","key":"v1","channel":"a","hash":"hv","volatile":true}
{"kind":"ack","key":"v1","id":null,"durability":"memory"}
{"kind":"publish","publisher":"p2","key":"k8","channel":"a","hash":"h8"}
{"kind":"refused","key":"k8","status":503,"code":"storage_busy"}
{"kind":"publish","publisher":"p2","key":"k8","channel":"a","hash":"h8"}
{"kind":"ack","key":"k8","id":"e1-6","durability":"disk"}

{"kind":"attach","client":"s1","lastEventId":null,"channels":["a","b"]}
{"kind":"hello","client":"s1","id":"e1-0","recovered":false}
{"kind":"event","client":"s1","id":"e1-1","channel":"a","key":"k1","hash":"h1"}
{"kind":"event","client":"s1","id":"e1-2","channel":null,"key":"k2","hash":"h2"}
{"kind":"event","client":"s1","id":"e1-3","channel":"a","key":"k3","hash":"h3"}
{"kind":"detach","client":"s1"}
{"kind":"attach","client":"s1","lastEventId":"e1-3","channels":["a","b"]}
{"kind":"hello","client":"s1","id":"e1-3","recovered":true}
{"kind":"event","client":"s1","id":"e1-4","channel":"b","key":"k4","hash":"h4"}
{"kind":"event","client":"s1","id":"e1-5","channel":"a","key":"k5","hash":"h5"}
{"kind":"event","client":"s1","id":null,"channel":"a","key":"v1","hash":"hv"}
{"kind":"event","client":"s1","id":"e1-5.1","channel":null,"key":null,"hash":"direct"}
{"kind":"event","client":"s1","id":"e1-6","channel":"a","key":"k8","hash":"h8"}

{"kind":"attach","client":"s2","lastEventId":null,"channels":["a"]}
{"kind":"hello","client":"s2","id":"e1-2","recovered":false}
{"kind":"event","client":"s2","id":"e1-3","channel":"a","key":"k3","hash":"h3"}
{"kind":"gap","client":"s2","requested":"e1-3","resumedFrom":"e1-5","reason":"retention"}
{"kind":"event","client":"s2","id":"e1-6","channel":"a","key":"k8","hash":"h8"}

{"kind":"attach","client":"s3","lastEventId":"earliest","channels":["a*"]}
{"kind":"event","client":"s3","id":"e1-1","channel":"a","key":"k1","hash":"h1"}
{"kind":"event","client":"s3","id":"e1-3","channel":"a","key":"k3","hash":"h3"}
{"kind":"event","client":"s3","id":"e1-5","channel":"a","key":"k5","hash":"h5"}
{"kind":"event","client":"s3","id":"e1-6","channel":"a","key":"k8","hash":"h8"}

{"kind":"attach","client":"s4","lastEventId":"old-77","channels":["b"]}
{"kind":"gap","client":"s4","requested":"old-77","resumedFrom":null,"reason":"epoch"}
{"kind":"event","client":"s4","id":"e1-2","channel":"b","key":"k2","hash":"h2"}
{"kind":"event","client":"s4","id":"e1-4","channel":"b","key":"k4","hash":"h4"}

{"kind":"stored","id":"e1-1","channel":"a","key":"k1","hash":"h1"}
{"kind":"stored","id":"e1-3","channel":"a","key":"k3","hash":"h3"}
{"kind":"stored","id":"e1-5","channel":"a","key":"k5","hash":"h5"}
{"kind":"stored","id":"e1-6","channel":"a","key":"k8","hash":"h8"}
{"kind":"stored","id":"e1-2","channel":"b","key":"k2","hash":"h2"}
{"kind":"stored","id":"e1-4","channel":"b","key":"k4","hash":"h4"}
"#;

/// What is planted: the rule that must find it, the text taken out (it is there exactly once)
/// and the text put in its place.
const LIES: &[(Rule, &str, &str)] = &[
    // An acknowledged entry has vanished, from the log and from everyone's sight.
    (Rule::LostAck, r#"{"kind":"stored","id":"e1-4","channel":"b","key":"k4","hash":"h4"}"#, ""),
    (
        Rule::LostAck,
        r#"{"kind":"publish","publisher":"p2","key":"v1""#,
        r#"{"kind":"ack","key":"k7","id":"e1-7","durability":"disk"}
{"kind":"publish","publisher":"p2","key":"v1""#,
    ),
    (Rule::AckMismatch, r#""key":"k4","id":"e1-4","durability""#, r#""key":"k4","id":"e1-5","durability""#),
    (
        Rule::AckChanged,
        r#"{"kind":"publish","publisher":"p2","key":"k4""#,
        r#"{"kind":"ack","key":"k3","id":"e1-9","durability":"disk"}
{"kind":"publish","publisher":"p2","key":"k4""#,
    ),
    (Rule::IdReused, r#""key":"k4","id":"e1-4","durability""#, r#""key":"k4","id":"e1-3","durability""#),
    (
        Rule::DurabilityDowngraded,
        r#""key":"k4","id":"e1-4","durability":"disk""#,
        r#""key":"k4","id":"e1-4","durability":"memory""#,
    ),
    (
        Rule::StoredOrder,
        r#"{"kind":"stored","id":"e1-1","channel":"a","key":"k1","hash":"h1"}
{"kind":"stored","id":"e1-3","channel":"a","key":"k3","hash":"h3"}"#,
        r#"{"kind":"stored","id":"e1-3","channel":"a","key":"k3","hash":"h3"}
{"kind":"stored","id":"e1-1","channel":"a","key":"k1","hash":"h1"}"#,
    ),
    (
        Rule::StoredOrder,
        r#"{"kind":"stored","id":"e1-5""#,
        r#"{"kind":"stored","id":"e2-1","channel":"a","key":"k7","hash":"h7"}
{"kind":"stored","id":"e1-5""#,
    ),
    (
        Rule::StoredOrder,
        r#"{"kind":"stored","id":"e1-2""#,
        r#"{"kind":"stored","id":"e2-1","channel":"a","key":"k7","hash":"h7"}
{"kind":"stored","id":"e2-2","channel":"b","key":"k9","hash":"h9"}
{"kind":"stored","id":"e1-2""#,
    ),
    (
        Rule::StoredIdTwice,
        r#"{"kind":"stored","id":"e1-2""#,
        r#"{"kind":"stored","id":"e1-6","channel":"a","key":"k7","hash":"h7"}
{"kind":"stored","id":"e1-2""#,
    ),
    (
        Rule::StoredKeyTwice,
        r#"{"kind":"stored","id":"e1-2""#,
        r#"{"kind":"stored","id":"e1-7","channel":"a","key":"k8","hash":"h8"}
{"kind":"stored","id":"e1-2""#,
    ),
    (Rule::StoredHash, r#""key":"k1","channel":"a","hash":"h1""#, r#""key":"k1","channel":"a","hash":"h0""#),
    (Rule::StoredChannel, r#""key":"k1","channel":"a","hash":"h1""#, r#""key":"k1","channel":"b","hash":"h1""#),
    (
        Rule::StoredRefused,
        r#"{"kind":"unknown","key":"k5"}"#,
        r#"{"kind":"refused","key":"k5","status":503,"code":null}"#,
    ),
    (
        Rule::StoredPhantom,
        r#"{"kind":"stored","id":"e1-2""#,
        r#"{"kind":"stored","id":"e1-7","channel":"a","key":"k0","hash":"h0"}
{"kind":"stored","id":"e1-2""#,
    ),
    // Two subscribers see two orders: one of them must disagree with the log.
    (
        Rule::EventOrder,
        r#"{"kind":"event","client":"s1","id":"e1-1","channel":"a","key":"k1","hash":"h1"}
{"kind":"event","client":"s1","id":"e1-2","channel":null,"key":"k2","hash":"h2"}"#,
        r#"{"kind":"event","client":"s1","id":"e1-2","channel":null,"key":"k2","hash":"h2"}
{"kind":"event","client":"s1","id":"e1-1","channel":"a","key":"k1","hash":"h1"}"#,
    ),
    // A resume that goes back too far.
    (
        Rule::EventOrder,
        r#"{"kind":"event","client":"s1","id":"e1-4""#,
        r#"{"kind":"event","client":"s1","id":"e1-2","channel":"b","key":"k2","hash":"h2"}
{"kind":"event","client":"s1","id":"e1-4""#,
    ),
    (Rule::EventOrder, r#""id":"e1-5.1""#, r#""id":"e1-4.1""#),
    (
        Rule::EventDuplicate,
        r#"{"kind":"event","client":"s1","id":"e1-4""#,
        r#"{"kind":"event","client":"s1","id":"e1-3","channel":"a","key":"k3","hash":"h3"}
{"kind":"event","client":"s1","id":"e1-4""#,
    ),
    (
        Rule::EventNotStored,
        r#"{"kind":"event","client":"s1","id":"e1-6","channel":"a","key":"k8","hash":"h8"}"#,
        r#"{"kind":"event","client":"s1","id":"e1-6","channel":"a","key":"k8","hash":"h8"}
{"kind":"event","client":"s1","id":"e1-7","channel":"a","key":"k7","hash":"h7"}"#,
    ),
    (
        Rule::EventNotStored,
        r#"{"kind":"event","client":"s3","id":"e1-1""#,
        r#"{"kind":"event","client":"s3","id":null"#,
    ),
    (
        Rule::EventMismatch,
        r#""client":"s3","id":"e1-3","channel":"a","key":"k3","hash":"h3""#,
        r#""client":"s3","id":"e1-3","channel":"a","key":"k3","hash":"h4""#,
    ),
    (
        Rule::EventMismatch,
        r#""client":"s3","id":"e1-3","channel":"a","key":"k3","hash":"h3""#,
        r#""client":"s3","id":"e1-3","channel":"a","key":"k5","hash":"h3""#,
    ),
    (
        Rule::EventMismatch,
        r#""client":"s3","id":"e1-3","channel":"a","key":"k3","hash":"h3""#,
        r#""client":"s3","id":"e1-3","channel":"b","key":"k3","hash":"h3""#,
    ),
    (
        Rule::EventMismatch,
        r#""key":"v1","hash":"hv"}
{"kind":"event","client":"s1","id":"e1-5.1""#,
        r#""key":"v1","hash":"hw"}
{"kind":"event","client":"s1","id":"e1-5.1""#,
    ),
    (
        Rule::EventForeign,
        r#"{"kind":"event","client":"s3","id":"e1-3""#,
        r#"{"kind":"event","client":"s3","id":"e1-2","channel":"b","key":"k2","hash":"h2"}
{"kind":"event","client":"s3","id":"e1-3""#,
    ),
    (Rule::Hole, r#"{"kind":"event","client":"s1","id":"e1-2","channel":null,"key":"k2","hash":"h2"}"#, ""),
    (Rule::Hole, r#"{"kind":"event","client":"s3","id":"e1-1","channel":"a","key":"k1","hash":"h1"}"#, ""),
    // Lost just after the hello: the next connection asks too late in good faith.
    (
        Rule::Hole,
        r#"{"kind":"event","client":"s1","id":"e1-4","channel":"b","key":"k4","hash":"h4"}"#,
        r#"{"kind":"detach","client":"s1"}
{"kind":"attach","client":"s1","lastEventId":"e1-4","channels":["a","b"]}"#,
    ),
    // The gap tells of less than is missing.
    (Rule::Hole, r#""requested":"e1-3","resumedFrom":"e1-5""#, r#""requested":"e1-3","resumedFrom":"e1-4""#),
    (Rule::Hole, r#""requested":"e1-3","resumedFrom":"e1-5""#, r#""requested":"e1-5","resumedFrom":"e1-5""#),
    (Rule::Hole, r#"{"kind":"gap","client":"s2","requested":"e1-3","resumedFrom":"e1-5","reason":"retention"}"#, ""),
    // A direct message does not excuse the stored entry before it.
    (Rule::Hole, r#"{"kind":"event","client":"s1","id":"e1-5","channel":"a","key":"k5","hash":"h5"}"#, ""),
    (Rule::EpochSwitch, r#"{"kind":"gap","client":"s4","requested":"old-77","resumedFrom":null,"reason":"epoch"}"#, ""),
    (Rule::NotAtEnd, r#"{"kind":"event","client":"s2","id":"e1-6","channel":"a","key":"k8","hash":"h8"}"#, ""),
    (Rule::Malformed, r#"{"kind":"attach","client":"s3","lastEventId":"earliest","channels":["a*"]}"#, ""),
    (Rule::Malformed, r#"{"kind":"publish","publisher":"p1","key":"k2","channel":"b","hash":"h2"}"#, ""),
    (Rule::Malformed, r#"{"kind":"stored","id":"e1-4""#, r#"{"kind":"stored","id":"E1-4""#),
    (Rule::Malformed, r#"{"kind":"event","client":"s4","id":"e1-4""#, r#"{"kind":"event","client":"s4","id":"e1-+4""#),
    (Rule::Malformed, r#""key":"k4","id":"e1-4","durability""#, r#""key":"k4","id":null,"durability""#),
    (
        Rule::Malformed,
        r#"{"kind":"ack","key":"k8""#,
        r#"{"kind":"publish","publisher":"p2","key":"k8","channel":"b","hash":"h8"}
{"kind":"ack","key":"k8""#,
    ),
];

const COMPLETE: Options = Options { is_complete: true };

fn records(text: &str) -> Vec<Record> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("journal");
    std::fs::write(&path, text).expect("there is space");
    let records: Result<_, _> = JournalReader::open(&path).expect("it is there").collect();
    records.expect("the test writes records")
}

#[test]
fn a_true_run_passes() {
    let report = check(&records(TRUE_RUN), COMPLETE);
    assert!(report.is_sound(), "{report}");
    let counts = (report.stored, report.attempts, report.acked, report.refused);
    assert_eq!(counts, (6, 10, 6, 2));
    assert_eq!((report.events, report.gaps, report.attaches), (16, 2, 5));
}

#[test]
fn every_planted_lie_is_found_by_its_rule() {
    for (rule, old, new) in LIES {
        assert_eq!(TRUE_RUN.matches(old).count(), 1, "{rule:?}: {old}");
        let report = check(&records(&TRUE_RUN.replace(old, new)), COMPLETE);
        let is_found = report.violations.iter().any(|violation| violation.rule == *rule);
        assert!(is_found, "{rule:?} did not find\n{old}\n=>\n{new}\nonly {report}");
    }
}

#[test]
fn every_rule_has_a_lie_planted_for_it() {
    for rule in Rule::ALL {
        assert!(LIES.iter().any(|(planted, ..)| *planted == rule), "{rule:?}");
    }
}

#[test]
fn an_unfinished_run_may_end_anywhere() {
    let last = r#"{"kind":"event","client":"s2","id":"e1-6","channel":"a","key":"k8","hash":"h8"}"#;
    let report = check(&records(&TRUE_RUN.replace(last, "")), Options::default());
    assert!(report.is_sound(), "{report}");
}

#[test]
fn a_gap_may_follow_from_anything_the_client_asked_for() {
    let gap = r#"{"kind":"gap","client":"s4","requested":"old-77","resumedFrom":null,"reason":"epoch"}"#;
    let first = r#"{"kind":"event","client":"s4","id":"e1-2","channel":"b","key":"k2","hash":"h2"}"#;
    let to_a_place = TRUE_RUN.replace(&format!("{gap}\n{first}"), &gap.replace("null", r#""e1-2""#));
    let hello = r#"{"kind":"hello","client":"s4","id":"e1-6","recovered":false}"#;
    let from_nonsense = TRUE_RUN.replace(gap, &format!("{hello}\n{gap}")).replace("old-77", "?");
    for run in [to_a_place, from_nonsense] {
        assert_ne!(run, TRUE_RUN);
        let report = check(&records(&run), COMPLETE);
        assert!(report.is_sound(), "{report}");
    }
}

#[test]
fn epochs_are_ordered_by_the_log_and_not_by_name() {
    let run = r#"
{"kind":"stored","id":"zz-8","channel":"a","key":null,"hash":"h1"}
{"kind":"stored","id":"aa-1","channel":"a","key":null,"hash":"h2"}
{"kind":"stored","id":"zz-9","channel":"b","key":null,"hash":"h3"}
{"kind":"stored","id":"mm-1","channel":"c","key":null,"hash":"h4"}
{"kind":"stored","id":"zz-10","channel":"c","key":null,"hash":"h5"}
{"kind":"attach","client":"s","lastEventId":"mm-1","channels":["*"]}
{"kind":"event","client":"s","id":"zz-8","channel":"a","key":null,"hash":"h1"}
{"kind":"event","client":"s","id":"zz-9","channel":"b","key":null,"hash":"h3"}
{"kind":"event","client":"s","id":"zz-10","channel":"c","key":null,"hash":"h5"}
{"kind":"event","client":"s","id":"aa-1","channel":"a","key":null,"hash":"h2"}
"#;
    let report = check(&records(run), COMPLETE);
    assert!(report.is_sound(), "{report}");
}

#[test]
fn files_give_the_same_verdict_however_the_records_are_spread() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths = ["stored", "s1", "rest"].map(|name| folder.path().join(name));
    let lines = |meant: fn(&str) -> bool| -> String {
        TRUE_RUN.lines().filter(|line| meant(line)).map(|line| format!("{line}\n")).collect()
    };
    let is_stored = |line: &str| line.contains("\"stored\"");
    let is_s1 = |line: &str| line.contains("\"s1\"");
    std::fs::write(&paths[0], lines(is_stored)).expect("there is space");
    std::fs::write(&paths[1], lines(is_s1)).expect("there is space");
    let rest = lines(|line| !line.contains("\"stored\"") && !line.contains("\"s1\""));
    std::fs::write(&paths[2], rest).expect("there is space");
    let report = check_files(&paths, COMPLETE).expect("the files are journals");
    assert_eq!(report, check(&records(TRUE_RUN), COMPLETE));
}

#[test]
fn a_flood_of_violations_is_counted_and_cut() {
    let mut run = r#"{"kind":"attach","client":"s","lastEventId":null,"channels":["a"]}"#.to_owned();
    for offset in 1..=2_000 {
        run.push_str(&format!(
            "\n{{\"kind\":\"event\",\"client\":\"s\",\"id\":\"e-{offset}\",\"channel\":\"a\",\"key\":null,\"hash\":\"h\"}}"
        ));
    }
    let report = check(&records(&run), Options::default());
    assert_eq!((report.violation_count, report.violations.len()), (2_000, VIOLATIONS_MAX));
}
