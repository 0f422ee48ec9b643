//! Forged, broken and misused tokens against everything that accepts tokens.
//!
//! The keys in `testdata` are for these tests only; whoever reads this has them.

mod form;
mod keys;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use santral_core::entry::Timestamp;
use santral_core::grants::{Grants, Patterns};
use santral_core::names::ChannelName;
use santral_schema::access::Role;

use super::issuer::{Issuer, IssuerError, IssuerOptions};
use super::secrets::TokenKey;
use super::tokens::Tokens;
use super::{AuthError, Authenticator, Credential, KeyError, Presented, Principal, RoleGrants};
use crate::config::Secret;
use crate::ports::accounts::{Login, User};

const RSA: &str = include_str!("testdata/rsa-2048.private.pem");
const RSA_PUBLIC: &str = include_str!("testdata/rsa-2048.public.pem");
const RSA_1024_PUBLIC: &str = include_str!("testdata/rsa-1024.public.pem");
const EC: &str = include_str!("testdata/ec-p256.private.pem");
const EC_PUBLIC: &str = include_str!("testdata/ec-p256.public.pem");
const P384_PUBLIC: &str = include_str!("testdata/ec-p384.public.pem");
const K256_PUBLIC: &str = include_str!("testdata/ec-k256.public.pem");
const ED25519: &str = include_str!("testdata/ed25519.private.pem");
const ED25519_PUBLIC: &str = include_str!("testdata/ed25519.public.pem");

/// The second at which all tests take place.
const NOW: i64 = 1_800_000_000;
const OWN_SECRET: &str = "own-Zq8tL2xW9mR4kV7bN1cH6pJ3dF5sG0yT";
const SHARED_SECRET: &str = "issuer-Tq8yL2xW9mR4kV7bN1cH6pJ3dF5sG0z";

fn now() -> Timestamp {
    Timestamp(NOW * 1_000_000)
}

fn part(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

/// A token with this header and these claims, both as text, signed by a key.
fn signed_text(header: &str, claims: &str, algorithm: Algorithm, key: &EncodingKey) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).expect("the key is good");
    format!("{message}.{signature}")
}

fn hs256(secret: &str, header: &Value, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    signed_text(&header.to_string(), &claims.to_string(), Algorithm::HS256, &key)
}

/// Claims of our own access token for ada.
fn own_claims() -> Value {
    json!({"iss": "santral", "aud": "santral", "sub": "ada", "role": "user", "ver": 1, "sid": "login",
           "iat": NOW, "exp": NOW + 900})
}

/// Claims of the operator's issuer for eve.
fn issuer_claims() -> Value {
    json!({"iss": "https://issuer.test", "aud": "realtime", "sub": "eve", "exp": NOW + 60,
           "subscribe": ["orders.*"], "publish": ["chat"]})
}

fn with(mut claims: Value, changes: &[(&str, Value)]) -> Value {
    for (name, value) in changes {
        claims[*name] = value.clone();
    }
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().expect("claims are an object").remove(name);
    claims
}

/// Everything that accepts tokens, with a shared secret and a file of keys of the issuer.
struct Door {
    authenticator: Authenticator,
    key_file: PathBuf,
    _folder: TempDir,
}

impl Door {
    /// The issuer's public key is the RSA one.
    fn new() -> Self {
        Self::with_keys(RSA_PUBLIC)
    }

    fn with_keys(keys: &str) -> Self {
        Self::with_options(keys, |_| ())
    }

    fn with_options(keys: &str, change: impl FnOnce(&mut IssuerOptions)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let key_file = folder.path().join("issuer.keys");
        fs::write(&key_file, keys).expect("the file is written");
        let mut options = IssuerOptions {
            secret: Some(Secret::new(SHARED_SECRET.to_owned())),
            key_file: Some(key_file.clone()),
            issuer: Some("https://issuer.test".to_owned()),
            audience: Some("realtime".to_owned()),
        };
        change(&mut options);
        let issuer = Issuer::open(&options).expect("the keys are good");
        let role_grants = RoleGrants { anonymous: Arc::default(), user: grants(&["lobby"]) };
        Self { authenticator: Authenticator::new(own_tokens(), issuer, role_grants), key_file, _folder: folder }
    }

