//! Settings that change while the server runs: checked, stored, in force, recorded, in this order.
//!
//! Changes go one by one, so the history has them in the order in which they came into force. What
//! is stored holds on this node from now on and on every node from its next start.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use santral_core::entry::Timestamp;
use santral_core::limits::{LISTING_ITEMS, LISTING_ITEMS_MAX, SETTING_DESCRIPTION_BYTES_MAX, SHOWN, ShownLimit};
use santral_schema::event_log::EventType;
use santral_schema::settings::{
    FixedLimit, SettingChange, SettingHistory, SettingHistoryItem, SettingItem, SettingList, SettingSource,
    SettingValue,
};

use super::Refusal;
use crate::auth::Principal;
use crate::config::{Change, LiveConfig, SettingError};
use crate::hub::Hub;
use crate::ports::event_log::NewEvent;
use crate::ports::settings::{SettingsStore, StoredSetting};
use crate::ports::store::StoreError;

/// What settings need from elsewhere.
pub struct SettingsHooks {
    /// Records what happened; must not block.
    pub on_event: Box<dyn Fn(NewEvent) + Send + Sync>,
    /// Whether somebody could sign in and undo a change; may block.
    pub has_admin: Box<dyn Fn() -> bool + Send + Sync>,
}

/// See the module.
pub struct Settings {
    live: Arc<LiveConfig>,
    store: Arc<dyn SettingsStore>,
    hooks: SettingsHooks,
    /// Held from the check to the record of a change.
    turn: Mutex<()>,
    /// Who changed what is in force, and why.
    authors: ArcSwap<BTreeMap<String, Author>>,
}

/// Who changed a setting, when and why.
#[derive(Debug, Clone)]
struct Author {
    name: Option<String>,
    at: Timestamp,
    description: Option<String>,
}

impl Settings {
    /// Puts what is stored in force, unless the operator starts without it. Blocking.
    ///
    /// What is stored and no longer valid is skipped with a warning: a server that was upgraded
    /// must start.
    ///
    /// # Errors
    /// [`StoreError`] when the stored settings cannot be read.
    pub fn open(
        live: Arc<LiveConfig>,
        store: Arc<dyn SettingsStore>,
        hooks: SettingsHooks,
    ) -> Result<Arc<Self>, StoreError> {
        let settings = Self { live, store, hooks, turn: Mutex::default(), authors: ArcSwap::default() };
        if settings.live.load().ignore_stored_settings {
            log::warn!("what the API has set is ignored, as the start says (ignore_stored_settings)");
            return Ok(Arc::new(settings));
        }
        for stored in settings.store.settings()? {
            settings.restore(stored);
        }
        Ok(Arc::new(settings))
    }

    fn restore(&self, stored: StoredSetting) {
        let value = serde_json::from_str::<Value>(&stored.value_json).unwrap_or_default();
        // Whoever set it was asked then.
        match self.live.prepare(&stored.key, Some(&value), &|| true) {
            Ok(change) => {
                let author = Author { name: stored.updated_by, at: stored.updated_at, description: stored.description };
                self.put_in_force(change, Some(author));
            }
            Err(error) => log::warn!(key = stored.key.as_str(); "a stored setting is skipped: {error}"),
        }
    }

    /// Every setting, and the fixed bounds that clients meet.
    #[must_use]
    pub fn list(&self) -> SettingList {
        let settings = self.live.items().into_iter().map(|item| self.with_author(item)).collect();
        SettingList { settings, limits: SHOWN.iter().map(fixed_limit).collect() }
    }

    /// One setting.
    ///
    /// # Errors
    /// [`SettingError::Unknown`].
    pub fn get(&self, key: &str) -> Result<SettingItem, Refusal> {
        Ok(self.with_author(self.live.item(key)?))
    }

    /// Changes a setting. In force, and on the disk, when this returns.
    ///
    /// # Errors
    /// [`Refusal::Setting`] and [`Refusal::Database`]; the old value holds.
    pub async fn set(self: &Arc<Self>, caller: &Principal, change: SettingChange) -> Result<SettingItem, Refusal> {
        let description = change.description.filter(|text| !text.is_empty());
        if description.as_ref().is_some_and(|text| text.len() > SETTING_DESCRIPTION_BYTES_MAX) {
            return Err(Refusal::DescriptionTooLong);
        }
        self.change(caller, change.key, Some(change.value), description).await
    }

