//! What a token is made of: sizes, headers, and the form of the whole.

use super::*;

#[test]
fn size_is_bounded_before_anything_is_read() {
    let door = Door::new();
    let huge = json!({"alg": "HS256", "typ": "at+jwt", "x": "y".repeat(100_000)});
    door.refuses(&hs256(OWN_SECRET, &huge, &own_claims()), AuthError::TooLong);
    let long = json!({"alg": "HS256", "typ": "at+jwt", "x": "y".repeat(1_000)});
    door.refuses(&hs256(OWN_SECRET, &long, &own_claims()), AuthError::TooLong);
    door.refuses(&own(&with(own_claims(), &[("x", json!("y".repeat(8_000)))])), AuthError::TooLong);
    assert!(door.present(&own(&with(own_claims(), &[("x", json!("y".repeat(5_000)))]))).is_ok());
    let deep = format!("{{\"alg\":\"HS256\",\"x\":{}", "[".repeat(600));
    door.refuses(&format!("{}.{}.AA", part(&deep), part("{}")), AuthError::Malformed);
}

#[test]
fn a_header_names_no_key_to_fetch() {
    let door = Door::new();
    let attacker = EncodingKey::from_secret(b"the attacker's own secret, long enough to sign");
    for kid in ["../../dev/null", "/dev/null", "https://evil.test/key", "' OR 1=1 --", "\0", "issuer.keys", ""] {
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        door.refuses(
            &signed_text(&header, &issuer_claims().to_string(), Algorithm::HS256, &attacker),
            AuthError::BadSignature,
        );
        let empty = EncodingKey::from_secret(b"");
        door.refuses(
            &signed_text(&header, &issuer_claims().to_string(), Algorithm::HS256, &empty),
            AuthError::BadSignature,
        );
    }
    let jwk = json!({"kty": "oct", "k": part("the attacker's own secret, long enough to sign")});
    for extra in [
        json!({"jku": "https://evil.test/keys"}),
        json!({"x5u": "https://evil.test/certificate"}),
        json!({"jwk": jwk}),
        json!({"x5c": ["AAAA"]}),
    ] {
        let mut header = extra;
        header["alg"] = json!("HS256");
        let header = header.to_string();
        door.refuses(
            &signed_text(&header, &issuer_claims().to_string(), Algorithm::HS256, &attacker),
            AuthError::BadSignature,
        );
    }
    for crit in [json!(["exp"]), json!([]), json!("b64")] {
        door.refuses(
            &hs256(OWN_SECRET, &json!({"alg": "HS256", "typ": "at+jwt", "crit": crit}), &own_claims()),
            AuthError::Malformed,
        );
    }
    door.refuses(
        &hs256(OWN_SECRET, &json!({"alg": "HS256", "typ": "at+jwt", "kid": 7}), &own_claims()),
        AuthError::Malformed,
    );
}

#[test]
fn what_has_not_the_form_of_a_token_is_refused() {
    let (door, token) = (Door::new(), own(&own_claims()));
    let parts: Vec<_> = token.split('.').collect();
    let padded = |index: usize| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(parts[index]).expect("a part is base64");
        let mut parts: Vec<_> = parts.iter().map(|part| (*part).to_owned()).collect();
        parts[index] = format!("{}=", BASE64_URL_SAFE.encode(bytes).trim_end_matches('='));
        parts.join(".")
    };
    for broken in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        "x".to_owned(),
        parts[..2].join("."),
        format!("{}.{}.", parts[0], parts[1]),
        format!(".{}.{}", parts[1], parts[2]),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{}", parts[2]),
        format!("{} {}", "Bearer", token),
        padded(0),
        format!("{}.{}.{}", parts[0], parts[1], "ä"),
    ] {
        assert!(matches!(door.present(&broken), Err(AuthError::Malformed | AuthError::BadSignature)), "{broken}");
    }
    for broken in [
        token[..token.len() - 1].to_owned(),
        format!("{}..{}", parts[0], parts[2]),
        padded(1),
        padded(2),
        format!("{token} "),
        format!(" {token}"),
        format!("{token}\n"),
        token.replace('.', "%2E"),
        parts.iter().rev().copied().collect::<Vec<_>>().join("."),
    ] {
        assert!(door.present(&broken).is_err(), "{broken}");
    }
    for header in
        ["[\"HS256\",\"at+jwt\"]", "\"HS256\"", "null", "{", "{\"alg\":\"HS256\",\"alg\":\"none\",\"typ\":\"at+jwt\"}"]
    {
        let key = EncodingKey::from_secret(OWN_SECRET.as_bytes());
        door.refuses(&signed_text(header, &own_claims().to_string(), Algorithm::HS256, &key), AuthError::Malformed);
    }
}
