//! What holds now: cheap to read anywhere, changed as a whole while the server runs.
//!
//! A change is prepared (the whole configuration is read anew with it), stored by the caller, and
//! then applied. The caller orders changes; `service::settings` does.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use santral_core::limits::SETTING_LISTENERS_MAX;
use santral_schema::settings::{SettingItem, SettingSource, SettingValue};
use serde_json::Value;

use super::key::{Key, Reach};
use super::keys::KEYS;
use super::nearest::nearest;
use super::problem::{Origin, SettingError};
use super::resolve::{Base, Resolver};
use super::{Config, Loaded, assemble};

/// Called after each change, with the configuration before and after it.
type Listener = Arc<dyn Fn(&Config, &Config) + Send + Sync>;

/// The configuration in force.
pub struct LiveConfig {
    current: ArcSwap<Config>,
    base: Base,
    stored: ArcSwap<BTreeMap<&'static str, String>>,
    listeners: ArcSwap<Vec<Listener>>,
}

/// More listen to changes than may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {SETTING_LISTENERS_MAX} parts of the server listen to changes of settings")]
pub struct TooManyListeners;

/// A change that is allowed and not in force yet.
pub struct Change {
    key: &'static Key,
    text: Option<String>,
    config: Config,
    /// What held before; absent as in [`SettingItem`].
    pub old: Option<SettingValue>,
    /// What will hold.
    pub new: Option<SettingValue>,
}

impl Change {
    /// The setting.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.key.name
    }

    /// Whether it sets a value; else it goes back to what holds without one.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.text.is_some()
    }
}

impl LiveConfig {
    /// What was read at the start, without changes.
    #[must_use]
    pub fn new(loaded: Loaded) -> Self {
        Self {
            current: ArcSwap::from_pointee(loaded.config),
            base: loaded.base,
            stored: ArcSwap::default(),
            listeners: ArcSwap::default(),
        }
    }

    /// What holds at this moment. For a look, not for keeping: take what is needed and let go.
    #[must_use]
    pub fn load(&self) -> Guard<Arc<Config>> {
        self.current.load()
    }

    /// Calls `listener` after each change that is made from now on, with the configuration before
    /// and after it, on the thread that made it. It must not block.
    ///
    /// # Errors
    /// [`TooManyListeners`].
    pub fn subscribe(
        &self,
        listener: impl Fn(&Config, &Config) + Send + Sync + 'static,
    ) -> Result<(), TooManyListeners> {
        let listener: Listener = Arc::new(listener);
        let mut is_full = false;
        self.listeners.rcu(|listeners| {
            is_full = listeners.len() >= SETTING_LISTENERS_MAX;
            let added = (!is_full).then(|| Arc::clone(&listener));
            listeners.iter().cloned().chain(added).collect::<Vec<_>>()
        });
        if is_full { Err(TooManyListeners) } else { Ok(()) }
    }

