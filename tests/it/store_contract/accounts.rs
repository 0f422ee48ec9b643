//! Cases about accounts, logins, API keys and blocks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use santral::ports::accounts::{AccountStore, ApiKey, Block, Changed, Login, Refreshed, User, UserChange};
use santral_core::entry::Timestamp;
use santral_core::grants::{Grants, Patterns};
use santral_core::limits::{API_KEYS_MAX, LOGINS_PER_USER_MAX};
use santral_schema::access::Role;

use super::place::Place;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 24 * 60 * 60 * SECOND;

/// Texts that somebody could send to see what breaks.
pub(super) const HOSTILE: [&str; 9] = [
    "'; DROP TABLE users; --",
    "\"quoted\" \\ back",
    "100%_?$1",
    "\u{1f469}\u{200d}\u{1f469} \u{10ffff}",
    "\u{feff}\u{202e}\u{7f}\u{1}",
    "\r\n\t",
    "İıĞğ",
    " ",
    "x' OR '1'='1",
];

fn at(seconds: i64) -> Timestamp {
    Timestamp(1_800_000_000 * SECOND + seconds * SECOND)
}

fn user(id: &str, role: Role) -> User {
    User {
        id: id.into(),
        name: format!("name of {id}"),
        password_hash: Some("$argon2id$…".to_owned()),
        role,
        token_version: 0,
        disabled_at: None,
        created_at: at(0),
    }
}

fn login(id: &str, user: &str) -> Login {
    Login { id: id.into(), user: user.into(), generation: 0, expires_at: at(100), revoked_at: None }
}

fn key(id: &str) -> ApiKey {
    ApiKey {
        id: id.into(),
        name: "shop".to_owned(),
        secret_hash: [7; 32],
        role: Role::Publisher,
        grants: Grants::all(),
        created_by: Some("user:ada".to_owned()),
        created_at: at(0),
        expires_at: None,
        revoked_at: None,
    }
}

fn accounts_with(place: &Place, users: &[User]) -> Arc<dyn AccountStore> {
    let accounts = place.open().records.accounts();
    for user in users {
        assert_eq!(accounts.create_user(user), Ok(true));
    }
    accounts
}

fn demote() -> UserChange {
    UserChange { role: Some(Role::User), ..UserChange::default() }
}

fn disable(disabled: bool) -> UserChange {
    UserChange { disabled: Some(disabled), ..UserChange::default() }
}

pub(super) fn an_account_is_found_by_name_and_id_as_it_was_stored(place: &Place) {
    let ada = User { disabled_at: Some(at(9)), token_version: i64::MAX - 1, ..user("ada", Role::Viewer) };
    let bob = User { password_hash: None, ..user("bob", Role::User) };
    let accounts = accounts_with(place, &[ada.clone(), bob.clone()]);
    assert_eq!(accounts.user("ada"), Ok(Some(ada.clone())));
    assert_eq!(accounts.user_named("name of ada"), Ok(Some(ada)));
    assert_eq!(accounts.user_named("name of bob"), Ok(Some(bob.clone())));
    for nobody in ["", "ADA", "name of ADA", "name of ada ", "%", "name of ad_"] {
        assert_eq!((accounts.user(nobody), accounts.user_named(nobody)), (Ok(None), Ok(None)), "{nobody}");
    }
    let same_name = User { id: "other".into(), ..bob.clone() };
    let same_id = User { name: "other".to_owned(), ..bob };
    assert_eq!(accounts.create_user(&same_name), Ok(false));
    assert_eq!(accounts.create_user(&same_id), Ok(false));
    assert_eq!(accounts.create_user(&user("Bob", Role::User)), Ok(true), "names are compared as they are");
}

pub(super) fn hostile_names_are_names_like_any_other(place: &Place) {
    let accounts = accounts_with(place, &[]);
    for (number, text) in HOSTILE.iter().enumerate() {
        let user = User { name: (*text).to_owned(), ..user(&format!("user-{number}"), Role::User) };
        assert_eq!(accounts.create_user(&user), Ok(true), "{text:?}");
        assert_eq!(accounts.user_named(text), Ok(Some(user.clone())), "{text:?}");
        assert_eq!(accounts.create_user(&User { id: "twice".into(), ..user }), Ok(false), "{text:?}");
    }
    assert_eq!(accounts.users(None, 100).map(|users| users.len()), Ok(HOSTILE.len()));
    // PostgreSQL takes no NUL, so both store and look for something else in its place.
    let with_nul = User { name: "a\0b".to_owned(), ..user("nul", Role::User) };
    assert_eq!(accounts.create_user(&with_nul), Ok(true));
    let stored = accounts.user_named("a\0b").expect("it can be read").expect("it is there");
    assert_eq!((stored.name.as_str(), &*stored.id), ("a\u{fffd}b", "nul"));
    assert_eq!(accounts.user("\0"), Ok(None));
}