    fn present(&self, token: &str) -> Result<Principal, AuthError> {
        self.present_at(token, now())
    }

    fn present_at(&self, token: &str, at: Timestamp) -> Result<Principal, AuthError> {
        self.authenticator.authenticate(&Presented { bearer: Some(token), ..Presented::default() }, at)
    }

    #[track_caller]
    fn refuses(&self, token: &str, error: AuthError) {
        assert_eq!(self.present(token).err(), Some(error), "{token:.200}");
    }
}

fn own_tokens() -> Tokens {
    let secret = Secret::new(OWN_SECRET.to_owned());
    Tokens::new(&TokenKey::open(Some(&secret), &PathBuf::from("unused")).expect("a strong secret"))
}

fn grants(patterns: &[&str]) -> Arc<Grants> {
    let patterns = Patterns::parse(patterns).expect("patterns of the test");
    Arc::new(Grants { subscribe: patterns.clone(), publish: patterns, ..Grants::default() })
}

fn own_header() -> Value {
    json!({"alg": "HS256", "typ": "at+jwt"})
}

fn own(claims: &Value) -> String {
    hs256(OWN_SECRET, &own_header(), claims)
}

fn foreign(claims: &Value) -> String {
    hs256(SHARED_SECRET, &json!({"alg": "HS256", "typ": "JWT"}), claims)
}

fn rsa(header: &Value, claims: &Value) -> String {
    let key = EncodingKey::from_rsa_pem(RSA.as_bytes()).expect("a key of the test");
    signed_text(&header.to_string(), &claims.to_string(), Algorithm::RS256, &key)
}

fn user() -> User {
    User {
        id: "ada".into(),
        name: "ada".to_owned(),
        password_hash: None,
        role: Role::User,
        token_version: 1,
        disabled_at: None,
        created_at: Timestamp(0),
    }
}

fn login() -> Login {
    Login {
        id: "login".into(),
        user: "ada".into(),
        generation: 0,
        expires_at: own_tokens().login_end(now()),
        revoked_at: None,
    }
}

/// The forgeries below fail for their own reason only if these do not fail.
#[test]
fn good_tokens_are_accepted() {
    let door = Door::new();
    for token in [own(&own_claims()), own_tokens().issue_access(&user(), "login", now())] {
        let ada = door.present(&token).expect("it is ours");
        assert_eq!((&*ada.name, ada.user.as_deref(), ada.role), ("user:ada", Some("ada"), Role::User));
        assert_eq!(ada.credential, Credential::Login { family: "login".into(), version: 1 });
        assert_eq!(ada.expires_at, Some(Timestamp((NOW + 900) * 1_000_000)));
        assert!(ada.grants.subscribe.allow(&ChannelName::parse("lobby").expect("a channel")));
    }
    let plain = json!({"alg": "RS256"});
    for token in [foreign(&issuer_claims()), rsa(&plain, &issuer_claims())] {
        let eve = door.present(&token).expect("it is the issuer's");
        assert_eq!((&*eve.name, eve.user.as_deref(), eve.role), ("jwt:eve", Some("eve"), Role::User));
        let allows = |patterns: &Patterns, channel| patterns.allow(&ChannelName::parse(channel).expect("a channel"));
        assert!(allows(&eve.grants.subscribe, "orders.1") && !allows(&eve.grants.subscribe, "chat"));
        assert!(allows(&eve.grants.publish, "chat") && !allows(&eve.grants.publish, "orders.1"));
        assert!(eve.grants.presence.is_empty() && eve.grants.rooms.is_empty());
    }
    assert_eq!(
        door.authenticator.authenticate(&Presented::default(), now()).map(|nobody| nobody.role),
        Ok(Role::Anonymous)
    );
}

