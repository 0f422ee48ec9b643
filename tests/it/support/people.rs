//! A server with accounts, and the people who have them.

use santral_testkit::http::{Request, Response};

use super::contract::{json, text};
use super::{PATIENCE, Santral};

/// A password that the policy takes.
pub(crate) const PASSWORD: &str = "violet-anchor-9-paper";

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Santral {
    /// Starts a closed server and makes its first admin by the link that it prints.
    pub(crate) fn start_closed(settings: &[(&str, &str)]) -> (Self, Person) {
        let settings: Vec<_> = settings.iter().copied().chain([("SANTRAL_OPEN", "false")]).collect();
        let santral = Self::start_with(&settings);
        let admin = santral.become_admin();
        (santral, admin)
    }

    /// Uses the one-time link of a server that has no admin yet.
    pub(crate) fn become_admin(&self) -> Person {
        let token = self.setup_token();
        let body = format!(r#"{{"token":"{token}","name":"root","password":"{PASSWORD}"}}"#);
        let made = self.post("/api/setup", &body);
        assert!(made.status == 200 || made.status == 201, "{made:?}");
        self.sign_in("root")
    }

    /// The one-time token that the server printed.
    pub(crate) fn setup_token(&self) -> String {
        let printed = self.server.output();
        let link = printed.split("/setup#token=").nth(1).expect("a link to the setup is printed");
        link.split_whitespace().next().expect("a token stands behind it").to_owned()
    }

    /// Signs in with [`PASSWORD`].
    pub(crate) fn sign_in(&self, name: &str) -> Person {
        let answer = self.post("/auth/login", &format!(r#"{{"name":"{name}","password":"{PASSWORD}"}}"#));
        assert_eq!(answer.status, 200, "{answer:?}");
        let login = answer.json().expect("a login is JSON");
        Person {
            id: text(&login["user"]["id"]),
            access: text(&login["accessToken"]),
            refresh: text(&login["refreshToken"]),
        }
    }

    /// Makes an account with [`PASSWORD`] and signs in.
    pub(crate) fn enrol(&self, admin: &Person, name: &str, role: &str) -> Person {
        let body = format!(r#"{{"name":"{name}","password":"{PASSWORD}","role":"{role}"}}"#);
        let made = self.ask("POST", "/api/users", Some(&admin.access), Some(&body));
        assert_eq!(made.status, 201, "{made:?}");
        self.sign_in(name)
    }

    /// Makes an API key and returns it with its id.
    pub(crate) fn api_key(&self, admin: &Person, fields: &str) -> (String, String) {
        let made = self.ask("POST", "/api/keys", Some(&admin.access), Some(fields));
        assert_eq!(made.status, 201, "{made:?}");
        let made = json(&made.text());
        (text(&made["key"]), text(&made["item"]["id"]))
    }

    /// Sends a request with a token and a JSON body, if there are.
    pub(crate) fn ask(&self, method: &str, path: &str, token: Option<&str>, body: Option<&str>) -> Response {
        let mut request = Request::new(method, path);
        if let Some(token) = token {
            request = request.header("Authorization", &format!("Bearer {token}"));
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body);
        }
        request.send(self.address, PATIENCE).expect("the server answers")
    }

    /// Changes a setting, which must succeed.
    pub(crate) fn change_setting(&self, admin: &Person, key: &str, value: &str) {
        let body = format!(r#"{{"key":"{key}","value":"{value}"}}"#);
        let answer = self.ask("POST", "/api/settings", Some(&admin.access), Some(&body));
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}
