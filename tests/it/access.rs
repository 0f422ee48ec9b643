//! Who may do what: every operation of the OpenAPI document, tried as everybody, against docs/access.md.

use std::collections::BTreeMap;
use std::fmt::Write;

use santral::http::access::Access;
use santral::http::operations;
use santral_core::entry::Timestamp;
use santral_core::grants::Grants;
use santral_schema::access::Role;
use santral_testkit::http::wire::Wire;

use crate::docs::{keep_fresh, read};
use crate::openapi::{PAGES, described, plain};
use crate::support::contract::json;
use crate::support::people::Person;
use crate::support::{Santral, deadline};

/// The roles of the table, and one more: a token that is not good.
const COLUMNS: [&str; 6] = ["anonymous", "user", "publisher", "viewer", "admin", "bad token"];

/// What docs/access.md says of one operation, by column.
type Row = BTreeMap<&'static str, String>;

#[test]
fn the_table_of_access_is_fresh() {
    let mut text = INTRODUCTION.to_owned();
    for (method, path, access) in operations() {
        if method == "HEAD" {
            continue;
        }
        write!(text, "| {method} `{}` | {} |", plain(path), access.name()).expect("a String takes all text");
        for role in Role::ALL {
            write!(text, " {} |", outcome(access, role)).expect("a String takes all text");
        }
        let bad = if access == Access::Public { "yes" } else { "401" };
        writeln!(text, " {bad} |").expect("a String takes all text");
    }
    keep_fresh("docs/access.md", &text);
}