pub(super) fn accounts_are_listed_by_name_and_rows_that_are_none_are_skipped(place: &Place) {
    let accounts = accounts_with(place, &[]);
    for id in ["b", "d", "a", "c", "e"] {
        assert_eq!(accounts.create_user(&user(id, Role::User)), Ok(true));
    }
    let ids = |after: Option<&str>, limit: usize| -> Vec<String> {
        let users = accounts.users(after, limit).expect("it can be read");
        users.iter().map(|user| user.id.to_string()).collect()
    };
    assert_eq!(ids(None, 100), ["a", "b", "c", "d", "e"]);
    assert_eq!(ids(Some("name of b"), 2), ["c", "d"]);
    assert_eq!(ids(Some("name of e"), 2), [""; 0]);
    place.execute("UPDATE users SET role = 'root' WHERE id IN ('b', 'c')");
    assert_eq!(ids(None, 2), ["a", "d"], "others take their place");
    assert_eq!(accounts.user("b"), Ok(None));
    assert_eq!(accounts.user_named("name of b"), Ok(None));
    assert_eq!(accounts.change_user("b", &demote(), at(1)), Ok(Changed::Unknown));
}

pub(super) fn a_change_of_an_account_ends_its_tokens(place: &Place) {
    let accounts = accounts_with(place, &[user("ada", Role::User), user("bob", Role::User)]);
    for (id, of) in [("l1", "ada"), ("l2", "ada"), ("l3", "bob")] {
        accounts.create_login(&login(id, of), at(0)).expect("its user is there");
    }
    let change = UserChange { password_hash: Some("new".to_owned()), ..UserChange::default() };
    let changed = User { password_hash: Some("new".to_owned()), token_version: 1, ..user("ada", Role::User) };
    assert_eq!(accounts.change_user("ada", &change, at(5)), Ok(Changed::Done(changed.clone())));
    assert_eq!(accounts.user("ada"), Ok(Some(changed)));
    for id in ["l1", "l2"] {
        assert_eq!(accounts.refresh_login(id, 0, at(6), at(200)), Ok(Refreshed::Ended));
    }
    assert!(matches!(accounts.refresh_login("l3", 0, at(6), at(200)), Ok(Refreshed::Done(..))));
    let Ok(Changed::Done(disabled)) = accounts.change_user("ada", &disable(true), at(7)) else {
        panic!("ada is there")
    };
    assert_eq!((disabled.disabled_at, disabled.token_version), (Some(at(7)), 2));
    let Ok(Changed::Done(again)) = accounts.change_user("ada", &disable(true), at(8)) else { panic!("ada is there") };
    assert_eq!(again.disabled_at, Some(at(7)), "since when does not move");
    let Ok(Changed::Done(enabled)) = accounts.change_user("ada", &disable(false), at(9)) else {
        panic!("ada is there")
    };
    assert_eq!((enabled.disabled_at, enabled.role), (None, Role::User));
    assert_eq!(accounts.change_user("nobody", &change, at(9)), Ok(Changed::Unknown));
    let (logins, users) = accounts.recently_revoked(at(5)).expect("it can be read");
    assert_eq!(logins.iter().map(|id| &**id).collect::<BTreeSet<_>>(), BTreeSet::from(["l1", "l2"]));
    assert_eq!(users, [("ada".into(), 4)]);
    assert_eq!(accounts.recently_revoked(at(10)), Ok((Vec::new(), Vec::new())));
}

