//! The use cases over a store in memory; the real ones are tried over sockets in tests/it/accounts.rs.

use parking_lot::Mutex;
use santral_core::grants::{Grants, Patterns};
use santral_core::names::ChannelName;
use santral_schema::accounts::{AccountChange, GrantPatterns, NewApiKey};

use super::memory::MemoryStore;
use super::*;
use crate::auth::Presented;
use crate::auth::password::PasswordFault;

const PASSWORD: &str = "kiraz-Tren-42-mavi";
const OTHER_PASSWORD: &str = "limon-Vapur-17-yeşil";

struct World {
    accounts: Accounts,
    store: Arc<MemoryStore>,
    events: Arc<Mutex<Vec<NewEvent>>>,
    revoked: Arc<Mutex<Vec<Revoked>>>,
    data_dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let data_dir = tempfile::tempdir().expect("a temporary directory");
        Self::over(Arc::default(), data_dir)
    }

    fn over(store: Arc<MemoryStore>, data_dir: tempfile::TempDir) -> Self {
        let (events, revoked) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (on_event, on_revoked) = (Arc::clone(&events), Arc::clone(&revoked));
        let hooks = Hooks {
            on_event: Arc::new(move |event| on_event.lock().push(event)),
            on_revoked: Arc::new(move |what| on_revoked.lock().push(what)),
        };
        let options = AccountsOptions {
            data_dir: data_dir.path().to_owned(),
            token_secret: None,
            issuer: IssuerOptions::default(),
            role_grants: RoleGrants { anonymous: Arc::default(), user: lobby() },
            registration_open: true,
        };
        let accounts = Accounts::open(Arc::<MemoryStore>::clone(&store), options, hooks).expect("it opens");
        Self { accounts, store, events, revoked, data_dir }
    }

    async fn register(&self, name: &str) -> SignedIn {
        self.accounts.register(name, PASSWORD.to_owned(), &caller()).await.expect("the name is free")
    }

    async fn set_up(&self) -> SignedIn {
        let token = self.accounts.setup.token().expect("there is no admin");
        self.accounts.set_up(token.reveal(), "root", PASSWORD.to_owned(), &caller()).await.expect("the right token")
    }

    fn present(&self, token: &str) -> Result<Principal, AuthError> {
        self.accounts.authenticator.authenticate(&Presented { bearer: Some(token), ..Presented::default() }, now())
    }

    fn principal(&self, signed_in: &SignedIn) -> Principal {
        self.present(&signed_in.access_token).expect("it is good")
    }

    fn kinds(&self) -> Vec<EventType> {
        self.events.lock().iter().map(|event| event.kind).collect()
    }
}

fn caller() -> Caller {
    Caller { address: "192.0.2.1".to_owned(), request_id: Some("request-1".to_owned()) }
}

fn lobby() -> Arc<Grants> {
    let lobby = Patterns::parse(&["lobby", "rooms.*"]).expect("patterns");
    Arc::new(Grants { subscribe: lobby, ..Grants::default() })
}

fn run<T>(test: impl Future<Output = T>) -> T {
    actix_rt::System::new().block_on(test)
}

#[test]
fn who_registers_is_signed_in_and_can_sign_in_again() {
    run(async {
        let world = World::new();
        let ada = world.register(" Ada ").await;
        assert_eq!((ada.user.name.as_str(), ada.user.role), ("ada", Role::User));
        let principal = world.principal(&ada);
        assert_eq!(principal.user.as_deref(), Some(ada.user.id.as_str()));
        let me = world.accounts.me(&principal, &caller()).await.expect("it is read");
        assert_eq!(
            (me.name.as_deref(), &me.grants.subscribe),
            (Some("ada"), &vec!["lobby".to_owned(), "rooms.*".to_owned()])
        );
        let again = world.accounts.login("ADA", PASSWORD.to_owned(), &caller()).await.expect("the right password");
        assert_eq!(again.user, ada.user);
        let taken = world.accounts.register("ada", PASSWORD.to_owned(), &caller()).await;
        assert_eq!(taken.err(), Some(Refusal::NameTaken));
        world.accounts.set_registration(false);
        let closed = world.accounts.register("bob", PASSWORD.to_owned(), &caller()).await;
        assert_eq!(closed.err(), Some(Refusal::RegistrationClosed));
        assert_eq!(world.kinds(), [EventType::Registered, EventType::LoggedIn, EventType::LoggedIn]);
    });
}

