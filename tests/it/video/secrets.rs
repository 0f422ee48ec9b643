//! The secrets of rooms, and what is said in them, stand nowhere but where they belong.

use serde_json::{Value, json};

use super::room_path;
use crate::support::Santral;
use crate::support::contract::{json, text};

/// Shows VID-13. Everything is logged that can be, and every file is looked at.
#[test]
fn no_secret_and_no_word_of_a_call_is_written_down() {
    let (mut santral, admin) = Santral::start_closed(&[("SANTRAL_LOG_LEVEL", "trace")]);
    let ada = santral.enrol(&admin, "ada", "user");
    let password = "Kanarya-password-4711";
    let body = json!({ "roomId": "r", "name": "R", "password": password });
    let made = santral.make_room(Some(&admin.access), &body);
    let host = text(&made["hostToken"]);
    let invite = santral.call("POST", "/api/video/rooms/r/invitations", Some(&host), &json!({}));
    let invitation = text(&json(&invite.text())["joinToken"]);
    let mut one = santral.join(santral.guest(Some(&ada)), "r", &json!({ "password": password }));
    let two = santral.join(santral.guest(Some(&admin)), "r", &json!({ "joinToken": invitation, "hostToken": host }));
    let word = "Kanarya-candidate-192.0.2.77";
    santral.signal(&two, "r", &one.id, Some(1), &json!({ "candidate": word }));
    assert_eq!(one.hear("webrtc.signal")["data"]["candidate"], word);
    let wrong = "Kanarya-wrong-password-0815";
    for (token, body) in [
        (&two.token, json!({ "roomId": "r", "to": "p_x", "type": "custom", "data": { "x": word } })),
        (&two.token, json!({ "roomId": "r", "to": one.id, "type": "custom", "data": word })),
        (&two.token, json!({ "roomId": "r", "to": one.id, "typo": word })),
        (&"ptok_Kanarya-guess".to_owned(), json!({ "roomId": "r", "to": "p_x", "type": "bye" })),
    ] {
        let refused = santral.try_signal(token, &body);
        assert!(refused.status >= 400 && !refused.text().contains("Kanarya"), "{refused:?}");
    }
    for body in [json!({ "password": wrong }), json!({ "password": [wrong] }), json!({ "joinToken": wrong })] {
        let refused = santral.try_join(&santral.guest(Some(&ada)), "r", &body);
        assert!(!refused.text().contains("Kanarya"), "{refused:?}");
    }
    let signature = |token: &str| token.rsplit('.').next().unwrap_or_default().to_owned();
    let secrets: Vec<String> = [&host, &one.token, &two.token]
        .into_iter()
        .cloned()
        .chain([password, wrong, word, "ptok_Kanarya-guess"].map(str::to_owned))
        .chain([signature(&invitation)])
        .collect();
    let mut places: Vec<(String, Vec<u8>)> = Vec::new();
    for path in
        ["/api/logs?limit=1000", "/api/connections", "/api/stats", "/metrics", "/api/settings", "/api/video/rooms"]
    {
        let answer = santral.call("GET", path, Some(&admin.access), &Value::Null);
        places.push((path.to_owned(), answer.body));
    }
    let seen = santral.call("GET", &room_path("r"), Some(&admin.access), &Value::Null);
    places.push(("the room".to_owned(), seen.body));
    santral.server.kill9().expect("the server can be killed");
    places.push(("the log".to_owned(), santral.server.output().into_bytes()));
    for entry in std::fs::read_dir(santral.data_dir.path()).expect("a folder") {
        let path = entry.expect("an entry").path();
        places.push((path.display().to_string(), std::fs::read(&path).unwrap_or_default()));
    }
    assert!(places.iter().any(|(place, bytes)| place.contains("santral.db") && bytes.len() > 4_096));
    for (place, bytes) in &places {
        let shown = String::from_utf8_lossy(bytes);
        for secret in &secrets {
            assert!(!shown.contains(secret.as_str()), "{place} shows {secret}");
        }
    }
}