pub(super) fn the_last_admin_stays(place: &Place) {
    let accounts = accounts_with(place, &[user("ada", Role::Admin), user("bob", Role::User)]);
    assert_eq!(accounts.has_admin(), Ok(true));
    for change in [demote(), disable(true)] {
        assert_eq!(accounts.change_user("ada", &change, at(1)), Ok(Changed::LastAdmin));
    }
    assert_eq!(accounts.user("ada"), Ok(Some(user("ada", Role::Admin))), "nothing was changed");
    // Neither who is disabled nor who has no password could sign in to mend it.
    let off = User { disabled_at: Some(at(0)), ..user("off", Role::Admin) };
    let mute = User { password_hash: None, ..user("mute", Role::Admin) };
    assert_eq!((accounts.create_user(&off), accounts.create_user(&mute)), (Ok(true), Ok(true)));
    assert_eq!(accounts.change_user("ada", &demote(), at(1)), Ok(Changed::LastAdmin));
    assert!(matches!(accounts.change_user("off", &demote(), at(1)), Ok(Changed::Done(_))));
    let promote = UserChange { role: Some(Role::Admin), ..UserChange::default() };
    assert!(matches!(accounts.change_user("bob", &promote, at(1)), Ok(Changed::Done(_))));
    assert!(matches!(accounts.change_user("ada", &demote(), at(1)), Ok(Changed::Done(_))));
    assert_eq!(accounts.change_user("bob", &disable(true), at(1)), Ok(Changed::LastAdmin));
    place.execute("UPDATE users SET role = 'user'");
    assert_eq!(accounts.has_admin(), Ok(false));
}

/// Two servers, or a server and the command line, so they do not even share a connection.
pub(super) fn of_two_admins_who_demote_each_other_at_once_one_stays(place: &Place) {
    let accounts = accounts_with(place, &[]);
    let other = place.open().records.accounts();
    for round in 0..20 {
        let (ada, bob) = (format!("ada-{round}"), format!("bob-{round}"));
        for id in [&ada, &bob] {
            assert_eq!(accounts.create_user(&user(id, Role::Admin)), Ok(true));
        }
        let outcomes = thread::scope(|scope| {
            let first = scope.spawn(|| accounts.change_user(&bob, &demote(), at(round)));
            let second = scope.spawn(|| other.change_user(&ada, &demote(), at(round)));
            [first.join(), second.join()].map(|outcome| outcome.expect("no panic").expect("no trouble"))
        });
        let refused = outcomes.iter().filter(|outcome| **outcome == Changed::LastAdmin).count();
        assert_eq!(refused, 1, "{outcomes:?}");
        assert_eq!(accounts.has_admin(), Ok(true));
        place.execute("DELETE FROM users");
    }
}

pub(super) fn a_refresh_moves_to_the_next_generation_and_an_older_token_ends_the_login(place: &Place) {
    let accounts = accounts_with(place, &[user("ada", Role::User)]);
    accounts.create_login(&login("l", "ada"), at(0)).expect("its user is there");
    for generation in 0..3 {
        let refreshed = accounts.refresh_login("l", generation, at(generation), at(100 + generation));
        let expected = Login { generation: generation + 1, expires_at: at(100 + generation), ..login("l", "ada") };
        assert_eq!(refreshed, Ok(Refreshed::Done(expected, user("ada", Role::User))));
    }
    // One from the future is none of ours, and ends nothing.
    for unknown in [4, i64::MAX, i64::MIN] {
        let refreshed = accounts.refresh_login("l", unknown, at(4), at(200));
        let is_older = unknown < 3;
        assert_eq!(matches!(refreshed, Ok(Refreshed::Ended)), !is_older, "{unknown}: {refreshed:?}");
    }
    assert_eq!(accounts.refresh_login("l", 3, at(5), at(200)), Ok(Refreshed::Ended), "it was reused above");
    accounts.create_login(&login("m", "ada"), at(0)).expect("its user is there");
    assert!(matches!(accounts.refresh_login("m", 0, at(1), at(100)), Ok(Refreshed::Done(..))));
    let reused = Login { generation: 1, revoked_at: Some(at(2)), ..login("m", "ada") };
    assert_eq!(accounts.refresh_login("m", 0, at(2), at(200)), Ok(Refreshed::Reused(reused)));
    assert_eq!(accounts.refresh_login("m", 1, at(3), at(200)), Ok(Refreshed::Ended));
    assert_eq!(accounts.refresh_login("m", 0, at(3), at(200)), Ok(Refreshed::Ended), "it is told once");
    assert_eq!(accounts.refresh_login("nobody's", 0, at(3), at(200)), Ok(Refreshed::Ended));
}

