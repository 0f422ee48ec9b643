//! How the parts are put together, and what each of them learns of a change of settings.

use std::sync::Arc;

use santral_core::grants::Grants;
use tokio::sync::Notify;

use super::ServeError;
use super::recorders::Recorders;
use super::rooms;
use crate::auth::RoleGrants;
use crate::auth::issuer::IssuerOptions;
use crate::config::{Config, LiveConfig, Registration};
use crate::http::Services;
use crate::http::access::Gate;
use crate::http::edge::{Edge, EdgeOptions};
use crate::hub::{Hub, admission_limits};
use crate::service::accounts::{Accounts, AccountsOptions, Hooks};
use crate::service::blocks::Blocks;
use crate::service::openness::Openness;
use crate::service::operator::{Operator, Recorder};
use crate::service::rights;
use crate::service::settings::{Settings, SettingsHooks};
use crate::service::socketio::admin::{Admin, Logins};
use crate::service::video::VideoRooms;
use crate::store::Records;
use crate::telemetry;

/// Everything that a running server has beside its threads.
pub struct Assembly {
    /// What handlers work with.
    pub services: Services,
    /// Accounts.
    pub accounts: Arc<Accounts>,
    /// Whether everybody may do everything.
    pub openness: Arc<Openness>,
    /// Rung when roles may grant something else than before.
    pub rights_changed: Arc<Notify>,
}

/// What the watch over rights works with.
#[derive(Clone)]
pub struct Watcher {
    /// Accounts.
    pub accounts: Arc<Accounts>,
    /// Whether everybody may do everything.
    pub openness: Arc<Openness>,
    /// Rung when roles may grant something else than before.
    pub rights_changed: Arc<Notify>,
}

impl Assembly {
    /// For the watch over rights.
    pub fn watcher(&self) -> Watcher {
        Watcher {
            accounts: Arc::clone(&self.accounts),
            openness: Arc::clone(&self.openness),
            rights_changed: Arc::clone(&self.rights_changed),
        }
    }
}

/// Puts what was stored in force. Before anything reads the settings.
///
/// # Errors
/// [`ServeError::Read`].
pub fn open_settings(
    live: &Arc<LiveConfig>,
    records: &Records,
    recorders: &Recorders,
) -> Result<Arc<Settings>, ServeError> {
    let (events, accounts) = (Arc::clone(&recorders.events), records.accounts());
    let hooks = SettingsHooks {
        on_event: Box::new(move |event| events.record(event)),
        // What cannot be read is no reason to lock anybody out.
        has_admin: Box::new(move || accounts.has_admin().unwrap_or(false)),
    };
    Ok(Settings::open(Arc::clone(live), records.settings(), hooks)?)
}

