//! `santral token`: prints an access token, signed with the installation's own key, for scripts and tests.

use std::time::Duration;

use clap::Args;

use santral_core::limits::{ACCESS_TOKEN_LIFETIME, SUBJECT_TOKEN_LIFETIME_MAX};
use santral_schema::access::Role;

use super::create_admin::now;
use super::{CommandError, open_records, span};
use crate::auth::account_name::AccountName;
use crate::auth::secrets::{TokenKey, TokenKeyError};
use crate::auth::subject_tokens::SubjectOrder;
use crate::auth::tokens::Tokens;
use crate::config::Config;

/// What the command takes beside the settings.
#[derive(Debug, Args)]
#[group(id = "whom", required = true, args = ["user", "subject"])]
pub(super) struct TokenArguments {
    /// For the account with this name, as if it had signed in; at most for 15m
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// For somebody without an account, called so; at most for 24h, and nothing takes it back
    #[arg(long, value_name = "SUBJECT", requires = "role")]
    subject: Option<String>,
    /// What the subject may do in general: user, publisher, viewer or admin
    #[arg(long, value_name = "ROLE", conflicts_with = "user", value_parser = role)]
    role: Option<Role>,
    /// A channel, or a prefix with a star, that the subject may follow; without any, the role decides
    #[arg(long, value_name = "PATTERN", conflicts_with = "user")]
    subscribe: Vec<String>,
    /// A channel, or a prefix with a star, that the subject may publish to
    #[arg(long, value_name = "PATTERN", conflicts_with = "user")]
    publish: Vec<String>,
    /// A channel, or a prefix with a star, whose followers the subject may see
    #[arg(long, value_name = "PATTERN", conflicts_with = "user")]
    presence: Vec<String>,
    /// How long it is good
    #[arg(long, value_name = "SPAN", default_value = "15m",
          value_parser = span::parser(1..=SUBJECT_TOKEN_LIFETIME_MAX.as_secs()))]
    ttl: Duration,
}

/// The token, and a line break.
///
/// # Errors
/// [`CommandError`].
pub(super) fn run(config: &Config, arguments: &TokenArguments) -> Result<String, CommandError> {
    let token = match (&arguments.user, &arguments.subject) {
        (Some(name), _) => for_account(config, name, arguments.ttl)?,
        (None, subject) => {
            let order = SubjectOrder {
                subject: subject.clone().unwrap_or_default(),
                subscribe: arguments.subscribe.clone(),
                publish: arguments.publish.clone(),
                presence: arguments.presence.clone(),
            };
            let role = arguments.role.unwrap_or(Role::Anonymous);
            Tokens::new(&key(config)?).issue_for_subject(&order, role, arguments.ttl, now())?
        }
    };
    Ok(format!("{token}\n"))
}

fn for_account(config: &Config, name: &str, lifetime: Duration) -> Result<String, CommandError> {
    let name = AccountName::parse(name)?;
    let user = open_records(config)?.accounts().user_named(name.as_str())?;
    let user = user.ok_or_else(|| CommandError::NoAccount(name.as_str().to_owned()))?;
    if user.disabled_at.is_some() {
        return Err(CommandError::Disabled(user.name));
    }
    // No login of the store: it ends with the user's other tokens, and cannot be refreshed.
    let login = nanoid::nanoid!();
    Ok(Tokens::new(&key(config)?).issue_access_for(lifetime.min(ACCESS_TOKEN_LIFETIME), &user, &login, now()))
}

/// The key that a server with this configuration signs with.
fn key(config: &Config) -> Result<TokenKey, TokenKeyError> {
    TokenKey::open(config.token_secret.as_ref(), &config.data_dir)
}

fn role(text: &str) -> Result<Role, String> {
    let role = Role::parse(text).filter(|role| *role != Role::Anonymous);
    role.ok_or_else(|| "expected user, publisher, viewer or admin".to_owned())
}