pub(super) fn a_login_ends_at_its_time_by_hand_and_with_its_account(place: &Place) {
    let accounts = accounts_with(place, &[user("ada", Role::User)]);
    for id in ["a", "b", "c"] {
        accounts.create_login(&login(id, "ada"), at(0)).expect("its user is there");
    }
    assert_eq!(accounts.refresh_login("a", 0, at(100), at(200)), Ok(Refreshed::Ended), "at the very moment");
    assert_eq!(accounts.revoke_login("b", at(1)), Ok(true));
    assert_eq!(accounts.revoke_login("b", at(1)), Ok(false));
    assert_eq!(accounts.revoke_login("a", at(100)), Ok(false));
    assert_eq!(accounts.revoke_login("nobody's", at(1)), Ok(false));
    assert_eq!(accounts.refresh_login("b", 0, at(2), at(200)), Ok(Refreshed::Ended));
    place.execute("UPDATE users SET disabled_at = 1");
    assert_eq!(accounts.refresh_login("c", 0, at(2), at(200)), Ok(Refreshed::Ended));
    place.execute("UPDATE users SET disabled_at = NULL");
    assert_eq!(accounts.refresh_login("c", 1, at(2), at(200)), Ok(Refreshed::Ended), "it does not come back");
    assert!(accounts.create_login(&login("d", "nobody"), at(0)).is_err());
    assert!(accounts.create_login(&login("e", "ada"), at(0)).is_ok(), "the store goes on");
}

pub(super) fn of_two_refreshes_with_the_same_token_one_wins(place: &Place) {
    let accounts = accounts_with(place, &[user("ada", Role::User)]);
    let other = place.open().records.accounts();
    for round in 0..20 {
        let id = format!("l{round}");
        accounts.create_login(&login(&id, "ada"), at(0)).expect("its user is there");
        let outcomes = thread::scope(|scope| {
            let first = scope.spawn(|| accounts.refresh_login(&id, 0, at(1), at(100)));
            let second = scope.spawn(|| other.refresh_login(&id, 0, at(1), at(100)));
            [first.join(), second.join()].map(|outcome| outcome.expect("no panic").expect("no trouble"))
        });
        let won = outcomes.iter().filter(|outcome| matches!(outcome, Refreshed::Done(..))).count();
        let lost = outcomes.iter().filter(|outcome| matches!(outcome, Refreshed::Reused(_))).count();
        assert_eq!((won, lost), (1, 1), "{outcomes:?}");
        assert_eq!(accounts.refresh_login(&id, 1, at(2), at(100)), Ok(Refreshed::Ended), "both lose it");
    }
}

pub(super) fn logins_are_bounded_and_long_ended_ones_are_forgotten(place: &Place) {
    let accounts = accounts_with(place, &[user("ada", Role::User)]);
    for number in 0..=LOGINS_PER_USER_MAX {
        let seconds = i64::try_from(number).expect("a small number");
        let login = Login { expires_at: at(1_000), ..login(&format!("l{number}"), "ada") };
        accounts.create_login(&login, at(seconds)).expect("its user is there");
    }
    assert_eq!(accounts.refresh_login("l0", 0, at(200), at(1_000)), Ok(Refreshed::Ended), "the oldest ends");
    assert!(matches!(accounts.refresh_login("l1", 0, at(200), at(1_000)), Ok(Refreshed::Done(..))));
    let mut stranger = place.stranger();
    let all = i64::try_from(LOGINS_PER_USER_MAX + 1).expect("a small number");
    assert_eq!(stranger.count("logins"), all);
    let later = Timestamp(at(1_000).0 + DAY + 1);
    let fresh = Login { expires_at: Timestamp(later.0 + DAY), ..login("fresh", "ada") };
    accounts.create_login(&fresh, later).expect("its user is there");
    assert!(stranger.count("logins") < all, "some are forgotten");
    accounts.create_login(&Login { id: "fresh2".into(), ..fresh }, later).expect("its user is there");
    assert_eq!(stranger.count("logins"), 2);
}

pub(super) fn api_keys_are_kept_until_they_are_revoked(place: &Place) {
    let accounts = accounts_with(place, &[]);
    let grants = Grants {
        subscribe: Patterns::parse(&["orders.*", "news"]).expect("patterns"),
        publish: Patterns::default(),
        presence: Patterns::parse(&["*"]).expect("patterns"),
        rooms: Patterns::default(),
    };
    let first = ApiKey { name: HOSTILE[0].to_owned(), grants: Arc::new(grants), ..key("z") };
    let second = ApiKey { created_at: at(1), expires_at: Some(at(50)), secret_hash: [0; 32], ..key("a") };
    assert_eq!(accounts.create_api_key(&first), Ok(true));
    assert_eq!(accounts.create_api_key(&second), Ok(true));
    assert_eq!(accounts.api_keys(), Ok(vec![first.clone(), second.clone()]));
    assert_eq!(accounts.revoke_api_key("a", at(2)), Ok(true));
    assert_eq!(accounts.revoke_api_key("a", at(2)), Ok(false));
    assert_eq!(accounts.revoke_api_key("nobody's", at(2)), Ok(false));
    assert_eq!(accounts.api_keys(), Ok(vec![first]));
}