#[test]
fn each_type_of_key_has_its_one_algorithm() {
    let ec = EncodingKey::from_ec_pem(EC.as_bytes()).expect("a key of the test");
    let ed = EncodingKey::from_ed_pem(ED25519.as_bytes()).expect("a key of the test");
    for (public, name, algorithm, key) in
        [(EC_PUBLIC, "ES256", Algorithm::ES256, ec), (ED25519_PUBLIC, "EdDSA", Algorithm::EdDSA, ed)]
    {
        let header = json!({"alg": name}).to_string();
        let token = signed_text(&header, &issuer_claims().to_string(), algorithm, &key);
        assert!(Door::with_keys(public).present(&token).is_ok(), "{name}");
        Door::new().refuses(&token, AuthError::BadSignature);
    }
}

#[test]
fn no_algorithm_is_none() {
    let door = Door::new();
    for name in ["none", "None", "NONE", "nOnE", ""] {
        for claims in [own_claims(), with(own_claims(), &[("role", json!("admin"))]), issuer_claims()] {
            for typ in ["at+jwt", "JWT"] {
                let message =
                    format!("{}.{}", part(&json!({"alg": name, "typ": typ}).to_string()), part(&claims.to_string()));
                door.refuses(&format!("{message}."), AuthError::Malformed);
                door.refuses(&format!("{message}.AA"), AuthError::BadSignature);
                let signed = hs256(OWN_SECRET, &json!({"alg": name, "typ": typ}), &claims);
                door.refuses(&signed, AuthError::BadSignature);
            }
        }
    }
    for header in [json!({"typ": "at+jwt"}), json!({"alg": null}), json!({"alg": ["HS256"]}), json!({"alg": 0})] {
        door.refuses(&hs256(OWN_SECRET, &header, &own_claims()), AuthError::Malformed);
    }
}

#[test]
fn a_public_key_is_no_shared_secret() {
    let door = Door::new();
    let der = RSA_PUBLIC.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let der = BASE64_STANDARD.decode(der).expect("PEM is base64");
    for secret in [RSA_PUBLIC.as_bytes(), RSA_PUBLIC.trim().as_bytes(), &der] {
        let key = EncodingKey::from_secret(secret);
        for name in ["HS256", "RS256"] {
            let header = json!({"alg": name, "typ": "JWT"}).to_string();
            let token = signed_text(&header, &issuer_claims().to_string(), Algorithm::HS256, &key);
            door.refuses(&token, AuthError::BadSignature);
        }
    }
}

#[test]
fn other_algorithms_with_the_right_key_are_refused() {
    let door = Door::new();
    let own_key = EncodingKey::from_secret(OWN_SECRET.as_bytes());
    let shared = EncodingKey::from_secret(SHARED_SECRET.as_bytes());
    for (name, algorithm) in [("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)] {
        for (key, typ, claims) in [(&own_key, "at+jwt", own_claims()), (&shared, "JWT", issuer_claims())] {
            let header = json!({"alg": name, "typ": typ}).to_string();
            door.refuses(&signed_text(&header, &claims.to_string(), algorithm, key), AuthError::BadSignature);
            let header = json!({"alg": "HS256", "typ": typ}).to_string();
            door.refuses(&signed_text(&header, &claims.to_string(), algorithm, key), AuthError::BadSignature);
        }
    }
    let key = EncodingKey::from_rsa_pem(RSA.as_bytes()).expect("a key of the test");
    for (name, algorithm) in [("RS384", Algorithm::RS384), ("RS512", Algorithm::RS512), ("PS256", Algorithm::PS256)] {
        let header = json!({"alg": name}).to_string();
        door.refuses(&signed_text(&header, &issuer_claims().to_string(), algorithm, &key), AuthError::BadSignature);
    }
    door.refuses(&hs256(OWN_SECRET, &json!({"alg": "hs256", "typ": "at+jwt"}), &own_claims()), AuthError::BadSignature);
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let door = Door::new();
    for token in [own(&own_claims()), rsa(&json!({"alg": "RS256"}), &issuer_claims())] {
        assert!(door.present(&token).is_ok());
        let parts: Vec<_> = token.split('.').collect();
        for (index, text) in parts.iter().enumerate() {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).expect("a part is base64");
            for at in 0..bytes.len() {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << (at % 8);
                let mut parts = parts.clone();
                let flipped = BASE64_URL_SAFE_NO_PAD.encode(bytes);
                parts[index] = &flipped;
                assert!(door.present(&parts.join(".")).is_err(), "part {index}, byte {at}");
            }
        }
    }
}

