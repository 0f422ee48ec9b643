//! Keys of the issuer: which are taken, and how a changed file of them is read.

use super::*;

/// A JWK of the test's RSA key: modulus and exponent out of the PEM.
fn rsa_jwk(extra: Value) -> Value {
    let der = RSA_PUBLIC.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let der = BASE64_STANDARD.decode(der).expect("PEM is base64");
    // SubjectPublicKeyInfo of a 2,048-bit key: 33 bytes in front of the modulus, 5 around the exponent.
    let mut jwk = json!({"kty": "RSA", "n": BASE64_URL_SAFE_NO_PAD.encode(&der[33..289]), "e": "AQAB"});
    for (name, value) in extra.as_object().expect("an object") {
        jwk[name] = value.clone();
    }
    jwk
}

#[test]
fn keys_of_a_set_are_told_by_id_and_purpose() {
    let keys = json!({"keys": [
        rsa_jwk(json!({"kid": "one", "use": "sig", "alg": "RS256"})),
        rsa_jwk(json!({"kid": "enc", "use": "enc"})),
        rsa_jwk(json!({"kid": "pss", "alg": "PS256"})),
        rsa_jwk(json!({"kid": "wrong", "alg": "ES256"})),
        {"kty": "EC", "crv": "P-521", "kid": "big", "x": "AA", "y": "AA"},
        {"kty": "unheard-of"},
    ]});
    let door = Door::with_keys(&keys.to_string());
    let token = |header: Value| rsa(&header, &issuer_claims());
    assert!(door.present(&token(json!({"alg": "RS256", "kid": "one"}))).is_ok());
    assert!(door.present(&token(json!({"alg": "RS256"}))).is_ok());
    for kid in ["enc", "pss", "wrong", "ONE", "two", "../one"] {
        door.refuses(&token(json!({"alg": "RS256", "kid": kid})), AuthError::BadSignature);
    }
}

#[test]
fn bad_keys_are_refused_at_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("keys");
    let jwks = |jwk: Value| json!({"keys": [jwk]}).to_string();
    let weak_n = BASE64_URL_SAFE_NO_PAD.encode([0xff; 128]);
    for (keys, error) in [
        (RSA_1024_PUBLIC.to_owned(), KeyError::RsaSize(1_024)),
        (jwks(rsa_jwk(json!({"n": weak_n}))), KeyError::RsaSize(1_024)),
        (P384_PUBLIC.to_owned(), KeyError::Curve),
        (K256_PUBLIC.to_owned(), KeyError::Curve),
        (
            jwks(json!({"kty": "EC", "crv": "P-256", "x": part(&"x".repeat(32)), "y": part(&"y".repeat(32))})),
            KeyError::Curve,
        ),
        (jwks(json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"})), KeyError::Damaged),
        (jwks(json!({"kty": "oct", "k": part("short")})), KeyError::ShortSecret),
        (jwks(rsa_jwk(json!({"d": "AAAA"}))), KeyError::Private),
        (RSA.to_owned(), KeyError::Private),
        (EC.to_owned(), KeyError::Private),
        (ED25519.to_owned(), KeyError::Private),
        (jwks(rsa_jwk(json!({"use": "enc"}))), KeyError::NoKey),
        (json!({"keys": []}).to_string(), KeyError::NoKey),
        (json!({"keys": vec![rsa_jwk(json!({})); 33]}).to_string(), KeyError::TooMany),
        (format!("{RSA_PUBLIC}{EC_PUBLIC}"), KeyError::Form),
        (String::new(), KeyError::Form),
        ("{}".to_owned(), KeyError::Form),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_owned(), KeyError::Form),
    ] {
        fs::write(&path, &keys).expect("the file is written");
        let options = IssuerOptions { key_file: Some(path.clone()), ..IssuerOptions::default() };
        let refused = Issuer::open(&options).err().expect("it is refused");
        assert!(
            matches!(&refused, IssuerError::Keys { error: found, .. } if *found == error),
            "{error:?}: {refused}\n{keys:.300}"
        );
    }
    for secret in ["short", "changemechangemechangemechangeme!!"] {
        let options = IssuerOptions { secret: Some(Secret::new(secret.to_owned())), ..IssuerOptions::default() };
        assert!(matches!(Issuer::open(&options), Err(IssuerError::Secret(_))), "{secret}");
    }
    assert!(matches!(Issuer::open(&IssuerOptions::default()), Ok(None)));
}

#[test]
fn a_changed_key_file_is_read_again_and_a_broken_one_changes_nothing() {
    let second = |seconds: i64| Timestamp((NOW + seconds) * 1_000_000);
    let door = Door::with_keys(RSA_PUBLIC);
    let ec = EncodingKey::from_ec_pem(EC.as_bytes()).expect("a key of the test");
    let by_ec = signed_text("{\"alg\":\"ES256\"}", &issuer_claims().to_string(), Algorithm::ES256, &ec);
    let by_rsa = rsa(&json!({"alg": "RS256"}), &issuer_claims());
    assert!(door.present_at(&by_rsa, second(0)).is_ok());
    fs::write(&door.key_file, EC_PUBLIC).expect("the file is written");
    assert_eq!(
        door.present_at(&by_ec, Timestamp(second(1).0 - 1)).err(),
        Some(AuthError::BadSignature),
        "not looked at yet"
    );
    assert!(door.present_at(&by_ec, second(1)).is_ok());
    assert_eq!(door.present_at(&by_rsa, second(1)).err(), Some(AuthError::BadSignature));
    fs::write(&door.key_file, "rubbish").expect("the file is written");
    assert!(door.present_at(&by_ec, second(2)).is_ok());
    fs::remove_file(&door.key_file).expect("the file is there");
    assert!(door.present_at(&by_ec, second(3)).is_ok());
    fs::write(&door.key_file, RSA_PUBLIC).expect("the file is written");
    assert!(door.present_at(&by_rsa, second(4)).is_ok());
    fs::write(&door.key_file, EC_PUBLIC).expect("the file is written");
    assert!(door.present_at(&by_ec, second(2)).is_ok(), "a clock that was set back does not end the looking");
}
