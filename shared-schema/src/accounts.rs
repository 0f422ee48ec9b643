//! Accounts, sign-in, API keys and tickets. Types that carry a secret have no `Debug`.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::access::Role;
use crate::grammar;

/// Body of `POST /auth/register` and `POST /auth/login`.
#[derive(Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    /// The name of the account; capitals and white space around it make no difference.
    pub name: String,
    /// The password.
    pub password: String,
}

/// What somebody gets who has signed in.
#[derive(Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignedIn {
    /// For the header `Authorization: Bearer`.
    pub access_token: String,
    /// How the access token is used.
    pub token_type: TokenType,
    /// Seconds for which the access token is good.
    pub expires_in: u64,
    /// Good once: for the next access token and the next refresh token.
    pub refresh_token: String,
    /// Who has signed in.
    pub user: Account,
}

/// How an access token is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS, ToSchema)]
pub enum TokenType {
    /// By whoever bears it (RFC 6750).
    Bearer,
}

/// Body of `POST /auth/refresh`.
#[derive(Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefreshRequest {
    /// The refresh token that came last.
    pub refresh_token: String,
}

/// Body of `POST /auth/logout`.
#[derive(Default, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogoutRequest {
    /// A refresh token of the login that ends; without one it is that of the bearer token.
    #[serde(default)]
    #[ts(optional)]
    pub refresh_token: Option<String>,
}

/// Body of `POST /auth/password`.
#[derive(Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasswordChange {
    /// The present password.
    pub current: String,
    /// The next one.
    #[schema(min_length = 8, max_length = 128, examples("violet-anchor-9-paper"))]
    pub new: String,
}

/// Body of `POST /api/setup`.
#[derive(Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetupRequest {
    /// The token that the server printed when it started.
    pub token: String,
    /// The name of the first admin.
    pub name: String,
    /// Their password.
    #[schema(min_length = 8, max_length = 128, examples("violet-anchor-9-paper"))]
    pub password: String,
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Names the user for ever.
    pub id: String,
    /// What the user signs in with, in lower case.
    pub name: String,
    /// What the user may do in general.
    pub role: Role,
    /// Whether the account may not sign in.
    pub disabled: bool,
    /// When it was created, RFC 3339.
    pub created_at: String,
}

/// Answer of `GET /auth/me`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// The principal: `user:<id>`, `key:<id>`, `jwt:<sub>`, or empty for nobody in particular.
    pub principal: String,
    /// The user, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub user: Option<String>,
    /// The name of the account, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub name: Option<String>,
    /// What the principal may do in general.
    pub role: Role,
    /// Which channels the principal has a right to.
    pub grants: GrantPatterns,
    /// The address that the request came from, as far as the server can tell.
    pub address: String,
    /// When the right ends, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub expires_at: Option<String>,
}

/// Channels that somebody has a right to: names, or prefixes with a star behind them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantPatterns {
    /// To follow, and to read the history of.
    #[serde(default)]
    #[ts(as = "Option<Vec<String>>", optional)]
    #[schema(value_type = Vec<grammar::Selector>)]
    pub subscribe: Vec<String>,
    /// To publish to.
    #[serde(default)]
    #[ts(as = "Option<Vec<String>>", optional)]
    #[schema(value_type = Vec<grammar::Selector>)]
    pub publish: Vec<String>,
    /// To see who follows them.
    #[serde(default)]
    #[ts(as = "Option<Vec<String>>", optional)]
    #[schema(value_type = Vec<grammar::Selector>)]
    pub presence: Vec<String>,
    /// Video rooms to enter.
    #[serde(default)]
    #[ts(as = "Option<Vec<String>>", optional)]
    #[schema(value_type = Vec<grammar::Selector>)]
    pub rooms: Vec<String>,
}

/// Answer of `GET /api/users`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountList {
    /// In the order of their names.
    pub users: Vec<Account>,
    /// Where the next page starts; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cursor: Option<String>,
}

/// Body of `POST /api/users`.
#[derive(Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewAccount {
    /// What the user will sign in with.
    pub name: String,
    /// The first password.
    #[schema(min_length = 8, max_length = 128, examples("violet-anchor-9-paper"))]
    pub password: String,
    /// What the user may do in general; `user` if it is left out.
    #[serde(default)]
    #[ts(optional)]
    pub role: Option<Role>,
}

/// Body of `PATCH /api/users/{id}`: what is left out stays as it is. Ends all logins of the account.
#[derive(Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccountChange {
    /// Another role.
    #[serde(default)]
    #[ts(optional)]
    pub role: Option<Role>,
    /// Whether the account may not sign in.
    #[serde(default)]
    #[ts(optional)]
    pub disabled: Option<bool>,
    /// Another password.
    #[serde(default)]
    #[ts(optional)]
    #[schema(min_length = 8, max_length = 128, examples("violet-anchor-9-paper"))]
    pub password: Option<String>,
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyItem {
    /// Names the key; no secret.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What its holder may do in general.
    pub role: Role,
    /// Which channels its holder has a right to.
    pub grants: GrantPatterns,
    /// The principal who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub created_by: Option<String>,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// When it ends, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub expires_at: Option<String>,
}

/// Answer of `GET /api/keys`.
#[derive(Debug, Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyList {
    /// The oldest first.
    pub keys: Vec<ApiKeyItem>,
}

/// Body of `POST /api/keys`.
#[derive(Debug, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewApiKey {
    /// What it is for.
    pub name: String,
    /// What its holder may do in general; `publisher` if it is left out.
    #[serde(default)]
    #[ts(optional)]
    pub role: Option<Role>,
    /// Which channels its holder has a right to; all that the role gives if it is left out.
    #[serde(default)]
    #[ts(optional)]
    pub grants: Option<GrantPatterns>,
    /// Seconds until it ends; for ever if it is left out.
    #[serde(default)]
    #[ts(optional)]
    #[schema(minimum = 1)]
    pub expires_in: Option<u64>,
}

/// Answer of `POST /api/keys`: the only time that the key is shown.
#[derive(Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedApiKey {
    /// The whole key.
    pub key: String,
    /// The key as the list shows it.
    pub item: ApiKeyItem,
}

/// Body of `POST /api/tickets`.
#[derive(Debug, Default, Deserialize, TS, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TicketRequest {
    /// The only channels and prefixes that a stream with this ticket may follow.
    #[serde(default)]
    #[ts(optional)]
    #[schema(value_type = Option<Vec<grammar::Selector>>)]
    pub channels: Option<Vec<String>>,
}

/// Answer of `POST /api/tickets`.
#[derive(Serialize, TS, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// Good once, as the query parameter `ticket`.
    pub ticket: String,
    /// Seconds for which it is good.
    pub expires_in: u64,
}
