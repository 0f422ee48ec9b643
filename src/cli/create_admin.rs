//! `santral create-admin`: makes an account that may do everything.
//!
//! Works on the database itself, so it needs no server, no token and no network, and a server that
//! runs on the same database knows the account from then on.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use santral_core::entry::Timestamp;
use santral_schema::access::Role;
use santral_schema::event_log::EventType;

use super::{CommandError, open_records, password};
use crate::auth::account_name::AccountName;
use crate::auth::password::{PasswordError, Passwords};
use crate::config::Config;
use crate::ports::accounts::User;
use crate::ports::event_log::NewEvent;

/// What the command takes beside the settings.
#[derive(Debug, Args)]
pub(super) struct CreateAdminArguments {
    /// The name to sign in with
    #[arg(long, value_name = "NAME", default_value = "admin")]
    name: String,
    /// A file whose first line is the password, - for standard input; without it, a terminal is asked
    #[arg(long, value_name = "FILE", conflicts_with = "generate_password")]
    password_file: Option<PathBuf>,
    /// Draw a password and print it, once
    #[arg(long)]
    generate_password: bool,
}

/// Makes the account and says what to do with it.
///
/// # Errors
/// [`CommandError`]; no account was made.
pub(super) fn run(config: &Config, arguments: &CreateAdminArguments) -> Result<String, CommandError> {
    let name = AccountName::parse(&arguments.name)?;
    let accounts = open_records(config)?;
    // Before a password is asked for in vain.
    if accounts.accounts().user_named(name.as_str())?.is_some() {
        return Err(CommandError::NameTaken(name.as_str().to_owned()));
    }
    let (password, shown) = match &arguments.password_file {
        Some(path) => (password::read_file(path)?, None),
        None if arguments.generate_password => {
            let password = password::generate();
            (password.clone(), Some(password))
        }
        None => (password::ask()?, None),
    };
    let user = User {
        id: nanoid::nanoid!().into(),
        name: name.as_str().to_owned(),
        password_hash: Some(hash(name.as_str(), password)?),
        role: Role::Admin,
        token_version: 0,
        disabled_at: None,
        created_at: now(),
    };
    if !accounts.accounts().create_user(&user)? {
        return Err(CommandError::NameTaken(user.name));
    }
    // The account is there; an event log that cannot be written to is no reason to say otherwise.
    let _ = accounts.events().append(&[event(&user)]);
    let shown = shown.map(|password| format!("password: {password}\n")).unwrap_or_default();
    Ok(format!(
        "The admin {:?} can sign in now, also at a server that runs already. Where open = \"auto\" let everybody \
         in, that ends with the server's next look at the accounts.\n{shown}",
        user.name
    ))
}

fn hash(name: &str, password: String) -> Result<String, PasswordError> {
    actix_rt::System::new().block_on(async { Passwords::new()?.hash(name, password).await })
}

fn event(user: &User) -> NewEvent {
    let kind = EventType::Registered;
    NewEvent {
        at: user.created_at,
        level: kind.level(),
        kind,
        actor: None,
        message: format!("the admin {:?} was created on the command line", user.name),
        details_json: Some(format!(r#"{{"user":"{}","role":"admin"}}"#, user.id)),
        request_id: None,
    }
}

/// The time, as the store keeps it.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
