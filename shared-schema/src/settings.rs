//! Settings: what they are, how they look in JSON, and who changed them.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// What the values of a setting are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SettingKind {
    /// A whole number, as a JSON number.
    Integer,
    /// A time span, as text: a number with s, m, h or d.
    Duration,
    /// `true` or `false`.
    Boolean,
    /// One of a few words.
    Choice,
    /// Text.
    String,
    /// A list of texts.
    List,
    /// Text that is never shown.
    Secret,
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(untagged)]
pub enum SettingValue {
    /// Of a switch.
    Boolean(bool),
    /// A count, a number of bytes.
    Integer(u64),
    /// Everything else that is one thing: text, a word, a time span like `25s`.
    Text(String),
    /// Of a list.
    List(Vec<String>),
}

/// Where the value in force came from; the first of these that says something holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SettingSource {
    /// It was changed while the server ran, and is kept.
    Database,
    /// A flag of the command line.
    Flag,
    /// An environment variable.
    Environment,
    /// The file.
    File,
    /// Nobody said anything.
    Default,
}

/// One setting: what holds, and what else could.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingItem {
    /// Its name.
    pub key: String,
    /// What holds; absent where nothing is set and for secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub value: Option<SettingValue>,
    /// What holds without a change: what `DELETE` goes back to. Absent like `value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub default: Option<SettingValue>,
    /// Whether there is a value: all that is said of a secret.
    pub is_set: bool,
    /// What the machine allows of the value, where that is less.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub in_force: Option<SettingValue>,
    /// Where the value came from.
    pub source: SettingSource,
    /// What its values are.
    pub kind: SettingKind,
    /// Of what a number counts, in the plural.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub unit: Option<String>,
    /// The least value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub min: Option<SettingValue>,
    /// The greatest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub max: Option<SettingValue>,
    /// The words of a choice, or of a list of choices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<String>>")]
    pub choices: Vec<String>,
    /// What its values look like, in words, with range and unit.
    pub expected: String,
    /// What it means.
    pub description: String,
    /// Whether it can be set at a start only, by flag, environment or file.
    pub restart_needed: bool,
    /// Who changed it last, where the value is from the database and somebody said who they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub changed_by: Option<String>,
    /// When, where the value is from the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub changed_at: Option<String>,
    /// Why, in the words of whoever changed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub change_description: Option<String>,
}

/// Answer of `GET /api/settings`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingList {
    /// Every setting.
    pub settings: Vec<SettingItem>,
    /// The fixed bounds that clients meet.
    pub limits: Vec<FixedLimit>,
}

/// A bound that no setting changes.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FixedLimit {
    /// Its name.
    pub name: String,
    /// Its value.
    #[ts(type = "number")]
    pub value: u64,
    /// Of what.
    pub unit: String,
    /// What it bounds, and why there.
    pub reason: String,
}

/// Body of `POST /api/settings`.
#[derive(Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettingChange {
    /// The setting's name.
    #[schema(examples("heartbeat"))]
    pub key: String,
    /// Its new value. The text that a flag would take is understood too: `"1000"` for `1000`.
    #[ts(type = "SettingValue")]
    #[schema(value_type = SettingValue)]
    pub value: serde_json::Value,
    /// Why, for the history.
    #[serde(default)]
    #[ts(optional)]
    pub description: Option<String>,
}

/// Answer of `GET /api/settings/history`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingHistory {
    /// Changes, newest first.
    pub changes: Vec<SettingHistoryItem>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cursor: Option<String>,
}

/// One change of a setting.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SettingHistoryItem {
    /// Grows with each change.
    #[ts(type = "number")]
    pub id: i64,
    /// The setting.
    pub key: String,
    /// The value before; absent where it was not changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub old: Option<SettingValue>,
    /// The value after; absent where it went back to its default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub new: Option<SettingValue>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub description: Option<String>,
    /// Who, where somebody said who they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub changed_by: Option<String>,
    /// When.
    pub changed_at: String,
}
