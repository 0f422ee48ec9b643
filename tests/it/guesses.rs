//! Whoever guesses passwords is slowed down, and nobody else: neither others nor the owner.

use std::time::Instant;

use santral_testkit::http::Response;
use serde_json::json;

use crate::support::contract::{assert_refused, send};
use crate::support::people::PASSWORD;
use crate::support::{Santral, post_json};

/// The limit on requests shall not be what slows anybody down here.
const NO_OTHER_LIMIT: [(&str, &str); 2] =
    [("SANTRAL_RATE_PER_ADDRESS", "1000000"), ("SANTRAL_RATE_BURST_PER_ADDRESS", "1000000")];

/// Tests come from this machine, which shall stand for a proxy.
const BEHIND_A_PROXY: (&str, &str) = ("SANTRAL_TRUSTED_PROXIES", "127.0.0.1/32");

fn sign_in(santral: &Santral, name: &str, password: &str, from: &str) -> Response {
    let body = json!({"name": name, "password": password}).to_string();
    send(santral, &post_json("/auth/login", &body).header("X-Forwarded-For", from))
}

/// Shows AUTH-10.
#[test]
fn a_thousand_guesses_end_in_429_and_keep_out_neither_others_nor_the_owner() {
    let (santral, admin) = Santral::start_closed(&[NO_OTHER_LIMIT[0], NO_OTHER_LIMIT[1], BEHIND_A_PROXY]);
    for name in ["ada", "bob"] {
        santral.enrol(&admin, name, "user");
    }
    let start = Instant::now();
    let guess = |number: u32| {
        // What the guesser itself puts into the header is to the left of what the proxy has seen.
        let from = format!("198.51.100.{}, 203.0.113.7", number % 250);
        sign_in(&santral, "ada", &format!("wrong-guess-{number}"), &from)
    };
    let answers: Vec<Response> = (0..1_000).map(guess).collect();
    let looked_at = answers.iter().filter(|answer| answer.status == 401).count();
    // Half a minute's worth at once, then ten a minute.
    let deserved = 5 + usize::try_from(start.elapsed().as_secs() / 6).expect("it fits") + 1;
    assert!((1..=deserved).contains(&looked_at), "{looked_at} guesses were looked at");
    for answer in answers.iter().filter(|answer| answer.status != 401) {
        assert_refused(answer, "rate_limited");
        assert!(answer.text().contains("too many attempts"), "{answer:?}");
        let wait = answer.header("retry-after").and_then(|seconds| seconds.parse::<u64>().ok());
        assert!(wait.is_some_and(|seconds| seconds >= 1), "{answer:?}");
    }
    let last = answers.last().map(|answer| answer.status);
    assert_eq!(last, Some(429));
    assert_eq!(sign_in(&santral, "ada", PASSWORD, "203.0.113.8").status, 200, "the owner, from another address");
    assert_eq!(sign_in(&santral, "bob", PASSWORD, "203.0.113.7").status, 200, "somebody else, from the same one");
    assert_eq!(sign_in(&santral, "root", PASSWORD, "203.0.113.7").status, 200, "the operator");
    assert_eq!(guess(1_000).status, 429, "and the guesser has gained nothing by it");
}

/// Shows AUTH-10.
#[test]
fn right_passwords_are_not_counted() {
    let (santral, admin) = Santral::start_closed(&[BEHIND_A_PROXY, ("SANTRAL_LOGIN_ATTEMPTS_PER_MINUTE", "4")]);
    santral.enrol(&admin, "ada", "user");
    for number in 0..20 {
        let answer = sign_in(&santral, "ada", PASSWORD, "203.0.113.7");
        assert_eq!(answer.status, 200, "sign-in {number}: {answer:?}");
    }
    let mut wrong = (0..20).map(|_| sign_in(&santral, "ada", "wrong", "203.0.113.7").status);
    let statuses: Vec<u16> = wrong.by_ref().take_while(|&status| status == 401).collect();
    assert!(!statuses.is_empty(), "the first wrong one is looked at");
    assert!(wrong.any(|status| status == 429), "and not all of them");
}

/// What an operator has set at the start is in force from the start.
#[test]
fn the_limit_on_attempts_and_the_life_of_tokens_are_those_of_the_start() {
    let settings = [
        ("SANTRAL_LOGIN_ATTEMPTS_PER_MINUTE", "1"),
        ("SANTRAL_ACCESS_TOKEN_LIFETIME", "61s"),
        ("SANTRAL_REGISTRATION", "open"),
    ];
    let (santral, admin) = Santral::start_closed(&settings);
    let login = sign_in(&santral, "root", PASSWORD, "203.0.113.7");
    assert_eq!(login.json().expect("a login is JSON")["expiresIn"], 61);
    assert_eq!(sign_in(&santral, "root", "wrong", "203.0.113.7").status, 401);
    assert_refused(&sign_in(&santral, "root", "wrong", "203.0.113.7"), "rate_limited");
    santral.change_setting(&admin, "login_attempts_per_minute", "10000");
    let statuses: Vec<u16> = (0..5).map(|_| sign_in(&santral, "ada", "wrong", "203.0.113.7").status).collect();
    assert_eq!(statuses, [401; 5], "and a change is in force at once");
}