#[test]
fn unknown_disabled_and_mistaken_are_answered_alike_until_it_is_too_often() {
    run(async {
        let world = World::new();
        let ada = world.register("ada").await;
        let root = world.set_up().await;
        let login =
            async |name: &str, password: &str| world.accounts.login(name, password.to_owned(), &caller()).await.err();
        assert_eq!(login("ada", OTHER_PASSWORD).await, Some(Refusal::BadCredentials));
        assert_eq!(login("nobody", PASSWORD).await, Some(Refusal::BadCredentials));
        let disable = AccountChange { role: None, disabled: Some(true), password: None };
        let root = world.principal(&root);
        world.accounts.change_user(&root, &ada.user.id, disable, &caller()).await.expect("it is changed");
        assert_eq!(login("ada", PASSWORD).await, Some(Refusal::BadCredentials));
        let mut last = None;
        for _ in 0..10 {
            last = login("nobody", PASSWORD).await;
        }
        assert!(matches!(last, Some(Refusal::Throttled(wait)) if !wait.is_zero()), "{last:?}");
        assert_eq!(login("root", PASSWORD).await, None, "others sign in meanwhile");
    });
}

#[test]
fn a_refresh_token_is_good_once_and_its_reuse_ends_the_login() {
    run(async {
        let world = World::new();
        let first = world.register("ada").await;
        let second = world.accounts.refresh(&first.refresh_token, &caller()).await.expect("it is good once");
        let third = world.accounts.refresh(&second.refresh_token, &caller()).await.expect("it is good once");
        assert!(world.present(&first.access_token).is_ok() && world.present(&third.access_token).is_ok());
        let reused = world.accounts.refresh(&first.refresh_token, &caller()).await;
        assert_eq!(reused.err(), Some(Refusal::Token(AuthError::Revoked)));
        for token in [&first.access_token, &second.access_token, &third.access_token] {
            assert_eq!(world.present(token).err(), Some(AuthError::Revoked));
        }
        let ended = world.accounts.refresh(&third.refresh_token, &caller()).await;
        assert_eq!(ended.err(), Some(Refusal::Token(AuthError::Revoked)));
        assert!(world.kinds().contains(&EventType::RefreshReused));
        assert!(matches!(world.revoked.lock().as_slice(), [Revoked::Login(_)]));
        let access = world.accounts.refresh(&third.access_token, &caller()).await;
        assert_eq!(access.err(), Some(Refusal::Token(AuthError::WrongType)));
    });
}

#[test]
fn logging_out_ends_one_login_and_a_new_password_all() {
    run(async {
        let world = World::new();
        let [desk, phone, tablet] = [
            world.register("ada").await,
            world.accounts.login("ada", PASSWORD.to_owned(), &caller()).await.expect("the right password"),
            world.accounts.login("ada", PASSWORD.to_owned(), &caller()).await.expect("the right password"),
        ];
        let (at_desk, at_phone) = (world.principal(&desk), world.principal(&phone));
        let ticket = world.accounts.issue_ticket(&at_phone, None).expect("there is room").ticket;
        world.accounts.logout(&at_phone, None, &caller()).await.expect("it is ended");
        assert_eq!(world.present(&phone.access_token).err(), Some(AuthError::Revoked));
        assert!(
            world.accounts.authenticator.is_revoked(&at_phone) && !world.accounts.authenticator.is_revoked(&at_desk)
        );
        let by_ticket = Presented { ticket: Some(&ticket), ..Presented::default() };
        assert!(world.accounts.authenticator.authenticate(&by_ticket, now()).is_err());
        world.accounts.logout(&at_desk, Some(&tablet.refresh_token), &caller()).await.expect("it is ended");
        world.accounts.logout(&at_desk, Some(&tablet.refresh_token), &caller()).await.expect("it is ended already");
        assert!(world.present(&tablet.access_token).is_err() && world.present(&desk.access_token).is_ok());
        let change = async |current: &str, new: &str| {
            world.accounts.change_password(&at_desk, current.to_owned(), new.to_owned(), &caller()).await
        };
        assert_eq!(change(OTHER_PASSWORD, OTHER_PASSWORD).await.err(), Some(Refusal::BadCredentials));
        let weak = Refusal::Password(PasswordError::Weak(PasswordFault::TooCommon));
        assert_eq!(change(PASSWORD, "password1").await.err(), Some(weak));
        assert!(world.present(&desk.access_token).is_ok(), "nothing has changed yet");
        let fresh = change(PASSWORD, OTHER_PASSWORD).await.expect("the right password");
        assert_eq!(world.present(&desk.access_token).err(), Some(AuthError::Revoked));
        assert!(world.accounts.refresh(&desk.refresh_token, &caller()).await.is_err());
        assert!(world.present(&fresh.access_token).is_ok());
        assert!(world.accounts.refresh(&fresh.refresh_token, &caller()).await.is_ok());
        let nobody = Principal::anonymous(Grants::all());
        assert_eq!(world.accounts.logout(&nobody, None, &caller()).await.err(), Some(Refusal::NoLogin));
        let id: Arc<str> = desk.user.id.as_str().into();
        assert_eq!(world.revoked.lock().last(), Some(&Revoked::User { id, version: 1 }));
    });
}

