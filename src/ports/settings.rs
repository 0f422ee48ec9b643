//! Settings that were changed while the server ran, and who changed them.

use santral_core::entry::Timestamp;

use super::store::StoreError;

/// A setting that somebody changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSetting {
    /// Its name.
    pub key: String,
    /// Its value as JSON text.
    pub value_json: String,
    /// Why, in the words of whoever changed it.
    pub description: Option<String>,
    /// The principal who changed it.
    pub updated_by: Option<String>,
    /// When.
    pub updated_at: Timestamp,
}

/// One change in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// Grows; never used again.
    pub id: i64,
    /// The setting.
    pub key: String,
    /// Its value before; `None`: it was not set.
    pub old_value_json: Option<String>,
    /// Its value after; `None`: back to what holds without it.
    pub new_value_json: Option<String>,
    /// Why.
    pub description: Option<String>,
    /// The principal who changed it.
    pub changed_by: Option<String>,
    /// When.
    pub changed_at: Timestamp,
}

/// Where changed settings are kept. Blocking: never call it on an event loop.
pub trait SettingsStore: Send + Sync {
    /// All settings that somebody changed.
    ///
    /// # Errors
    /// [`StoreError`].
    fn settings(&self) -> Result<Vec<StoredSetting>, StoreError>;

    /// Sets a value and adds to the history, in one transaction.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed.
    fn put_setting(&self, setting: &StoredSetting) -> Result<(), StoreError>;

    /// Removes a value and adds to the history, in one transaction; `false` if there was none.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed.
    fn remove_setting(&self, key: &str, changed_by: Option<&str>, now: Timestamp) -> Result<bool, StoreError>;

    /// Changes, newest first, with a smaller id than `before`, of one key or of all.
    ///
    /// # Errors
    /// [`StoreError`].
    fn setting_history(
        &self,
        key: Option<&str>,
        before: Option<i64>,
        limit: usize,
    ) -> Result<Vec<SettingChange>, StoreError>;
}
