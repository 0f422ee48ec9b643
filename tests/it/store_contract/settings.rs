//! Cases about settings and their history.

use std::thread;

use santral::ports::settings::{SettingChange, StoredSetting};
use santral_core::entry::Timestamp;

use super::accounts::HOSTILE;
use super::place::Place;

fn setting(key: &str, value_json: &str, at: i64) -> StoredSetting {
    StoredSetting {
        key: key.to_owned(),
        value_json: value_json.to_owned(),
        description: Some(format!("{key} at {at}")),
        updated_by: Some("user:ada".to_owned()),
        updated_at: Timestamp(at),
    }
}

fn steps(changes: &[SettingChange]) -> Vec<(&str, Option<&str>, Option<&str>)> {
    changes
        .iter()
        .map(|change| (change.key.as_str(), change.old_value_json.as_deref(), change.new_value_json.as_deref()))
        .collect()
}

pub(super) fn a_setting_is_set_changed_and_removed_and_the_history_tells(place: &Place) {
    let settings = place.open().records.settings();
    assert_eq!(settings.settings(), Ok(Vec::new()));
    for setting in [setting("b", "1", 1), setting("a", "\"x\"", 2), setting("b", "2", 3)] {
        settings.put_setting(&setting).expect("no trouble");
    }
    assert_eq!(settings.settings(), Ok(vec![setting("a", "\"x\"", 2), setting("b", "2", 3)]));
    assert_eq!(settings.remove_setting("b", Some("key:k"), Timestamp(4)), Ok(true));
    assert_eq!(settings.remove_setting("b", None, Timestamp(5)), Ok(false));
    assert_eq!(settings.settings(), Ok(vec![setting("a", "\"x\"", 2)]));
    let history = settings.setting_history(None, None, 100).expect("no trouble");
    assert_eq!(
        steps(&history),
        [("b", Some("2"), None), ("b", Some("1"), Some("2")), ("a", None, Some("\"x\"")), ("b", None, Some("1"))]
    );
    assert_eq!(
        (history[0].changed_by.as_deref(), history[0].changed_at, history[0].description.as_deref()),
        (Some("key:k"), Timestamp(4), None)
    );
    assert_eq!(history[1].description.as_deref(), Some("b at 3"));
    let of_b = settings.setting_history(Some("b"), None, 2).expect("no trouble");
    assert_eq!(of_b, [history[0].clone(), history[1].clone()]);
    let rest = settings.setting_history(Some("b"), Some(of_b[1].id), 2).expect("no trouble");
    assert_eq!(rest, [history[3].clone()]);
    for edge in [i64::MIN, -1, 0] {
        assert_eq!(settings.setting_history(None, Some(edge), 10), Ok(Vec::new()), "{edge}");
    }
    assert_eq!(settings.setting_history(None, Some(i64::MAX), 10).map(|all| all.len()), Ok(4));
}

pub(super) fn hostile_texts_in_settings_are_texts(place: &Place) {
    let settings = place.open().records.settings();
    for text in HOSTILE {
        let json = serde_json::to_string(text).expect("text serializes");
        let setting = StoredSetting { description: Some(text.to_owned()), ..setting(text, &json, 1) };
        settings.put_setting(&setting).expect("no trouble");
        assert!(settings.settings().expect("no trouble").contains(&setting), "{text:?}");
        assert_eq!(settings.remove_setting(text, Some(text), Timestamp(2)), Ok(true), "{text:?}");
    }
    settings.put_setting(&setting("a\0", r#""\u0000""#, 1)).expect("no trouble");
    let stored = &settings.settings().expect("no trouble")[0];
    assert_eq!((stored.key.as_str(), stored.value_json.as_str()), ("a\u{fffd}", r#""\u0000""#));
    assert_eq!(settings.remove_setting("a\0", None, Timestamp(2)), Ok(true));
}

pub(super) fn rows_that_are_no_settings_are_skipped(place: &Place) {
    let settings = place.open().records.settings();
    for key in ["a", "b", "c"] {
        settings.put_setting(&setting(key, "1", 1)).expect("no trouble");
    }
    place.execute("UPDATE server_settings SET value_json = '{' WHERE key = 'b'");
    place.execute("UPDATE settings_history SET new_value_json = '' WHERE key = 'b'");
    let keys: Vec<_> = settings.settings().expect("no trouble").into_iter().map(|setting| setting.key).collect();
    assert_eq!(keys, ["a", "c"]);
    let history = settings.setting_history(None, None, 2).expect("no trouble");
    assert_eq!(steps(&history), [("c", None, Some("1")), ("a", None, Some("1"))], "another takes its place");
    settings.put_setting(&setting("b", "2", 2)).expect("it is mended by being set");
    assert_eq!(settings.settings().map(|all| all.len()), Ok(3));
}

/// What one writer calls old is what the other called new.
pub(super) fn changes_of_one_setting_from_two_sides_form_one_chain(place: &Place) {
    let settings = place.open().records.settings();
    let other = place.open().records.settings();
    thread::scope(|scope| {
        for (side, store) in [(0, &settings), (1, &other)] {
            scope.spawn(move || {
                for number in 0..10 {
                    let value = format!("{}", number * 2 + side);
                    store.put_setting(&setting("a", &value, number)).expect("no trouble");
                }
            });
        }
    });
    let history = settings.setting_history(Some("a"), None, 100).expect("no trouble");
    assert_eq!(history.len(), 20);
    for pair in history.windows(2) {
        assert_eq!(pair[0].old_value_json, pair[1].new_value_json);
    }
}