#[test]
fn the_last_character_of_a_signature_has_one_form() {
    let (door, token) = (Door::new(), own(&own_claims()));
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let good = alphabet
        .iter()
        .filter(|last| door.present(&format!("{}{}", &token[..token.len() - 1], char::from(**last))).is_ok());
    assert_eq!(good.count(), 1);
}

#[test]
fn time_is_kept() {
    let door = Door::new();
    for (claims, sign) in [(own_claims(), own as fn(&Value) -> String), (issuer_claims(), foreign)] {
        let at = |changes: &[(&str, Value)]| sign(&with(claims.clone(), changes));
        door.refuses(&at(&[("exp", json!(NOW - 1))]), AuthError::Expired);
        door.refuses(&at(&[("exp", json!(NOW))]), AuthError::Expired);
        door.refuses(&at(&[("exp", json!(0))]), AuthError::Expired);
        assert!(door.present(&at(&[("exp", json!(NOW + 1))])).is_ok());
        assert!(door.present(&at(&[("exp", json!(NOW as f64 + 1.5))])).is_ok());
        door.refuses(&at(&[("nbf", json!(NOW + 6))]), AuthError::NotYet);
        assert!(door.present(&at(&[("nbf", json!(NOW + 5))])).is_ok());
        assert!(door.present(&at(&[("nbf", json!(NOW))])).is_ok());
        door.refuses(&sign(&without(claims.clone(), "exp")), AuthError::MissingClaim("exp"));
        door.refuses(&at(&[("exp", json!(null))]), AuthError::MissingClaim("exp"));
        for broken in
            [json!((NOW + 60).to_string()), json!(-1), json!(1e300), json!([NOW]), json!(true), json!(u64::MAX)]
        {
            door.refuses(&at(&[("exp", broken.clone())]), AuthError::Malformed);
            door.refuses(&at(&[("nbf", broken)]), AuthError::Malformed);
        }
    }
    let token = own(&own_claims());
    assert!(door.present_at(&token, Timestamp((NOW + 900) * 1_000_000 - 1)).is_ok());
    assert_eq!(door.present_at(&token, Timestamp((NOW + 900) * 1_000_000)).err(), Some(AuthError::Expired));
}

#[test]
fn issuer_and_audience_are_compared() {
    let door = Door::new();
    let changed = |name, value| foreign(&with(issuer_claims(), &[(name, value)]));
    for iss in ["https://issuer.test/", "https://evil.test", "HTTPS://ISSUER.TEST", "", "santral"] {
        door.refuses(&changed("iss", json!(iss)), AuthError::WrongIssuer);
    }
    door.refuses(&changed("iss", json!(["https://issuer.test"])), AuthError::Malformed);
    door.refuses(&foreign(&without(issuer_claims(), "iss")), AuthError::MissingClaim("iss"));
    for aud in [json!("other"), json!(["other"]), json!([]), json!(""), json!("realtime ")] {
        door.refuses(&changed("aud", aud), AuthError::WrongAudience);
    }
    assert!(door.present(&changed("aud", json!(["other", "realtime"]))).is_ok());
    door.refuses(&changed("aud", json!(7)), AuthError::Malformed);
    door.refuses(&foreign(&without(issuer_claims(), "aud")), AuthError::MissingClaim("aud"));
    let open = Door::with_options(RSA_PUBLIC, |options| (options.issuer, options.audience) = (None, None));
    assert!(open.present(&foreign(&without(without(issuer_claims(), "iss"), "aud"))).is_ok());
    door.refuses(&own(&with(own_claims(), &[("iss", json!("https://issuer.test"))])), AuthError::WrongIssuer);
    door.refuses(&own(&with(own_claims(), &[("aud", json!("realtime"))])), AuthError::WrongAudience);
}

