//! `santral create-admin` and `santral token`, the real binary, beside a running server.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use santral::auth::account_name::AccountName;
use santral::auth::password::Passwords;
use santral::auth::secrets::TokenKey;
use santral::auth::tokens::Tokens;
use santral::auth::{Authenticator, Presented, Principal, RoleGrants};
use santral::ports::accounts::{User, UserChange};
use santral::ports::event_log::EventQuery;
use santral::ports::store::Durability;
use santral::store::{Records, StoreOptions, open_records};
use santral_core::entry::Timestamp;
use santral_core::grants::Grants;
use santral_core::names::ChannelName;
use santral_schema::access::Role;

use crate::support::contract::{assert_refused, json};
use crate::support::{Santral, deadline};

/// What one run said.
#[derive(Debug)]
struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a command with the data of this server, and this on its standard input.
fn run(santral: &Santral, arguments: &[&str], input: &str) -> Outcome {
    let mut command = Command::new(env!("CARGO_BIN_EXE_santral"));
    command
        .args(arguments)
        .env_clear()
        .env("SANTRAL_DATA_DIR", santral.data_dir.path())
        .current_dir(santral.data_dir.path());
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("the binary runs");
    // It may have refused before it read.
    let _ = child.stdin.take().expect("there is a pipe").write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    Outcome { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

fn records(santral: &Santral) -> Records {
    let url = format!("sqlite:{}", santral.data_dir.path().join("santral.db").display());
    open_records(&StoreOptions { url, durability: Durability::Disk, readers: 1 }).expect("the database opens")
}

fn account(santral: &Santral, name: &str) -> Option<User> {
    let name = AccountName::parse(name).expect("a good name");
    records(santral).accounts().user_named(name.as_str()).expect("the database answers")
}

fn takes(user: &User, password: &str) -> bool {
    let (hash, password) = (user.password_hash.clone(), password.to_owned());
    let verify = async { Passwords::new().expect("it can be made").verify(hash, password).await };
    actix_rt::System::new().block_on(verify).expect("it can be verified")
}

/// On whose behalf the server with this data would act.
fn principal(santral: &Santral, token: &str) -> Principal {
    let key = TokenKey::open(None, santral.data_dir.path()).expect("the command has made one");
    let role_grants = RoleGrants { anonymous: Grants::default().into(), user: Grants::default().into() };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later");
    let now = Timestamp(i64::try_from(now.as_micros()).expect("a few centuries fit"));
    let presented = Presented { bearer: Some(token.trim()), ..Presented::default() };
    Authenticator::new(Tokens::new(&key), None, role_grants).authenticate(&presented, now).expect("the token is good")
}

#[test]
fn an_admin_is_made_beside_a_running_server() {
    let santral = Santral::start();
    let password = "correct horse battery staple";
    let outcome = run(&santral, &["create-admin", "--name", "Ada"], &format!("{password}\n"));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(!outcome.stdout.contains(password) && outcome.stdout.contains("\"ada\""), "{outcome:?}");
    let ada = account(&santral, "ada").expect("the account is there");
    assert_eq!(ada.role, Role::Admin);
    assert!(takes(&ada, password) && !takes(&ada, "correct horse battery stable"));
    assert!(records(&santral).accounts().has_admin().expect("the database answers"));
    let events = records(&santral).events().read(&EventQuery { limit: 10, ..EventQuery::default() });
    let events = events.expect("the database answers");
    assert!(events.iter().any(|event| event.event.message.contains("\"ada\"")), "{events:?}");
    // The server was open until there was an admin, and notices by itself.
    let end = deadline();
    while json(&santral.get("/health").text())["open"] == true {
        assert!(std::time::Instant::now() < end, "the server is still open");
    }
    assert_refused(&santral.post("/api/broadcast", "1"), "unauthorized");
    let again = run(&santral, &["create-admin", "--name", "ADA"], "another good passphrase\n");
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("already"), "{again:?}");
    assert!(takes(&account(&santral, "ada").expect("it is still there"), password));
}

#[test]
fn a_password_comes_from_a_file_or_from_chance() {
    let santral = Santral::start();
    fs::write(santral.data_dir.path().join("secret"), "a passphrase in a file\r\nignored\n")
        .expect("it can be written");
    let outcome = run(&santral, &["create-admin", "--name", "file", "--password-file", "secret"], "");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(takes(&account(&santral, "file").expect("it is there"), "a passphrase in a file"));
    let outcome = run(&santral, &["create-admin", "--generate-password"], "");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let password = outcome.stdout.lines().find_map(|line| line.strip_prefix("password: ")).expect("it is printed");
    assert!(takes(&account(&santral, "admin").expect("it is there"), password));
}

#[test]
fn no_account_is_made_with_a_bad_name_or_password() {
    let santral = Santral::start();
    for (arguments, input, word) in [
        (&["create-admin"][..], "", "no password"),
        (&["create-admin"], "\n", "no password"),
        (&["create-admin"], "password123\n", "the password"),
        (&["create-admin"], "short\n", "the password"),
        (&["create-admin", "--name", ""], "correct horse battery staple\n", "the name"),
        (&["create-admin", "--password-file", "gone"], "", "gone"),
    ] {
        let outcome = run(&santral, arguments, input);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains(word), "{outcome:?}");
        assert!(account(&santral, "admin").is_none());
    }
    let outcome = run(&santral, &["create-admin", "--password", "x"], "");
    assert_eq!(outcome.code, Some(64), "there is no such flag: {outcome:?}");
}