#[test]
fn a_login_that_began_while_the_account_was_changed_is_none() {
    run(async {
        let world = World::new();
        world.register("ada").await;
        world.store.change_before_next_login();
        let late = world.accounts.login("ada", PASSWORD.to_owned(), &caller()).await;
        assert_eq!(late.err(), Some(Refusal::BadCredentials));
        assert_eq!(world.store.live_logins(), 0);
        assert!(world.accounts.login("ada", PASSWORD.to_owned(), &caller()).await.is_ok());
    });
}

#[test]
fn what_was_taken_back_stays_so_after_a_restart() {
    run(async {
        let world = World::new();
        let (phone, desk) = (world.register("ada").await, world.register("bob").await);
        world.accounts.logout(&world.principal(&phone), None, &caller()).await.expect("it is ended");
        let key = new_key(&world, None).await;
        let World { store, data_dir, .. } = world;
        let world = World::over(store, data_dir);
        assert_eq!(world.present(&phone.access_token).err(), Some(AuthError::Revoked));
        assert!(world.present(&desk.access_token).is_ok() && world.present(&key.key).is_ok());
    });
}

#[test]
fn the_first_admin_is_set_up_once_and_the_last_one_stays() {
    run(async {
        let world = World::new();
        let token = world.accounts.setup.token().expect("there is no admin");
        let set_up = async |token: &str, name: &str, password: &str| {
            world.accounts.set_up(token, name, password.to_owned(), &caller()).await.err()
        };
        assert_eq!(set_up("wrong", "root", PASSWORD).await, Some(Refusal::SetupClosed));
        assert!(matches!(set_up(token.reveal(), "root", "12345678").await, Some(Refusal::Password(_))));
        let root = world.set_up().await;
        assert_eq!(root.user.role, Role::Admin);
        assert_eq!(set_up(token.reveal(), "second", PASSWORD).await, Some(Refusal::SetupClosed));
        let principal = world.principal(&root);
        for change in [(Some(Role::User), None), (None, Some(true))] {
            let change = AccountChange { role: change.0, disabled: change.1, password: None };
            let refused = world.accounts.change_user(&principal, &root.user.id, change, &caller()).await;
            assert_eq!(refused.err(), Some(Refusal::LastAdmin));
        }
        assert!(world.present(&root.access_token).is_ok());
    });
}