pub(super) fn rows_that_are_no_api_keys_are_skipped(place: &Place) {
    let accounts = accounts_with(place, &[]);
    for (id, broken) in [
        ("sound", "name = 'x'"),
        ("role", "role = 'root'"),
        ("text", "grants_json = 'x'"),
        ("list", "grants_json = '[]'"),
        ("unknown", r#"grants_json = '{"subscribe":["*"],"only_on_mondays":true}'"#),
        ("pattern", r#"grants_json = '{"publish":["a b"]}'"#),
        ("reserved", r#"grants_json = '{"publish":["user:*"]}'"#),
        ("hash", "secret_hash = name_hash"),
    ] {
        assert_eq!(accounts.create_api_key(&key(id)), Ok(true));
        let hash = if place.is_sqlite() { "x'0102'" } else { "'\\x0102'" };
        place.execute(&format!("UPDATE api_keys SET {} WHERE id = '{id}'", broken.replace("name_hash", hash)));
    }
    place.execute("UPDATE api_keys SET grants_json = '{}' WHERE id = 'sound'");
    let sound = ApiKey { name: "x".to_owned(), grants: Arc::new(Grants::default()), ..key("sound") };
    assert_eq!(accounts.api_keys(), Ok(vec![sound]), "no right is given that is not named");
}

pub(super) fn live_api_keys_are_bounded(place: &Place) {
    let accounts = accounts_with(place, &[]);
    let insert = "INSERT INTO api_keys (id, name, secret_hash, role, grants_json, created_at) \
        SELECT 'k' || n, 'k', secret_hash, role, grants_json, created_at FROM api_keys, numbers";
    assert_eq!(accounts.create_api_key(&key("first")), Ok(true));
    place.execute(&format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < {API_KEYS_MAX}) {insert}"
    ));
    assert_eq!(accounts.api_keys().map(|keys| keys.len()), Ok(API_KEYS_MAX));
    assert_eq!(accounts.create_api_key(&key("more")), Ok(false));
    assert_eq!(accounts.revoke_api_key("k2", at(1)), Ok(true));
    assert_eq!(accounts.create_api_key(&key("more")), Ok(true));
    assert_eq!(accounts.create_api_key(&key("again")), Ok(false));
    place.execute(&format!("UPDATE api_keys SET expires_at = {} WHERE id = 'k3'", at(2).0));
    assert_eq!(accounts.create_api_key(&ApiKey { created_at: at(2), ..key("again") }), Ok(true));
    let much_later = Timestamp(at(2).0 + DAY + 1);
    assert_eq!(accounts.create_api_key(&ApiKey { created_at: much_later, ..key("last") }), Ok(false));
    let mut stranger = place.stranger();
    assert_eq!(stranger.count("api_keys WHERE id IN ('k2', 'k3')"), 0, "those that ended long ago are forgotten");
}

pub(super) fn a_block_lasts_until_it_expires_or_is_removed(place: &Place) {
    let accounts = accounts_with(place, &[]);
    let block = |subject: &str, expires: i64| Block {
        subject: subject.to_owned(),
        reason: Some(HOSTILE[1].to_owned()),
        created_by: None,
        created_at: at(0),
        expires_at: at(expires),
    };
    for block in [block("user:b", 10), block("user:a", 20), block("address:192.0.2.0/24", 30)] {
        accounts.put_block(&block).expect("no trouble");
    }
    assert_eq!(
        accounts.blocks(at(0)),
        Ok(vec![block("address:192.0.2.0/24", 30), block("user:a", 20), block("user:b", 10)])
    );
    assert_eq!(accounts.blocks(at(10)).map(|blocks| blocks.len()), Ok(2), "at the very moment it has ended");
    let longer =
        Block { reason: None, created_by: Some("user:root".to_owned()), created_at: at(5), ..block("user:b", 90) };
    accounts.put_block(&longer).expect("no trouble");
    assert_eq!(accounts.blocks(at(30)), Ok(vec![longer.clone()]));
    assert_eq!(accounts.remove_block("user:b"), Ok(true));
    assert_eq!(accounts.remove_block("user:b"), Ok(false));
    accounts.put_block(&Block { created_at: at(25), ..block("user:c", 40) }).expect("no trouble");
    assert_eq!(place.stranger().count("blocks"), 2, "the one that ended at 20 is forgotten");
}