    /// Goes back to what flag, environment, file or default say.
    ///
    /// # Errors
    /// As [`Settings::set`].
    pub async fn remove(self: &Arc<Self>, caller: &Principal, key: String) -> Result<SettingItem, Refusal> {
        self.change(caller, key, None, None).await
    }

    /// Changes, newest first, of one setting or of all; `cursor` is that of the page before.
    ///
    /// # Errors
    /// [`Refusal::Cursor`], [`SettingError::Unknown`] and [`Refusal::Database`].
    pub async fn history(
        &self,
        key: Option<String>,
        cursor: Option<String>,
        limit: Option<usize>,
    ) -> Result<SettingHistory, Refusal> {
        if let Some(key) = &key {
            self.live.item(key)?;
        }
        let before = cursor.map(parse_cursor).transpose()?;
        let limit = limit.unwrap_or(LISTING_ITEMS).clamp(1, LISTING_ITEMS_MAX);
        let store = Arc::clone(&self.store);
        // One more than asked for tells whether there is another page.
        let read = move || store.setting_history(key.as_deref(), before, limit + 1);
        let mut changes =
            actix_rt::task::spawn_blocking(read).await.map_err(|_| Refusal::Stopped)?.map_err(Refusal::Database)?;
        let has_more = changes.len() > limit;
        changes.truncate(limit);
        let cursor = changes.last().filter(|_| has_more).map(|last| last.id.to_string());
        let changes = changes.into_iter().map(|change| SettingHistoryItem {
            id: change.id,
            key: change.key,
            old: change.old_value_json.as_deref().map(shown),
            new: change.new_value_json.as_deref().map(shown),
            description: change.description,
            changed_by: change.changed_by,
            changed_at: change.changed_at.to_rfc3339(),
        });
        Ok(SettingHistory { changes: changes.collect(), cursor })
    }

    async fn change(
        self: &Arc<Self>,
        caller: &Principal,
        key: String,
        value: Option<Value>,
        description: Option<String>,
    ) -> Result<SettingItem, Refusal> {
        let settings = Arc::clone(self);
        let name = Some(caller.name.to_string()).filter(|name| !name.is_empty());
        let author = Author { name, at: Hub::wall_clock(), description };
        // A task of its own: a client that goes away in between must not leave a change that is
        // stored and not in force.
        let work = async move {
            let _turn = settings.turn.lock().await;
            let preparing = Arc::clone(&settings);
            let stored_author = author.clone();
            let store = move || preparing.check_and_store(&key, value.as_ref(), &stored_author);
            let (change, is_change) = actix_rt::task::spawn_blocking(store).await.map_err(|_| Refusal::Stopped)??;
            let (key, is_set) = (change.key(), change.is_set());
            let event = is_change.then(|| event(&change, &author));
            settings.put_in_force(change, is_set.then_some(author));
            if let Some(event) = event {
                (settings.hooks.on_event)(event);
            }
            settings.get(key)
        };
        actix_rt::spawn(work).await.unwrap_or(Err(Refusal::Stopped))
    }

    /// Blocking. The change, and whether it changed what is stored.
    fn check_and_store(&self, key: &str, value: Option<&Value>, author: &Author) -> Result<(Change, bool), Refusal> {
        let change = self.live.prepare(key, value, &*self.hooks.has_admin)?;
        let stored = match &change.new {
            Some(value) if change.is_set() => {
                let setting = StoredSetting {
                    key: key.to_owned(),
                    value_json: serde_json::to_string(value).expect("a value has no failing serializer"),
                    description: author.description.clone(),
                    updated_by: author.name.clone(),
                    updated_at: author.at,
                };
                self.store.put_setting(&setting).map(|()| true)
            }
            Some(_) | None => self.store.remove_setting(key, author.name.as_deref(), author.at),
        };
        Ok((change, stored.map_err(Refusal::Database)?))
    }

    fn put_in_force(&self, change: Change, author: Option<Author>) {
        let mut authors = BTreeMap::clone(&self.authors.load());
        match author {
            Some(author) => _ = authors.insert(change.key().to_owned(), author),
            None => _ = authors.remove(change.key()),
        }
        self.live.apply(change);
        self.authors.store(Arc::new(authors));
    }