    /// Checks a change without making it: to this value, or back to what holds without a change.
    ///
    /// `has_admin` is asked where the change could lock everybody out: whether somebody could still
    /// sign in and undo it. It may block.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn prepare(
        &self,
        key: &str,
        value: Option<&Value>,
        has_admin: &dyn Fn() -> bool,
    ) -> Result<Change, SettingError> {
        let key = find(key)?;
        if key.reach == Reach::Start {
            return Err(SettingError::NeedsRestart { key: key.name, variable: key.variable(), flag: key.flag() });
        }
        let text = value.map(|value| key.text_of(value).ok_or_else(|| invalid(key, value))).transpose()?;
        let mut stored = BTreeMap::clone(&self.stored.load());
        match &text {
            Some(text) => _ = stored.insert(key.name, text.clone()),
            None => _ = stored.remove(key.name),
        }
        // The rest has been read before, so what is wrong is this value.
        let config = assemble(&mut Resolver::with_stored(&self.base, &stored))
            .map_err(|_| invalid(key, value.unwrap_or(&Value::Null)))?;
        let closes = self.load().is_open(false) && !config.is_open(false);
        if closes && !has_admin() {
            return Err(SettingError::WouldLockOut { key: key.name });
        }
        let old = key.value(&self.text(key).0);
        let new = key.value(text.as_deref().unwrap_or_else(|| self.base.text(key).0));
        Ok(Change { key, text, config, old, new })
    }

    /// Puts a change in force, which must be the next one that was prepared.
    pub fn apply(&self, change: Change) {
        let mut stored = BTreeMap::clone(&self.stored.load());
        match change.text {
            Some(text) => _ = stored.insert(change.key.name, text),
            None => _ = stored.remove(change.key.name),
        }
        self.stored.store(Arc::new(stored));
        let new = Arc::new(change.config);
        let old = self.current.swap(Arc::clone(&new));
        for listener in self.listeners.load().iter() {
            listener(&old, &new);
        }
    }

    /// Prepares a change to the value that this text stands for, and puts it in force.
    ///
    /// # Errors
    /// See [`LiveConfig::prepare`].
    pub fn set(&self, key: &str, text: &str, has_admin: &dyn Fn() -> bool) -> Result<(), SettingError> {
        self.apply(self.prepare(key, Some(&Value::String(text.to_owned())), has_admin)?);
        Ok(())
    }

    /// Every setting, for the API; who changed it is left out.
    #[must_use]
    pub fn items(&self) -> Vec<SettingItem> {
        KEYS.iter().map(|key| self.item_of(key)).collect()
    }

    /// One setting, for the API; who changed it is left out.
    ///
    /// # Errors
    /// [`SettingError::Unknown`].
    pub fn item(&self, key: &str) -> Result<SettingItem, SettingError> {
        find(key).map(|key| self.item_of(key))
    }

    fn item_of(&self, key: &Key) -> SettingItem {
        let (text, source) = self.text(key);
        let shape = key.shape();
        let value = key.value(&text);
        SettingItem {
            key: key.name.to_owned(),
            default: key.value(self.base.text(key).0),
            is_set: value.is_some() || !text.is_empty(),
            in_force: self.allowed(key).filter(|allowed| Some(allowed) != value.as_ref()),
            value,
            source,
            kind: shape.kind,
            unit: shape.unit.map(str::to_owned),
            min: shape.min,
            max: shape.max,
            choices: shape.choices,
            expected: key.form.expected(),
            description: key.about(),
            restart_needed: key.reach == Reach::Start,
            changed_by: None,
            changed_at: None,
            change_description: None,
        }
    }

    /// What the machine makes of a value.
    fn allowed(&self, key: &Key) -> Option<SettingValue> {
        (key.name == "max_connections").then(|| SettingValue::Integer(self.load().descriptors.streams as u64))
    }

    fn text(&self, key: &Key) -> (String, SettingSource) {
        if let Some(text) = self.stored.load().get(key.name) {
            return (text.clone(), SettingSource::Database);
        }
        let (text, origin) = self.base.text(key);
        let source = match origin {
            Origin::Default => SettingSource::Default,
            Origin::File(_) => SettingSource::File,
            Origin::Environment(_) => SettingSource::Environment,
            Origin::Flag(_) => SettingSource::Flag,
            Origin::Database => SettingSource::Database,
        };
        (text.to_owned(), source)
    }
}

/// Without the values, which may be secrets.
impl fmt::Debug for LiveConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LiveConfig").finish_non_exhaustive()
    }
}

fn find(name: &str) -> Result<&'static Key, SettingError> {
    KEYS.iter().find(|key| key.name == name).ok_or_else(|| SettingError::Unknown {
        key: name.chars().take(QUOTED_CHARS_MAX).collect(),
        nearest: nearest(name, KEYS.iter().map(|key| key.name)).map(str::to_owned),
    })
}