#[test]
fn a_claim_that_is_given_twice_is_refused() {
    let door = Door::new();
    let (own_key, shared) =
        (EncodingKey::from_secret(OWN_SECRET.as_bytes()), EncodingKey::from_secret(SHARED_SECRET.as_bytes()));
    for extra in
        ["\"sub\":\"root\"", "\"exp\":9999999999", "\"role\":\"admin\"", "\"iss\":\"santral\"", "\"aud\":\"x\""]
    {
        let twice = |claims: Value| format!("{{{extra},{}", &claims.to_string()[1..]);
        let token = signed_text(&own_header().to_string(), &twice(own_claims()), Algorithm::HS256, &own_key);
        door.refuses(&token, AuthError::Malformed);
        let claims = twice(with(issuer_claims(), &[("role", json!("user"))]));
        door.refuses(&signed_text("{\"alg\":\"HS256\"}", &claims, Algorithm::HS256, &shared), AuthError::Malformed);
    }
}

#[test]
fn a_token_is_good_for_what_it_was_made_for_only() {
    let (door, tokens) = (Door::new(), own_tokens());
    let (access, refresh) = (tokens.issue_access(&user(), "login", now()), tokens.issue_refresh(&login()));
    assert!(tokens.verify_refresh(&refresh, now()).is_ok());
    door.refuses(&refresh, AuthError::WrongType);
    assert_eq!(tokens.verify_refresh(&access, now()).err(), Some(AuthError::WrongType));
    for typ in ["JWT", "jwt", "dpop+jwt", ""] {
        let token = hs256(OWN_SECRET, &json!({"alg": "HS256", "typ": typ}), &own_claims());
        assert!(door.present(&token).is_err(), "{typ}");
    }
    assert!(door.present(&hs256(OWN_SECRET, &json!({"alg": "HS256"}), &own_claims())).is_err());
    door.refuses(
        &hs256(SHARED_SECRET, &json!({"alg": "HS256", "typ": "rt+jwt"}), &issuer_claims()),
        AuthError::WrongType,
    );
    assert!(
        door.present(&hs256(SHARED_SECRET, &json!({"alg": "HS256", "typ": "application/AT+JWT"}), &issuer_claims()))
            .is_ok()
    );
    door.refuses(&hs256(SHARED_SECRET, &own_header(), &own_claims()), AuthError::WrongIssuer);
}

#[test]
fn nobody_gives_himself_a_role() {
    let (door, token) = (Door::new(), own(&own_claims()));
    let parts: Vec<_> = token.split('.').collect();
    for changes in [("role", json!("admin")), ("sub", json!("bob")), ("ver", json!(99)), ("sid", json!("other"))] {
        let tampered = part(&with(own_claims(), &[changes]).to_string());
        door.refuses(&format!("{}.{tampered}.{}", parts[0], parts[2]), AuthError::BadSignature);
    }
    for role in [json!("root"), json!("Admin"), json!("ADMIN"), json!(""), json!("anonymous")] {
        door.refuses(&foreign(&with(issuer_claims(), &[("role", role)])), AuthError::BadClaim("role"));
    }
    for role in [json!(["admin"]), json!(4), json!({"name": "admin"})] {
        door.refuses(&foreign(&with(issuer_claims(), &[("role", role)])), AuthError::Malformed);
    }
    door.refuses(&own(&with(own_claims(), &[("role", json!("root"))])), AuthError::Malformed);
    let admin =
        door.present(&foreign(&with(issuer_claims(), &[("role", json!("admin"))]))).expect("the issuer may say so");
    assert_eq!(admin.role, Role::Admin);
}