    fn with_author(&self, item: SettingItem) -> SettingItem {
        let authors = self.authors.load();
        let Some(author) = authors.get(&item.key).filter(|_| item.source == SettingSource::Database) else {
            return item;
        };
        SettingItem {
            changed_by: author.name.clone(),
            changed_at: Some(author.at.to_rfc3339()),
            change_description: author.description.clone(),
            ..item
        }
    }
}

impl From<SettingError> for Refusal {
    fn from(error: SettingError) -> Self {
        Self::Setting(error)
    }
}

fn event(change: &Change, author: &Author) -> NewEvent {
    let key = change.key();
    let verb = if change.is_set() { "was changed" } else { "went back to its default" };
    let details = json!({
        "key": key,
        "old": change.old,
        "new": change.new,
        "description": author.description,
    });
    NewEvent {
        at: author.at,
        level: EventType::SettingChanged.level(),
        kind: EventType::SettingChanged,
        actor: author.name.clone(),
        message: format!("setting {key} {verb}"),
        details_json: Some(details.to_string()),
        request_id: None,
    }
}

/// Reads the id of a change, written as it was given: in digits alone.
fn parse_cursor(text: String) -> Result<i64, Refusal> {
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    let id = if is_decimal { text.parse().ok() } else { None };
    id.ok_or(Refusal::Cursor(text))
}

/// A stored value for the history, whatever an earlier release stored.
fn shown(json: &str) -> SettingValue {
    serde_json::from_str(json).unwrap_or_else(|_| SettingValue::Text(json.to_owned()))
}

