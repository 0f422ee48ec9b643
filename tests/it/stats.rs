//! Stats, their stream, and metrics: what is counted adds up, and what is exported is well-formed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use santral::telemetry::metrics::Metrics;
use santral_testkit::http::{Request, SseClient};
use serde_json::Value;

use crate::support::contract::{TOKEN, assert_refused, expect_nothing_more, json, next, send, text};
use crate::support::{PATIENCE, Santral, deadline, post_json};

/// Asks for stats until they say what they should.
pub(crate) fn stats_when(santral: &Santral, is_reached: impl Fn(&Value) -> bool) -> Value {
    let end = deadline();
    loop {
        let stats = santral.get("/api/stats").json().expect("stats are JSON");
        if is_reached(&stats) {
            return stats;
        }
        assert!(Instant::now() < end, "{stats:#}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

/// Asks for metrics until they have this line.
pub(crate) fn metrics_with(santral: &Santral, line: &str) -> String {
    let end = deadline();
    loop {
        let text = santral.get("/metrics").text();
        if text.lines().any(|each| each == line) {
            return text;
        }
        assert!(Instant::now() < end, "no {line} in {text}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn what_was_published_and_delivered_adds_up() {
    const MESSAGES: u64 = 20;
    const LISTENERS: u64 = 7;
    let santral = Santral::start_with(&[("SANTRAL_WORKERS", "2")]);
    let mut listeners: Vec<_> = (0..LISTENERS).map(|_| santral.greet("/api/events?channel=a", &[]).0).collect();
    let mut frame_bytes = 0;
    for number in 0..MESSAGES {
        let id = text(&santral.publish(&format!(r#"{{"channel":"a","data":{number}}}"#))["id"]);
        frame_bytes += format!("id: {id}\ndata: {number}\n\n").len() as u64;
    }
    santral.publish(r#"{"channel":"nobody","data":"unheard","volatile":true}"#);
    for listener in &mut listeners {
        for number in 0..MESSAGES {
            assert_eq!(next(listener).data, number.to_string());
        }
        expect_nothing_more(listener);
    }
    drop(listeners.pop());
    let stats = stats_when(&santral, |stats| {
        stats["deliveries"]["total"] == MESSAGES * LISTENERS && stats["connections"]["endedTotal"] == 1
    });
    let messages = &stats["messages"];
    let data_bytes = (0..MESSAGES).map(|number| number.to_string().len() as u64).sum::<u64>() + 9;
    assert_eq!((&messages["inTotal"], &messages["bytesInTotal"]), (&(MESSAGES + 1).into(), &data_bytes.into()));
    assert_eq!((&messages["storedTotal"], &messages["volatileTotal"]), (&MESSAGES.into(), &1.into()));
    assert_eq!((&messages["repeatedTotal"], &messages["refusedTotal"]), (&0.into(), &0.into()));
    assert_eq!(stats["deliveries"]["bytesTotal"], frame_bytes * LISTENERS);
    let connections = &stats["connections"];
    assert_eq!((&connections["startedTotal"], &connections["total"]), (&LISTENERS.into(), &(LISTENERS - 1).into()));
    assert_eq!(
        (&connections["byTransport"]["sse"], &stats["sessions"]),
        (&connections["total"], &connections["total"])
    );
    let log = &stats["log"];
    assert_eq!((&log["head"], &log["oldest"], &log["entries"]), (&MESSAGES.into(), &1.into(), &MESSAGES.into()));
    assert_eq!((&stats["gaps"]["total"], &stats["slowConsumers"]["now"]), (&0.into(), &0.into()));
    assert_eq!((&stats["storage"], &stats["partial"]), (&"ok".into(), &false.into()));
    let latency = &stats["latency"];
    assert_eq!(latency["commit"]["count"], MESSAGES, "each publish was awaited, so each had a commit of its own");
    let passes = latency["publishToWrite"]["count"].as_u64().expect("a count is a number");
    assert!((MESSAGES..=2 * MESSAGES).contains(&passes), "one for each message and shard: {latency:#}");
    for part in [&latency["commit"], &latency["publishToWrite"]] {
        let quantiles: Vec<_> = ["p50Ms", "p95Ms", "p99Ms", "maxMs"].iter().map(|name| part[name].as_f64()).collect();
        assert!(quantiles.iter().all(|quantile| quantile.is_some_and(|ms| ms > 0.0)), "{part:#}");
        assert!(quantiles.is_sorted(), "{part:#}");
        let counts = part["buckets"].as_array().expect("buckets are a list").iter().map(|bucket| &bucket["count"]);
        assert_eq!(counts.filter_map(Value::as_u64).sum::<u64>(), part["count"], "{part:#}");
    }
}

#[test]
fn every_door_and_every_refusal_is_counted() {
    let santral = Santral::start();
    let _stream = santral.greet(&format!("/api/events?session={TOKEN}"), &[]);
    assert_eq!(santral.command(TOKEN, r#"{"publish":{"channel":"a","data":1}}"#).status, 200);
    assert_refused(&santral.command(TOKEN, r#"{"publish":{"channel":"!","data":1}}"#), "invalid_channel");
    assert_eq!(santral.command(TOKEN, r#"{"ping":{}}"#).status, 200);
    let keyed = post_json("/api/publish", r#"[{"channel":"a","data":1},{"channel":"b","data":2}]"#);
    let keyed = keyed.header("Idempotency-Key", "once");
    assert_eq!([send(&santral, &keyed).status, send(&santral, &keyed).status], [200, 200]);
    assert_refused(&santral.post("/api/publish", "{"), "invalid_json");
    assert_refused(&santral.post("/api/broadcast?event=hello", "1"), "invalid_event");
    assert_eq!(santral.get("/api/publish").status, 405, "no publish, so no refusal of one");
    let metrics = metrics_with(&santral, r#"santral_publish_refusals_total{door="rest",class="invalid"} 2"#);
    for line in [
        r#"santral_publish_refusals_total{door="command",class="invalid"} 1"#,
        r#"santral_publishes_total{door="command",outcome="stored"} 1"#,
        r#"santral_publishes_total{door="rest",outcome="stored"} 2"#,
        r#"santral_publishes_total{door="rest",outcome="repeated"} 2"#,
        r#"santral_publishes_total{door="rest",outcome="volatile"} 0"#,
        r#"santral_http_requests_total{method="write",status="4xx"} 3"#,
    ] {
        assert!(metrics.lines().any(|each| each == line), "no {line} in {metrics}");
    }
    let stats = stats_when(&santral, |stats| stats["messages"]["refusedTotal"] == 3);
    assert_eq!(stats["messages"]["bytesInTotal"], 3);
}

#[test]
fn the_samples_are_those_of_the_last_seconds_and_may_be_left_out() {
    let santral = Santral::start();
    let stats = stats_when(&santral, |stats| stats["samples"].as_array().is_some_and(|samples| samples.len() >= 3));
    let samples = stats["samples"].as_array().expect("samples are a list");
    let times: Vec<_> = samples.iter().map(|sample| text(&sample["at"])).collect();
    assert!(times.is_sorted() && times.windows(2).all(|pair| pair[0] != pair[1]), "{times:?}");
    assert_eq!(samples.last().map(|sample| &sample["at"]), Some(&stats["at"]));
    let without = santral.get("/api/stats?samples=0").json().expect("stats are JSON");
    assert_eq!(without.get("samples"), None);
    assert_eq!(without["node"], stats["node"]);
    for query in ["samples=2", "samples=", "ring=1", "samples=1&samples=1"] {
        assert_refused(&santral.get(&format!("/api/stats?{query}")), "invalid_query");
    }
    assert_refused(&santral.get("/metrics?names=1"), "invalid_query");
    assert_refused(&santral.get("/api/stats/stream?ring=maybe"), "invalid_query");
}

#[test]
fn the_stream_brings_the_ring_and_then_stats_each_second_until_the_server_stops() {
    let mut santral = Santral::start_with(&[("SANTRAL_DRAIN_WINDOW", "20s")]);
    let open = |path| SseClient::open(santral.address, path, &[], PATIENCE).expect("the stream opens");
    let mut with_ring = open("/api/stats/stream?ring=1");
    let mut without = open("/api/stats/stream");
    assert_eq!(with_ring.header("x-accel-buffering"), Some("no"));
    let ring = next(&mut with_ring);
    assert_eq!(ring.event_type, "ring");
    assert!(json(&ring.data)["samples"].is_array());
    santral.broadcast("1");
    for stream in [&mut with_ring, &mut without] {
        let mut before = String::new();
        let mut messages = 0;
        for _ in 0..4 {
            let event = next(stream);
            assert_eq!(event.event_type, "stats");
            let stats = json(&event.data);
            assert_eq!(stats.get("samples"), None);
            assert!(text(&stats["at"]) > before, "{before} comes before {stats:#}");
            before = text(&stats["at"]);
            messages = stats["messages"]["inTotal"].as_u64().expect("a total is a number");
        }
        assert_eq!(messages, 1);
    }
    // Somebody to say goodbye to, so that the drain takes its time and the streams end before it does.
    let _listeners: Vec<_> = (0..4).map(|_| santral.listen("/api/events")).collect();
    santral.server.signal(santral_testkit::process::Signal::TERM).expect("it can be signalled");
    with_ring.collect_to_end(deadline()).expect("the stream ends");
    assert!(with_ring.ended_cleanly());
    assert!(santral.server.is_running(), "the stream ends while the others are told");
}

#[test]
fn metrics_are_well_formed_and_complete() {
    let santral = Santral::start();
    let _listener = santral.listen("/api/events");
    santral.broadcast("1");
    let response = santral.get("/metrics");
    assert_eq!(response.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let metrics = metrics_with(&santral, "santral_deliveries_total 1");
    let exported = check_open_metrics(&metrics);
    let declared = Metrics::declarations();
    let names: BTreeSet<_> = declared.iter().map(|metric| metric.name.clone()).collect();
    assert_eq!(exported.keys().cloned().collect::<BTreeSet<_>>(), names);
    for metric in &declared {
        let Family { kind, labels } = &exported[&metric.name];
        assert_eq!(kind, metric.kind, "{}", metric.name);
        let allowed: BTreeMap<_, BTreeSet<_>> = metric
            .labels
            .iter()
            .map(|(name, values)| ((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect()))
            .collect();
        assert_eq!(labels, &allowed, "{} has exactly the values that it declares", metric.name);
    }
    let request = Request::get("/metrics").header("Accept", "text/plain;version=0.0.4;q=0.5");
    let older = send(&santral, &request);
    assert_eq!(older.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(older.text().contains("\n# TYPE santral_deliveries_total counter\n") && !older.text().contains("# EOF"));
}

/// What the checker found of a metric family.
struct Family {
    kind: String,
    /// Labels with the values that were seen; `le` is left out.
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// Checks every line against OpenMetrics 1.0, section "Overall Structure", as far as we use it.
fn check_open_metrics(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let mut seen = BTreeSet::new();
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let mut word = || words.next().unwrap_or_default().to_owned();
            let (keyword, name, rest) = (word(), word(), word());
            assert!(!rest.is_empty(), "{line}");
            match keyword.as_str() {
                "HELP" => {
                    let family = Family { kind: String::new(), labels: BTreeMap::new() };
                    assert!(families.insert(name.clone(), family).is_none(), "{name} comes twice");
                    current = name;
                }
                "TYPE" => {
                    assert!(["counter", "gauge", "histogram", "info"].contains(&rest.as_str()), "{line}");
                    assert_eq!(name, current, "{line}");
                    families.get_mut(&current).expect("HELP came first").kind = rest;
                }
                "UNIT" => assert!(name == current && name.ends_with(&format!("_{rest}")), "{line}"),
                _ => panic!("{line} is no comment of OpenMetrics"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        assert!(seen.insert(series.to_owned()), "{series} comes twice");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line} has no number"));
        let (name, labels) = series.split_once('{').map_or((series, ""), |(name, labels)| {
            (name, labels.strip_suffix('}').unwrap_or_else(|| panic!("{line} does not close its labels")))
        });
        let family = families.get_mut(&current).expect("HELP came first");
        let suffixes: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            "info" => &["_info"],
            _ => &[""],
        };
        assert!(suffixes.iter().any(|suffix| name == format!("{current}{suffix}")), "{line} in {current}");
        assert!(family.kind == "gauge" || value >= 0.0, "{line}");
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (label, quoted) = label.split_once('=').unwrap_or_else(|| panic!("{line} has a bad label"));
            let value = quoted.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            let value = value.unwrap_or_else(|| panic!("{line} has a bad label value"));
            if label != "le" {
                family.labels.entry(label.to_owned()).or_default().insert(value.to_owned());
            }
        }
    }
    check_histograms(body, &families);
    families
}

/// The buckets of each series grow up to its count.
fn check_histograms(body: &str, families: &BTreeMap<String, Family>) {
    for name in families.iter().filter(|(_, family)| family.kind == "histogram").map(|(name, _)| name) {
        let mut last: BTreeMap<String, (u64, bool)> = BTreeMap::new();
        for line in body.lines().filter_map(|line| line.strip_prefix(&format!("{name}_bucket{{"))) {
            let (labels, value) = line.rsplit_once("} ").expect("a sample has a value");
            let (le, others): (Vec<_>, Vec<_>) = labels.split(',').partition(|label| label.starts_with("le="));
            let value: u64 = value.parse().expect("a bucket counts");
            let (before, _) = last.insert(others.join(","), (value, le == ["le=\"+Inf\""])).unwrap_or_default();
            assert!(value >= before, "{name} {line}");
        }
        assert!(!last.is_empty(), "{name} has no buckets");
        for (labels, (count, is_infinite)) in last {
            let series = if labels.is_empty() { format!("{name}_count") } else { format!("{name}_count{{{labels}}}") };
            assert!(is_infinite, "{series} has no last bucket");
            assert!(body.contains(&format!("\n{series} {count}\n")), "{series} is not {count}");
        }
    }
}