fn invalid(key: &'static Key, value: &Value) -> SettingError {
    let text = value.to_string();
    let mut quoted: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    if quoted.len() < text.len() {
        quoted.push('…');
    }
    SettingError::Invalid { key: key.name, value: quoted, expected: key.form.expected() }
}

/// Of a wrong value, this much is quoted.
const QUOTED_CHARS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use santral_schema::settings::SettingKind;
    use serde_json::json;

    use super::super::{Inputs, OpenMode, load};
    use super::*;

    fn inputs(flags: &[(&str, &str)]) -> Inputs {
        Inputs {
            flags: flags.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect(),
            file: None,
            environment: Vec::new(),
            folder: "/nonexistent".into(),
            descriptors: 1_024,
        }
    }

    fn live(flags: &[(&str, &str)]) -> LiveConfig {
        LiveConfig::new(load(&inputs(flags)).expect("the test's flags are valid"))
    }

    /// Values that must pass and values that must not, from the declaration of a key.
    fn values(key: &Key) -> (Vec<Value>, Vec<Value>) {
        let shape = key.shape();
        let ends = |end: &Option<SettingValue>| match end {
            Some(SettingValue::Integer(number)) => *number,
            Some(SettingValue::Text(text)) => {
                // A bare number is seconds, whole ones.
                let span = super::super::forms::span_of(text).expect("a time span");
                span.as_secs() + u64::from(span.subsec_nanos() > 0)
            }
            other => panic!("{}: {other:?}", key.name),
        };
        let (mut good, mut bad) = match shape.kind {
            SettingKind::Integer | SettingKind::Duration => {
                let (min, max) = (ends(&shape.min), ends(&shape.max));
                let below = i128::from(min) - 1;
                let above = max + 1;
                let mut good = vec![json!(min), json!(max), json!(min.to_string()), json!(max.to_string())];
                let mut bad = vec![json!(below.to_string()), json!(above), json!(above.to_string()), json!(-1)];
                bad.extend([json!(true), json!([min]), json!("x"), json!(""), json!(format!(" {min}"))]);
                if shape.kind == SettingKind::Duration {
                    good.extend([json!(format!("{min}s")), json!(format!("{max}s"))]);
                    bad.push(json!(format!("{above}s")));
                } else {
                    bad.push(json!(format!("{min}s")));
                }
                (good, bad)
            }
            SettingKind::Boolean => {
                (vec![json!(true), json!("false")], vec![json!(1), json!("yes"), json!(""), json!([true])])
            }
            SettingKind::Choice => (
                shape.choices.iter().map(|word| json!(word)).collect(),
                vec![json!("nonsense"), json!(""), json!(1), json!([shape.choices[0]])],
            ),
            SettingKind::List => {
                // What stands in the default is good; where nothing stands there, a star is, save where URLs go.
                let nothing = if key.name == "webhook_urls" { "https://example.org" } else { "*" };
                let usual = key.default.shown();
                let usual = usual.split(',').next().filter(|item| !item.is_empty()).unwrap_or(nothing);
                let item = shape.choices.first().map_or(usual, String::as_str);
                (
                    vec![json!([item]), json!(item)],
                    vec![json!(1), json!(true), json!([1]), json!(["a,b"]), json!("a\nb")],
                )
            }
            SettingKind::String => (vec![json!("info")], vec![json!(1), json!(true), json!(["info"])]),
            SettingKind::Secret => (Vec::new(), Vec::new()),
        };
        good.dedup();
        bad.extend([json!(null), json!({}), json!(1.5), json!([[]])]);
        (good, bad)
    }

    #[test]
    fn every_live_key_takes_its_range_and_refuses_what_lies_beyond() {
        for key in KEYS.iter().filter(|key| key.reach == Reach::Live) {
            let live = live(&[]);
            let (good, bad) = values(key);
            for value in &good {
                let change = live.prepare(key.name, Some(value), &|| true);
                live.apply(change.unwrap_or_else(|error| panic!("{} {value}: {error}", key.name)));
                assert_eq!(live.item_of(key).source, SettingSource::Database);
            }
            let before = live.item_of(key);
            for value in &bad {
                let Err(error) = live.prepare(key.name, Some(value), &|| true) else {
                    panic!("{} takes {value}", key.name);
                };
                assert!(error.to_string().contains(&key.form.expected()), "{error}");
                assert_eq!(live.item_of(key), before, "{value}");
            }
            live.apply(live.prepare(key.name, None, &|| true).expect("going back is always allowed"));
            assert_eq!(live.item_of(key), super::tests::live(&[]).item_of(key));
        }
    }

    #[test]
    fn every_key_of_a_start_takes_its_range_and_cannot_be_changed_later() {
        for key in KEYS.iter().filter(|key| key.reach == Reach::Start) {
            let error = live(&[]).prepare(key.name, Some(&json!("x")), &|| true).err();
            assert!(matches!(error, Some(SettingError::NeedsRestart { .. })), "{}", key.name);
            if !matches!(key.shape().kind, SettingKind::Integer | SettingKind::Duration | SettingKind::Choice) {
                continue;
            }
            let (good, bad) = values(key);
            for text in good.iter().filter_map(Value::as_str) {
                assert!(load(&inputs(&[(key.name, text)])).is_ok(), "{} {text}", key.name);
            }
            for text in bad.iter().filter_map(Value::as_str) {
                assert!(load(&inputs(&[(key.name, text)])).is_err(), "{} {text}", key.name);
            }
        }
    }

    #[test]
    fn what_is_shown_of_a_value_stands_for_the_same_value() {
        for key in KEYS.iter().filter(|key| key.reach == Reach::Live) {
            let live = live(&[]);
            let shown = live.item_of(key).value.expect("what can be changed is no secret and has a value");
            let json = serde_json::to_value(&shown).expect("a value is JSON");
            live.apply(live.prepare(key.name, Some(&json), &|| true).expect("what holds is valid"));
            assert_eq!(live.item_of(key).value.as_ref(), Some(&shown), "{}", key.name);
        }
    }

    #[test]
    fn a_change_beats_the_flag_and_going_back_returns_to_it() {
        let live = live(&[("heartbeat", "13"), ("node", "n1")]);
        let node = live.load().node.clone();
        live.set("heartbeat", "20s", &|| true).expect("in range");
        let item = live.item("heartbeat").expect("a setting");
        assert_eq!((item.value, item.source), (Some(SettingValue::Text("20s".to_owned())), SettingSource::Database));
        assert_eq!(item.default, Some(SettingValue::Text("13s".to_owned())));
        assert_eq!(live.load().heartbeat.as_secs(), 20);
        live.apply(live.prepare("heartbeat", None, &|| true).expect("going back"));
        assert_eq!(live.load().heartbeat.as_secs(), 13);
        assert_eq!(live.item("heartbeat").expect("a setting").source, SettingSource::Flag);
        assert_eq!(live.load().node, node);
    }

    #[test]
    fn a_random_default_stays_what_it_was() {
        let live = live(&[]);
        let node = live.load().node.clone();
        live.set("heartbeat", "20", &|| true).expect("in range");
        assert_eq!(live.load().node, node);
        assert_eq!(live.item("node").expect("a setting").value, Some(SettingValue::Text(node)));
    }

    #[test]
    fn streams_never_exceed_what_the_open_files_allow() {
        let live = live(&[]);
        let allowed = live.load().descriptors.streams;
        live.set("max_connections", "20", &|| true).expect("in range");
        assert_eq!(live.load().descriptors.streams, 20);
        assert_eq!(live.item("max_connections").expect("a setting").in_force, None);
        live.set("max_connections", "1000000", &|| true).expect("in range");
        assert_eq!(live.load().descriptors.streams, allowed);
        let in_force = live.item("max_connections").expect("a setting").in_force;
        assert_eq!(in_force, Some(SettingValue::Integer(allowed as u64)));
    }

    #[test]
    fn nobody_locks_themselves_out() {
        let local = live(&[]);
        let refused = Err(SettingError::WouldLockOut { key: "open" });
        assert_eq!(local.set("open", "false", &|| false), refused);
        assert_eq!(local.load().open, OpenMode::Auto);
        assert_eq!(local.set("open", "true", &|| false), Ok(()));
        assert_eq!(local.set("open", "auto", &|| false), Ok(()));
        assert_eq!(local.set("open", "false", &|| true), Ok(()));
        // Closed already: other changes lock nobody out.
        assert_eq!(local.set("heartbeat", "20", &|| false), Ok(()));
        let public = live(&[("listen", "192.0.2.1:80"), ("open", "true")]);
        assert_eq!(public.set("open", "auto", &|| false), refused);
        let back = live(&[("open", "false")]);
        back.set("open", "true", &|| true).expect("an admin may");
        assert!(matches!(back.prepare("open", None, &|| false), Err(SettingError::WouldLockOut { .. })));
    }

    #[test]
    fn whether_the_server_is_open_depends_on_address_and_admin() {
        for (open, listen, without_admin, with_admin) in [
            ("auto", "127.0.0.1:80", true, false),
            ("auto", "[::1]:80", true, false),
            ("auto", "[::ffff:127.0.0.1]:80", true, false),
            ("auto", "0.0.0.0:80", false, false),
            ("auto", "192.0.2.1:80", false, false),
            ("true", "0.0.0.0:80", true, true),
            ("false", "127.0.0.1:80", false, false),
        ] {
            let live = live(&[("open", open), ("listen", listen)]);
            let is_open = (live.load().is_open(false), live.load().is_open(true));
            assert_eq!(is_open, (without_admin, with_admin), "{open} {listen}");
        }
    }

    #[test]
    fn an_unknown_name_finds_the_nearest() {
        let live = live(&[]);
        let error = live.set("max_conections", "5", &|| true).expect_err("there is no such setting");
        assert_eq!(error.to_string(), "there is no setting \"max_conections\"; did you mean max_connections?");
        assert!(live.item("colour").is_err());
    }

    #[test]
    fn secrets_are_shown_as_set_or_not() {
        let secret = "9f2c4be1a07d5386e4f1b2c3d8a97065";
        let live = live(&[("token_secret", secret), ("database_url", "postgres://ada:hunter2@db/x")]);
        let items = live.items();
        let text = serde_json::to_string(&items).expect("items are JSON");
        assert!(!text.contains(secret) && !text.contains("hunter2"), "{text}");
        let is_set = |name: &str| items.iter().find(|item| item.key == name).map(|item| item.is_set);
        assert_eq!((is_set("token_secret"), is_set("issuer_secret")), (Some(true), Some(false)));
        assert!(!format!("{:?} {live:?}", *live.load()).contains(secret));
    }

    #[test]
    fn listeners_hear_of_each_change_and_are_bounded() {
        let live = live(&[]);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&heard);
        let note = move |old: &Config, new: &Config| {
            listener.lock().expect("no panic").push((old.heartbeat.as_secs(), new.heartbeat.as_secs()));
        };
        live.subscribe(note).expect("the first");
        live.set("heartbeat", "20", &|| true).expect("in range");
        live.set("heartbeat", "0", &|| true).expect_err("out of range");
        live.set("heartbeat", "30", &|| true).expect("in range");
        assert_eq!(*heard.lock().expect("no panic"), [(25, 20), (20, 30)]);
        for _ in 1..SETTING_LISTENERS_MAX {
            live.subscribe(|_, _| ()).expect("there is room");
        }
        assert_eq!(live.subscribe(|_, _| ()), Err(TooManyListeners));
    }
}