fn fixed_limit(limit: &ShownLimit) -> FixedLimit {
    FixedLimit {
        name: limit.name.to_lowercase(),
        value: limit.value,
        unit: limit.unit.to_owned(),
        reason: limit.reason.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use parking_lot::Mutex as Lock;
    use santral_core::grants::Grants;

    use super::*;
    use crate::config::{Inputs, load};
    use crate::ports::settings::SettingChange as StoredChange;

    /// Keeps rows as the database does.
    #[derive(Default)]
    struct Rows {
        settings: Lock<BTreeMap<String, StoredSetting>>,
        history: Lock<Vec<StoredChange>>,
        fails: AtomicBool,
    }

    impl Rows {
        fn note(&self, key: &str, old: Option<String>, new: Option<&StoredSetting>) {
            let mut history = self.history.lock();
            let id = history.len() as i64 + 1;
            history.push(StoredChange {
                id,
                key: key.to_owned(),
                old_value_json: old,
                new_value_json: new.map(|setting| setting.value_json.clone()),
                description: new.and_then(|setting| setting.description.clone()),
                changed_by: new.and_then(|setting| setting.updated_by.clone()),
                changed_at: Timestamp(id),
            });
        }
    }

    impl SettingsStore for Rows {
        fn settings(&self) -> Result<Vec<StoredSetting>, StoreError> {
            Ok(self.settings.lock().values().cloned().collect())
        }

        fn put_setting(&self, setting: &StoredSetting) -> Result<(), StoreError> {
            if self.fails.load(Ordering::Relaxed) {
                return Err(StoreError::Full);
            }
            let mut settings = self.settings.lock();
            let old = settings.insert(setting.key.clone(), setting.clone());
            self.note(&setting.key, old.map(|old| old.value_json), Some(setting));
            let is_slow = self.history.lock().len() % 2 == 1;
            drop(settings);
            // Every other change tarries between its row and coming into force.
            if is_slow {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            Ok(())
        }

        fn remove_setting(&self, key: &str, _: Option<&str>, _: Timestamp) -> Result<bool, StoreError> {
            let Some(old) = self.settings.lock().remove(key) else { return Ok(false) };
            self.note(key, Some(old.value_json), None);
            Ok(true)
        }

        fn setting_history(
            &self,
            key: Option<&str>,
            before: Option<i64>,
            limit: usize,
        ) -> Result<Vec<StoredChange>, StoreError> {
            let history = self.history.lock();
            let fits = |change: &&StoredChange| {
                key.is_none_or(|key| key == change.key) && before.is_none_or(|before| change.id < before)
            };
            Ok(history.iter().rev().filter(fits).take(limit).cloned().collect())
        }
    }

    struct Fixture {
        rows: Arc<Rows>,
        events: Arc<Lock<Vec<NewEvent>>>,
        settings: Arc<Settings>,
    }

    fn open(rows: &Arc<Rows>, flags: &[(&str, &str)]) -> Fixture {
        let inputs = Inputs {
            flags: flags.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect(),
            file: None,
            environment: Vec::new(),
            folder: "/nonexistent".into(),
            descriptors: 1_024,
        };
        let live = Arc::new(LiveConfig::new(load(&inputs).expect("the test's flags are valid")));
        let events = Arc::<Lock<Vec<NewEvent>>>::default();
        let recorded = Arc::clone(&events);
        let hooks = SettingsHooks {
            on_event: Box::new(move |event| recorded.lock().push(event)),
            has_admin: Box::new(|| false),
        };
        let store: Arc<dyn SettingsStore> = Arc::<Rows>::clone(rows);
        let settings = Settings::open(live, store, hooks).expect("the rows can be read");
        Fixture { rows: Arc::clone(rows), events, settings }
    }

    fn admin() -> Principal {
        Principal { name: "user:ada".into(), ..Principal::anonymous(Grants::all()) }
    }

    fn order(key: &str, value: Value) -> SettingChange {
        SettingChange { key: key.to_owned(), value, description: Some("because".to_owned()) }
    }

    fn heartbeat(settings: &Settings) -> u64 {
        settings.live.load().heartbeat.as_secs()
    }

    #[test]
    fn a_change_is_stored_in_force_and_recorded_and_holds_after_a_restart() {
        actix_rt::System::new().block_on(async {
            let Fixture { rows, events, settings } = open(&Arc::default(), &[]);
            let item = settings.set(&admin(), order("heartbeat", json!("20"))).await.expect("in range");
            assert_eq!(item.value, Some(SettingValue::Text("20s".to_owned())));
            assert_eq!(
                (item.changed_by.as_deref(), item.change_description.as_deref()),
                (Some("user:ada"), Some("because"))
            );
            assert_eq!(heartbeat(&settings), 20);
            let event = events.lock().pop().expect("the change is recorded");
            assert_eq!((event.kind, event.actor.as_deref()), (EventType::SettingChanged, Some("user:ada")));
            let details = r#"{"description":"because","key":"heartbeat","new":"20s","old":"25s"}"#;
            assert_eq!(event.details_json.as_deref(), Some(details));

            let again = open(&rows, &[("heartbeat", "13")]);
            assert_eq!(heartbeat(&again.settings), 20);
            assert_eq!(
                again.settings.get("heartbeat").expect("a setting"),
                SettingItem { default: Some(SettingValue::Text("13s".to_owned())), ..item }
            );
            let item = again.settings.remove(&admin(), "heartbeat".to_owned()).await.expect("going back");
            assert_eq!((item.source, item.changed_by, heartbeat(&again.settings)), (SettingSource::Flag, None, 13));
            assert_eq!(heartbeat(&open(&rows, &[]).settings), 25);
            // Nothing is stored any more, so nothing changes and nothing is recorded.
            let recorded = again.events.lock().len();
            again.settings.remove(&admin(), "heartbeat".to_owned()).await.expect("going back");
            assert_eq!((again.events.lock().len(), rows.history.lock().len()), (recorded, 2));
        });
    }

    #[test]
    fn what_is_refused_or_cannot_be_stored_changes_nothing() {
        actix_rt::System::new().block_on(async {
            let Fixture { rows, events, settings } = open(&Arc::default(), &[]);
            let caller = admin();
            let set = async |key: &str, value: Value| settings.set(&caller, order(key, value)).await.err();
            assert!(matches!(set("heartbeat", json!(0)).await, Some(Refusal::Setting(SettingError::Invalid { .. }))));
            assert!(matches!(
                set("open", json!(false)).await,
                Some(Refusal::Setting(SettingError::WouldLockOut { .. }))
            ));
            assert!(matches!(
                set("workers", json!(2)).await,
                Some(Refusal::Setting(SettingError::NeedsRestart { .. }))
            ));
            rows.fails.store(true, Ordering::Relaxed);
            assert_eq!(set("heartbeat", json!(20)).await, Some(Refusal::Database(StoreError::Full)));
            let long = SettingChange { description: Some("x".repeat(1_001)), ..order("heartbeat", json!(20)) };
            assert_eq!(settings.set(&caller, long).await, Err(Refusal::DescriptionTooLong));
            assert_eq!((heartbeat(&settings), events.lock().len(), rows.history.lock().len()), (25, 0, 0));
        });
    }

    #[test]
    fn a_stored_value_that_is_no_longer_valid_is_skipped() {
        actix_rt::System::new().block_on(async {
            let rows = Arc::<Rows>::default();
            for (key, value_json) in
                [("heartbeat", "9999"), ("gone", "1"), ("retention_messages", "{"), ("connections_per_user", "7")]
            {
                let setting = StoredSetting {
                    key: key.to_owned(),
                    value_json: value_json.to_owned(),
                    description: None,
                    updated_by: None,
                    updated_at: Timestamp(1),
                };
                rows.put_setting(&setting).expect("rows take everything");
            }
            let Fixture { settings, .. } = open(&rows, &[]);
            assert_eq!((heartbeat(&settings), settings.live.load().connections_per_user), (25, 7));
            // An operator who is locked out starts without what is stored, and can remove it.
            let Fixture { settings, events, .. } = open(&rows, &[("ignore_stored_settings", "true")]);
            assert_eq!(settings.live.load().connections_per_user, 50);
            settings.remove(&admin(), "connections_per_user".to_owned()).await.expect("it is stored");
            assert_eq!((events.lock().len(), rows.settings.lock().contains_key("connections_per_user")), (1, false));
        });
    }

    #[test]
    fn concurrent_changes_come_into_force_in_the_order_of_the_history() {
        actix_rt::System::new().block_on(async {
            let Fixture { rows, events, settings } = open(&Arc::default(), &[]);
            let caller = admin();
            let sets = (1..=40).map(|seconds| settings.set(&caller, order("heartbeat", json!(seconds))));
            for result in futures_util::future::join_all(sets).await {
                result.expect("in range");
            }
            let history = rows.history.lock().clone();
            assert_eq!(history.len(), 40);
            for pair in history.windows(2) {
                assert_eq!(pair[0].new_value_json, pair[1].old_value_json);
            }
            let last = history.last().and_then(|change| change.new_value_json.clone());
            assert_eq!(last, Some(format!("\"{}\"", span(heartbeat(&settings)))));
            let recorded: Vec<String> = events.lock().iter().filter_map(|event| event.details_json.clone()).collect();
            for (event, change) in recorded.iter().zip(&history) {
                let details: Value = serde_json::from_str(event).expect("details are JSON");
                assert_eq!(Some(details["new"].to_string()), change.new_value_json);
            }
        });
    }

    #[test]
    fn a_caller_who_goes_away_leaves_nothing_half_done() {
        actix_rt::System::new().block_on(async {
            let Fixture { rows, events, settings } = open(&Arc::default(), &[]);
            let caller = admin();
            let mut set = Box::pin(settings.set(&caller, order("heartbeat", json!(20))));
            assert!(futures_util::poll!(set.as_mut()).is_pending());
            drop(set);
            // The next change comes behind the one that was begun.
            settings.set(&caller, order("connections_per_user", json!(7))).await.expect("in range");
            assert_eq!((heartbeat(&settings), events.lock().len(), rows.history.lock().len()), (20, 2, 2));
        });
    }

    #[test]
    fn the_history_comes_in_pages() {
        actix_rt::System::new().block_on(async {
            let Fixture { settings, .. } = open(&Arc::default(), &[]);
            for seconds in 1..=5 {
                settings.set(&admin(), order("heartbeat", json!(seconds))).await.expect("in range");
            }
            settings.set(&admin(), order("connections_per_user", json!(7))).await.expect("in range");
            let (mut cursor, mut seen) = (None, Vec::new());
            loop {
                let page = settings.history(Some("heartbeat".to_owned()), cursor, Some(2)).await.expect("a page");
                assert!(page.changes.len() <= 2);
                seen.extend(page.changes.into_iter().filter_map(|change| change.new));
                cursor = page.cursor;
                if cursor.is_none() {
                    break;
                }
            }
            let expected = [5, 4, 3, 2, 1].map(|seconds| SettingValue::Text(span(seconds)));
            assert_eq!(seen, expected);
            assert!(matches!(settings.history(None, Some("x".to_owned()), None).await, Err(Refusal::Cursor(_))));
            assert!(settings.history(Some("gone".to_owned()), None, None).await.is_err());
        });
    }

    fn span(seconds: u64) -> String {
        format!("{seconds}s")
    }
}