#[test]
fn admins_manage_accounts_and_each_change_ends_what_rested_on_it() {
    run(async {
        let world = World::new();
        let root = world.principal(&world.set_up().await);
        let ada = world.register("ada").await;
        let change = |role, password: Option<&str>| AccountChange {
            role,
            disabled: None,
            password: password.map(str::to_owned),
        };
        let changed = async |id: &str, asked| world.accounts.change_user(&root, id, asked, &caller()).await;
        assert!(matches!(changed(&ada.user.id, change(None, None)).await, Err(Refusal::Field(_))));
        assert!(matches!(changed(&ada.user.id, change(Some(Role::Anonymous), None)).await, Err(Refusal::Field(_))));
        assert_eq!(changed("nobody", change(Some(Role::User), None)).await.err(), Some(Refusal::NoUser));
        assert!(world.present(&ada.access_token).is_ok());
        let viewer =
            changed(&ada.user.id, change(Some(Role::Viewer), Some(OTHER_PASSWORD))).await.expect("it is changed");
        assert_eq!(viewer.role, Role::Viewer);
        assert_eq!(world.present(&ada.access_token).err(), Some(AuthError::Revoked));
        let again = world.accounts.login("ada", OTHER_PASSWORD.to_owned(), &caller()).await.expect("the new password");
        assert_eq!(world.principal(&again).role, Role::Viewer);
        for name in ["bob", "çağrı"] {
            world.accounts.add_user(&root, name, PASSWORD.to_owned(), Role::User, &caller()).await.expect("it is made");
        }
        let mut names = Vec::new();
        let mut cursor = None;
        loop {
            let page = world.accounts.list_users(cursor, Some(2)).await.expect("it is read");
            names.extend(page.users.into_iter().map(|user| user.name));
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(names, ["ada", "bob", "root", "çağrı"]);
        let actors: Vec<_> = world.events.lock().iter().filter_map(|event| event.actor.clone()).collect();
        assert!(actors.contains(&root.name.to_string()));
    });
}

async fn new_key(world: &World, grants: Option<GrantPatterns>) -> santral_schema::accounts::CreatedApiKey {
    let asked = NewApiKey { name: "shop".to_owned(), role: None, grants, expires_in: None };
    let maker = Principal::anonymous(Grants::all());
    world.accounts.create_api_key(&maker, asked, &caller()).await.expect("it is made")
}

#[test]
fn an_api_key_works_at_once_within_its_channels_until_it_is_taken_back() {
    run(async {
        let world = World::new();
        let grants = GrantPatterns { publish: vec!["orders.*".to_owned()], ..GrantPatterns::default() };
        let created = new_key(&world, Some(grants)).await;
        let shop = world.present(&created.key).expect("it is known");
        assert_eq!(shop.role, Role::Publisher);
        let may_publish = |channel| shop.grants.publish.allow(&ChannelName::parse(channel).expect("a channel"));
        assert!(may_publish("orders.1") && !may_publish("lobby") && shop.grants.subscribe.is_empty());
        assert_eq!(world.accounts.list_api_keys().await.expect("it is read").keys, std::slice::from_ref(&created.item));
        let root = Principal::anonymous(Grants::all());
        let revoke = async || world.accounts.revoke_api_key(&root, &created.item.id, &caller()).await;
        assert_eq!(revoke().await, Ok(()));
        assert_eq!(revoke().await, Err(Refusal::NoApiKey));
        assert_eq!(world.present(&created.key).err(), Some(AuthError::UnknownApiKey));
        assert!(world.accounts.authenticator.is_revoked(&shop));
        assert_eq!(world.revoked.lock().as_slice(), [Revoked::ApiKey(created.item.id.as_str().into())]);
        let refused = async |name: &str, role, expires_in, pattern: &str| {
            let grants = Some(GrantPatterns { publish: vec![pattern.to_owned()], ..GrantPatterns::default() });
            let asked = NewApiKey { name: name.to_owned(), role, grants, expires_in };
            world.accounts.create_api_key(&root, asked, &caller()).await.is_err()
        };
        assert!(refused("", None, None, "a").await && refused("a\nb", None, None, "a").await);
        assert!(refused("a", Some(Role::Anonymous), None, "a").await && refused("a", None, Some(0), "a").await);
        assert!(refused("a", None, Some(u64::MAX), "a").await && refused("a", None, None, "user:*").await);
        assert!(!refused("a", Some(Role::Viewer), Some(1), "a").await);
    });
}

#[test]
fn a_ticket_narrows_and_never_widens() {
    run(async {
        let world = World::new();
        let ada = world.principal(&world.register("ada").await);
        let issue = |channels: &[&str]| {
            let channels: Vec<_> = channels.iter().map(|channel| (*channel).to_owned()).collect();
            world.accounts.issue_ticket(&ada, Some(&channels))
        };
        for wider in ["*", "r*", "orders", "lobby*"] {
            assert_eq!(
                issue(&["lobby", wider]).err(),
                Some(Refusal::Forbidden { right: "follow", what: wider.to_owned() })
            );
        }
        assert!(matches!(issue(&["user:ada"]), Err(Refusal::Pattern(_))));
        let ticket = issue(&["rooms.1", "rooms.2.*"]).expect("they are granted").ticket;
        let presented = Presented { ticket: Some(&ticket), ..Presented::default() };
        let narrow = world.accounts.authenticator.authenticate(&presented, now()).expect("it is good once");
        assert_eq!((narrow.name, narrow.expires_at), (ada.name.clone(), ada.expires_at));
        assert_eq!(narrow.grants.subscribe.iter().collect::<Vec<_>>(), ["rooms.1", "rooms.2.*"]);
    });
}

#[test]
fn no_secret_reaches_the_store_or_the_event_log() {
    run(async {
        let world = World::new();
        let ada = world.register("ada").await;
        let key = new_key(&world, None).await;
        let ticket = world.accounts.issue_ticket(&world.principal(&ada), None).expect("there is room").ticket;
        let refreshed = world.accounts.refresh(&ada.refresh_token, &caller()).await.expect("it is good once");
        let _ = world.accounts.login("ada", OTHER_PASSWORD.to_owned(), &caller()).await;
        let _ = world.accounts.login(OTHER_PASSWORD, PASSWORD.to_owned(), &caller()).await;
        let kept = format!("{} {:?} {:?}", world.store.dump(), world.events.lock(), world.revoked.lock());
        let setup = world.accounts.setup.token().expect("there is no admin");
        let secrets =
            [PASSWORD, OTHER_PASSWORD, &ada.access_token, &ada.refresh_token, &refreshed.refresh_token, &key.key];
        for secret in secrets.into_iter().chain([ticket.as_str(), setup.reveal()]) {
            assert!(!kept.contains(secret), "{kept}");
        }
        assert!(kept.contains("192.0.2.1") && kept.contains("request-1"));
    });
}