#[test]
fn claims_of_the_issuer_keep_to_the_grammar() {
    let door = Door::new();
    let long = "x".repeat(65);
    for sub in ["", "a b", "a*", "ä", "../x?", "a\n", &long] {
        door.refuses(&foreign(&with(issuer_claims(), &[("sub", json!(sub))])), AuthError::BadClaim("sub"));
    }
    door.refuses(&foreign(&without(issuer_claims(), "sub")), AuthError::MissingClaim("sub"));
    door.refuses(&foreign(&with(issuer_claims(), &[("sub", json!(7))])), AuthError::Malformed);
    for name in ["subscribe", "publish", "presence", "rooms"] {
        for patterns in
            [json!([""]), json!(["user:*"]), json!(["$sys"]), json!(["a*b"]), json!(["**"]), json!(vec!["a"; 101])]
        {
            assert_eq!(
                door.present(&foreign(&with(issuer_claims(), &[(name, patterns)]))).err(),
                Some(AuthError::BadClaim(name)),
            );
        }
        door.refuses(&foreign(&with(issuer_claims(), &[(name, json!("orders.*"))])), AuthError::Malformed);
    }
    let bare = |role: &str| json!({"iss": "https://issuer.test", "aud": "realtime", "sub": "eve", "exp": NOW + 60, "role": role});
    let subscribe = |role: &str, channel: &str| {
        let principal = door.present(&foreign(&bare(role))).expect("it is good");
        principal.grants.subscribe.allow(&ChannelName::parse(channel).expect("a channel"))
    };
    assert!(subscribe("user", "lobby") && !subscribe("user", "orders.1"), "the role's channels, if it names none");
    assert!(subscribe("publisher", "orders.1") && subscribe("viewer", "orders.1"));
}

#[test]
fn revoked_tokens_are_refused() {
    let door = Door::new();
    let token = own(&own_claims());
    door.authenticator.revocations.revoke_login("login".into(), now());
    door.refuses(&token, AuthError::Revoked);
    let door = Door::new();
    door.authenticator.revocations.revoke_user("ada".into(), 2, now());
    door.refuses(&token, AuthError::Revoked);
    assert!(door.present(&own(&with(own_claims(), &[("ver", json!(2))]))).is_ok());
}

#[test]
fn one_credential_at_a_time() {
    let (door, token) = (Door::new(), own(&own_claims()));
    let ticket =
        door.authenticator.tickets.issue(door.present(&token).expect("it is good"), now()).expect("there is room");
    let (token, ticket) = (Some(token.as_str()), Some(ticket.reveal()));
    for (bearer, query_token, in_query) in
        [(token, token, None), (token, None, ticket), (None, token, ticket), (token, token, ticket)]
    {
        let presented = Presented { bearer, query_token, ticket: in_query };
        assert_eq!(door.authenticator.authenticate(&presented, now()).err(), Some(AuthError::TwoCredentials));
    }
    let by_query = Presented { query_token: token, ..Presented::default() };
    assert!(door.authenticator.authenticate(&by_query, now()).is_ok());
    let by_ticket = Presented { ticket, ..Presented::default() };
    assert_eq!(
        door.authenticator.authenticate(&by_ticket, now()).map(|ada| ada.name.to_string()),
        Ok("user:ada".to_owned())
    );
    assert_eq!(door.authenticator.authenticate(&by_ticket, now()).err(), Some(AuthError::UnknownTicket));
    for empty in
        [Presented { bearer: Some(""), ..Presented::default() }, Presented { ticket: Some(""), ..Presented::default() }]
    {
        assert!(door.authenticator.authenticate(&empty, now()).is_err(), "an empty credential is not none");
    }
}

/// No text that an error can have shows what was presented.
#[test]
fn errors_show_no_token() {
    let door = Door::new();
    for token in [
        foreign(&with(issuer_claims(), &[("sub", json!("canary canary"))])),
        "sk_canary".to_owned(),
        "canary".to_owned(),
    ] {
        let error = door.present(&token).expect_err("it is refused");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
}
