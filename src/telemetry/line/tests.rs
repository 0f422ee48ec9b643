//! Hostile records: whatever they hold, each is one line that parses.

use serde_json::Value as Json;

use super::*;

const JSON: Style = Style { format: LogFormat::Json, coloured: false };
const TEXT: Style = Style { format: LogFormat::Text, coloured: false };

fn line(style: Style, message: &str, fields: &[(&str, Value<'_>)]) -> String {
    let time = DateTime::from_timestamp_millis(1_767_225_600_123).expect("a time that exists");
    let args = format_args!("{message}");
    style.line(time, &Record::builder().args(args).level(Level::Info).target("example").key_values(&fields).build())
}

fn parsed(line: &str) -> Json {
    serde_json::from_str(line).expect("a line is a JSON object")
}

#[test]
fn a_record_has_time_level_target_message_and_fields() {
    let fields = [("offset", Value::from(7)), ("channel", Value::from("a b")), ("open", Value::from(true))];
    assert_eq!(
        line(JSON, "hello", &fields),
        "{\"time\":\"2026-01-01T00:00:00.123Z\",\"level\":\"info\",\"target\":\"example\",\
         \"message\":\"hello\",\"offset\":7,\"channel\":\"a b\",\"open\":true}\n"
    );
    assert_eq!(
        line(TEXT, "hello", &fields),
        "2026-01-01T00:00:00.123Z INFO  example: hello offset=7 channel=\"a b\" open=true\n"
    );
}

#[test]
fn no_character_anywhere_makes_a_second_line_or_breaks_the_json() {
    for code in (0..0x100).chain([0x2028, 0x2029, 0xfeff, 0x1_f600]) {
        let character = char::from_u32(code).expect("a character");
        let hostile = format!("a{character}{{\"level\":\"error\"}}{character}\r\nb");
        let fields = [(hostile.as_str(), Value::from(hostile.as_str()))];
        for style in [JSON, TEXT] {
            let line = line(style, &hostile, &fields);
            let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            assert_eq!(line.chars().filter(|c| breaks(*c)).count(), 1, "{line:?}");
            assert!(line.ends_with('\n'));
        }
        let json = parsed(&line(JSON, &hostile, &fields));
        assert_eq!(json["message"], hostile.as_str());
        assert_eq!(json[hostile.as_str()], hostile.as_str());
        assert_eq!(json["level"], "info");
    }
}

#[test]
fn every_field_is_bounded() {
    let huge = "\u{1}\"ğ".repeat(1_000_000);
    let names: Vec<String> = (0..100).map(|index| format!("{index}{huge}")).collect();
    let fields: Vec<(&str, Value<'_>)> = names.iter().map(|name| (name.as_str(), Value::from(name.as_str()))).collect();
    for style in [JSON, TEXT] {
        let line = line(style, &huge, &fields);
        assert!(line.len() < (2 * FIELDS_MAX + 2) * (FIELD_BYTES_MAX + 16), "{}", line.len());
        if style.format == LogFormat::Json {
            assert!(parsed(&line)["message"].as_str().is_some_and(|message| message.ends_with('…')));
        }
    }
    let exact = "a".repeat(FIELD_BYTES_MAX);
    assert_eq!(parsed(&line(JSON, &exact, &[]))["message"], exact.as_str());
}

#[test]
fn a_field_cannot_pass_for_another() {
    let fields =
        [("level", Value::from("error")), ("time", Value::from(1)), ("x", Value::from(1)), ("x", Value::from(2))];
    let text = line(JSON, "m", &fields);
    for key in ["level", "time", "x"] {
        assert_eq!(text.matches(&format!("\"{key}\":")).count(), 1, "{text}");
    }
    assert_eq!(parsed(&text)["level_"], "error");
    assert_eq!(parsed(&text)["x_"], 2);
}

#[test]
fn numbers_that_json_cannot_write_are_text() {
    let fields = [("nan", Value::from(f64::NAN)), ("big", Value::from(u128::MAX)), ("none", Value::from_debug(&()))];
    let json = parsed(&line(JSON, "m", &fields));
    assert_eq!(json["nan"], "NaN");
    assert_eq!(json["big"], u128::MAX.to_string());
    assert_eq!(json["none"], "()");
}

#[test]
fn secrets_are_masked_in_messages_and_fields() {
    let fields = [
        ("Authorization", Value::from("Bearer hunter2")),
        ("session_token", Value::from("hunter2")),
        ("path", Value::from("/api/events?ticket=hunter2&x=1")),
    ];
    for style in [JSON, TEXT] {
        let line = line(style, "GET /api/events?token=hunter2 HTTP/1.1", &fields);
        assert!(!line.contains("hunter2"), "{line}");
        assert_eq!(line.matches(MASK).count(), 4, "{line}");
    }
}

#[test]
fn only_the_level_is_coloured() {
    let line = line(Style { coloured: true, ..TEXT }, "\u{1b}[31mred", &[]);
    assert!(line.starts_with("2026-01-01T00:00:00.123Z \u{1b}[32mINFO\u{1b}[0m  example: \\u{1b}[31mred"), "{line}");
}