/// Puts the parts together.
///
/// # Errors
/// [`ServeError`]: secrets that cannot be used, accounts or blocks that cannot be read.
pub fn assemble(
    live: &Arc<LiveConfig>,
    records: &Records,
    recorders: &Recorders,
    settings: Arc<Settings>,
    hub: &Arc<Hub>,
) -> Result<Assembly, ServeError> {
    let config = live.load();
    let events = Arc::clone(&recorders.events);
    let recorder: Recorder = Arc::new(move |event| events.record(event));
    let revoking = Arc::clone(hub);
    let admin_logins = Arc::<Logins>::default();
    let logins = Arc::clone(&admin_logins);
    let hooks = Hooks {
        on_event: Arc::clone(&recorder),
        on_revoked: Arc::new(move |revoked| {
            logins.forget(&revoked);
            let hub = Arc::clone(&revoking);
            // Use cases run on the threads of the workers, where this is driven.
            actix_rt::spawn(async move { rights::end_revoked(&hub, revoked).await });
        }),
    };
    let accounts = Arc::new(Accounts::open(records.accounts(), accounts_options(&config), hooks)?);
    configure_accounts(&accounts, &config);
    let openness = Arc::new(Openness::new(Arc::clone(live), Arc::clone(&accounts)));
    let blocks = Arc::new(Blocks::open(records.accounts(), Hub::wall_clock())?);
    let edge = Edge::new(EdgeOptions::from(&**config));
    let rights_changed = Arc::new(Notify::new());
    let gate = Gate {
        accounts: Arc::clone(&accounts),
        openness: Arc::clone(&openness),
        blocks: Arc::clone(&blocks),
        live: Arc::clone(live),
        recorder: Arc::clone(&recorder),
    };
    let operator = Arc::new(Operator { hub: Arc::clone(hub), blocks, recorder });
    let admin_ui = Admin::new(Arc::clone(&operator), Arc::clone(&accounts), admin_logins);
    let video = VideoRooms::new(
        Arc::clone(hub),
        Arc::clone(&recorders.rooms),
        records.video(),
        Arc::clone(&accounts),
        Arc::clone(&openness),
    );
    let services = Services {
        edge: Arc::clone(&edge),
        gate: Arc::new(gate),
        admin_ui: Arc::new(admin_ui),
        operator,
        settings,
        accounts: Arc::clone(&accounts),
        events: Arc::clone(&recorders.events),
        video: Arc::new(video),
    };
    let assembly = Assembly { services, accounts, openness, rights_changed };
    follow_changes(live, &assembly, recorders, hub);
    Ok(assembly)
}

/// Brings each change of settings to whoever keeps a value of its own.
fn follow_changes(live: &LiveConfig, assembly: &Assembly, recorders: &Recorders, hub: &Arc<Hub>) {
    let (accounts, edge) = (Arc::clone(&assembly.accounts), Arc::clone(&assembly.services.edge));
    let (admission, recorders) = (Arc::clone(&hub.admission), recorders.clone());
    let rights_changed = Arc::clone(&assembly.rights_changed);
    let switching = Arc::clone(hub);
    let follow = move |old: &Config, new: &Config| {
        if old.log_level != new.log_level {
            telemetry::set_filter(&new.log_level);
        }
        edge.set(EdgeOptions::from(new));
        admission.set_limits(admission_limits(new));
        recorders.configure(new);
        configure_accounts(&accounts, new);
        rights_changed.notify_one();
        let (hub, limits) = (Arc::clone(&switching), rooms::limits(new));
        actix_rt::spawn(async move { hub.switchboard.call(move |rooms, _| rooms.set_limits(limits)).await });
    };
    live.subscribe(follow).expect("fewer listen than may: all are named in this file");
}

fn configure_accounts(accounts: &Accounts, config: &Config) {
    accounts.set_registration(config.registration == Registration::Open);
    accounts.set_login_attempts(config.login_attempts_per_minute);
    accounts.authenticator.set_role_grants(role_grants(config));
    accounts.authenticator.tokens.set_lifetimes(config.access_token_lifetime, config.refresh_token_lifetime);
}

fn accounts_options(config: &Config) -> AccountsOptions {
    AccountsOptions {
        data_dir: config.data_dir.clone(),
        token_secret: config.token_secret.clone(),
        issuer: IssuerOptions {
            secret: config.issuer_secret.clone(),
            key_file: config.issuer_key_file.clone(),
            issuer: config.issuer_name.clone(),
            audience: config.issuer_audience.clone(),
        },
        role_grants: role_grants(config),
        registration_open: config.registration == Registration::Open,
    }
}

fn role_grants(config: &Config) -> RoleGrants {
    RoleGrants {
        anonymous: Arc::new(Grants {
            subscribe: config.anonymous_subscribe.clone(),
            publish: config.anonymous_publish.clone(),
            presence: config.anonymous_presence.clone(),
            rooms: config.anonymous_rooms.clone(),
        }),
        user: Arc::new(Grants {
            subscribe: config.user_subscribe.clone(),
            publish: config.user_publish.clone(),
            presence: config.user_presence.clone(),
            rooms: config.user_rooms.clone(),
        }),
    }
}