/// Shows AUTH-1. Every operation, tried as everybody, on a server that is closed.
#[test]
fn every_operation_does_what_the_table_says() {
    let (santral, admin) = Santral::start_closed(&[]);
    let callers = callers(&santral, &admin);
    let table = table();
    let document = json(&santral.ask("GET", "/api/openapi.json", Some(&admin.access), None).text());
    let mut wrong = Vec::new();
    let mut tried = 0;
    // The pages for people are in the table and not in the document.
    let is_page = |(method, path, _): &(_, &str, _)| method != "HEAD" && PAGES.contains(&plain(path).as_str());
    let pages = operations().into_iter().filter(is_page).map(|(method, path, _)| (method.to_string(), plain(path)));
    for (method, path) in described(&document).into_iter().chain(pages) {
        let Some(row) = table.get(&format!("{method} `{path}`")) else {
            wrong.push(format!("{method} {path} is not in docs/access.md"));
            continue;
        };
        for column in COLUMNS {
            let found = attempt(&santral, &method, &path, callers[column].as_deref());
            if found != row[column] {
                wrong.push(format!("{method} {path} as {column}: {found}, and the table says {}", row[column]));
            }
            tried += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 200, "{tried}");
    assert_eq!(table.len() * COLUMNS.len(), tried, "the document lacks operations of the table");
}

/// Foreign ids are unknown ids: the answer to both is the same.
#[test]
fn ids_of_others_look_like_ids_that_nobody_has() {
    let (santral, admin) = Santral::start_closed(&[("SANTRAL_USER_SUBSCRIBE", "chat")]);
    let (ada, eve) = (santral.enrol(&admin, "ada", "user"), santral.enrol(&admin, "eve", "user"));
    let headers = [("Authorization", format!("Bearer {}", ada.access))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let session = "a-token-of-ada-0123456789abc";
    let (_client, _, hello) = santral.greet(&format!("/api/events?channel=chat&session={session}"), &headers);
    let connection = hello["connection"].as_str().expect("a connection").to_owned();
    let unknown = "aaaaaaaaaaaaaaaaaaaaaa";
    for (method, path) in [
        ("GET", "/api/connections/{id}"),
        ("DELETE", "/api/connections/{id}"),
        ("PATCH", "/api/users/{id}"),
        ("DELETE", "/api/keys/{id}"),
        ("POST", "/api/sessions/{id}/commands"),
    ] {
        let ask = |id: &str| {
            let answer = santral.ask(method, &path.replace("{id}", id), Some(&eve.access), Some(r#"{"ping":{}}"#));
            (answer.status, json(&answer.text())["code"].clone())
        };
        for foreign in [connection.as_str(), ada.id.as_str(), session] {
            assert_eq!(ask(foreign), ask(unknown), "{method} {path} {foreign}");
        }
    }
}

/// What happens to a caller at the gate: refused with a status, or let in to whatever comes then.
fn attempt(santral: &Santral, method: &str, path: &str, token: Option<&str>) -> String {
    let path = filled(path);
    // By a name that others use, so that nobody is taken for whoever sits at the machine.
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: santral.example\r\nConnection: close\r\n");
    if let Some(token) = token {
        head.push_str(&format!("Authorization: Bearer {token}\r\n"));
    }
    if method != "GET" {
        // No operation takes this body, so nothing is changed by those who are let in.
        head.push_str("Content-Type: application/json\r\nContent-Length: 1\r\n\r\n]");
    } else {
        head.push_str("\r\n");
    }
    let mut wire = Wire::connect(santral.address, deadline()).expect("the server accepts");
    wire.write(head.as_bytes(), deadline()).expect("the server reads");
    let status = wire.read_head(method, deadline()).expect("the server answers").status;
    assert!(status < 500, "{method} {path}: {status}");
    match status {
        401 | 403 => status.to_string(),
        _ => "yes".to_owned(),
    }
}

/// The path with something in the place of each parameter that names nothing. Channels are those that
/// every account may follow, so that only the gate can refuse.
fn filled(path: &str) -> String {
    if path == "/api/channels" {
        return "/api/channels?prefix=public:".to_owned();
    }
    let parts = path.split('/').map(|part| match part {
        "{session}" => "a-token-that-nobody-has-0123",
        "{id}" => "aaaaaaaaaaaaaaaaaaaaaa",
        "{channel}" => "public:news",
        "{subject}" => "user:nobody",
        "{key}" => "heartbeat",
        "{participant}" => "p_nobody",
        "{file}" => "docs.js",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn callers(santral: &Santral, admin: &Person) -> BTreeMap<&'static str, Option<String>> {
    let user = santral.enrol(admin, "user", "user");
    let viewer = santral.enrol(admin, "viewer", "viewer");
    let (key, _) = santral.api_key(admin, r#"{"name":"shop","role":"publisher"}"#);
    let mut bad = user.access.clone();
    bad.replace_range(bad.len() - 3.., "AAA");
    BTreeMap::from([
        ("anonymous", None),
        ("user", Some(user.access)),
        ("publisher", Some(key)),
        ("viewer", Some(viewer.access)),
        ("admin", Some(admin.access.clone())),
        ("bad token", Some(bad)),
    ])
}

/// The rows of docs/access.md by method and path.
fn table() -> BTreeMap<String, Row> {
    let text = read("docs/access.md");
    let rows = text.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let rows = rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        let outcomes = COLUMNS.into_iter().zip(cells[2..].iter().cloned()).collect();
        (cells[0].clone(), outcomes)
    });
    rows.collect()
}

/// What the gate says to a role without any channel pattern, as accounts have it by default.
fn outcome(access: Access, role: Role) -> &'static str {
    let mut principal = santral::auth::Principal::anonymous(std::sync::Arc::new(Grants::default()));
    principal.role = role;
    principal.expires_at = Some(Timestamp(0));
    match access.is_granted_to(&principal) {
        true => "yes",
        // A token of another kind is missing, whoever asks.
        false if role == Role::Anonymous || access == Access::Participant => "401",
        false => "403",
    }
}

const INTRODUCTION: &str = "\
<!-- Generated from src/http/mod.rs and src/http/access.rs. Do not edit; run: SANTRAL_UPDATE_DOCS=1 cargo test --test it access -->

# Who may do what

What happens at the gate when somebody calls an operation of a server that is not in open mode: `yes` lets
them in, `401` asks who they are, `403` says that their role does not allow it. A test tries every operation
as everybody. Behind the gate the operation still looks at channels (a user publishes and follows only what
the token or the setting of the role grants) and at whose things they are (somebody else's session or
connection is answered like one that does not exist).

| operation | asks for | anonymous | user | publisher | viewer | admin | bad token |
|---|---|---|---|---|---|---|---|
";