#[test]
fn a_token_for_an_account_is_that_of_a_sign_in() {
    let santral = Santral::start();
    let made = run(&santral, &["create-admin", "--name", "ada", "--generate-password"], "");
    assert_eq!(made.code, Some(0), "{made:?}");
    let outcome = run(&santral, &["token", "--user", "Ada"], "");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.stdout.lines().count(), 1, "nothing but the token");
    let ada = account(&santral, "ada").expect("it is there");
    let principal = principal(&santral, &outcome.stdout);
    assert_eq!((principal.role, principal.user.as_deref()), (Role::Admin, Some(&*ada.id)));
    for (name, word) in [("bob", "no account"), ("\u{7}", "the name")] {
        let outcome = run(&santral, &["token", "--user", name], "");
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains(word) && outcome.stdout.is_empty(), "{outcome:?}");
    }
    run(&santral, &["create-admin", "--name", "eve", "--generate-password"], "");
    let change = UserChange { disabled: Some(true), ..UserChange::default() };
    records(&santral).accounts().change_user(&ada.id, &change, Timestamp(1)).expect("the database answers");
    let outcome = run(&santral, &["token", "--user", "ada"], "");
    assert!(outcome.stderr.contains("disabled"), "{outcome:?}");
}

#[test]
fn a_token_for_a_subject_says_its_role_and_channels() {
    let santral = Santral::start();
    let arguments = ["token", "--subject", "shop", "--role", "publisher", "--publish", "orders.*", "--ttl", "90s"];
    let outcome = run(&santral, &arguments, "");
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let principal = principal(&santral, &outcome.stdout);
    assert_eq!((&*principal.name, principal.role), ("jwt:shop", Role::Publisher));
    let channel = |name: &str| ChannelName::parse(name).expect("a good name");
    assert!(principal.grants.publish.allow(&channel("orders.1")));
    assert!(
        !principal.grants.publish.allow(&channel("else")) && !principal.grants.subscribe.allow(&channel("orders.1"))
    );
    for (arguments, code) in [
        (&["token"][..], 64),
        (&["token", "--subject", "x"], 64),
        (&["token", "--subject", "x", "--role", "anonymous"], 64),
        (&["token", "--subject", "x", "--role", "user", "--ttl", "25h"], 64),
        (&["token", "--user", "x", "--role", "admin"], 64),
        (&["token", "--subject", "a b", "--role", "user"], 1),
        (&["token", "--subject", "x", "--role", "user", "--subscribe", "a b"], 1),
    ] {
        let outcome = run(&santral, arguments, "");
        assert_eq!(outcome.code, Some(code), "{arguments:?}: {outcome:?}");
        assert_eq!(outcome.stdout, "");
    }
}
