//! Tokens of ours for somebody without an account, as a script or a test needs one: they name the
//! channels themselves, like those of the operator's own issuer, and are signed with our key.
//!
//! Nothing takes one back before it ends, so they are for whoever has the key in hand: the command
//! line makes them, no operation of the server does.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use santral_core::entry::Timestamp;
use santral_core::grants::{Grants, Patterns};
use santral_schema::access::Role;

use super::error::AuthError;
use super::issuer::{IssuerClaims, subject};
use super::jws::NumericDate;
use super::tokens::{OURSELVES, Tokens, check_end, check_party, whole_seconds};

/// Media type, so that no token of another kind is taken for one.
const SUBJECT: &str = "st+jwt";

/// For whom a token is to be.
#[derive(Debug, Clone, Default)]
pub struct SubjectOrder {
    /// Whom it names; fits into the name of a user's channel.
    pub subject: String,
    /// Channels to follow, as patterns. Without any pattern of any kind the role decides.
    pub subscribe: Vec<String>,
    /// Channels to publish to.
    pub publish: Vec<String>,
    /// Channels whose followers may be seen.
    pub presence: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct WireSubject {
    iss: String,
    aud: String,
    sub: String,
    role: Role,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subscribe: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    publish: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    presence: Option<Vec<String>>,
    iat: i64,
    exp: Option<NumericDate>,
}

impl WireSubject {
    /// As with the issuer: as soon as channels of one kind are named, there are none of the others.
    fn grants(&self) -> Result<Option<Grants>, AuthError> {
        let lists = [&self.subscribe, &self.publish, &self.presence];
        if lists.iter().all(|list| list.is_none()) {
            return Ok(None);
        }
        let patterns = |list: &Option<Vec<String>>, name| {
            Patterns::parse(list.as_deref().unwrap_or_default()).map_err(|_| AuthError::BadClaim(name))
        };
        Ok(Some(Grants {
            subscribe: patterns(&self.subscribe, "subscribe")?,
            publish: patterns(&self.publish, "publish")?,
            presence: patterns(&self.presence, "presence")?,
            rooms: Patterns::default(),
        }))
    }
}

impl Tokens {
    /// A token for somebody without an account.
    ///
    /// # Errors
    /// [`AuthError::BadClaim`] when the subject, the role or a pattern is none.
    pub fn issue_for_subject(
        &self,
        order: &SubjectOrder,
        role: Role,
        lifetime: Duration,
        now: Timestamp,
    ) -> Result<String, AuthError> {
        let list = |patterns: &[String]| (!patterns.is_empty()).then(|| patterns.to_vec());
        let issued = NumericDate::of(now);
        let claims = WireSubject {
            iss: OURSELVES.to_owned(),
            aud: OURSELVES.to_owned(),
            sub: order.subject.clone(),
            role,
            subscribe: list(&order.subscribe),
            publish: list(&order.publish),
            presence: list(&order.presence),
            iat: issued.0,
            exp: Some(NumericDate(issued.0 + whole_seconds(lifetime))),
        };
        check(&claims)?;
        claims.grants()?;
        Ok(self.sign(SUBJECT, &claims))
    }

    /// Verifies such a token.
    ///
    /// # Errors
    /// [`AuthError`]; [`AuthError::BadSignature`] or [`AuthError::WrongType`] if it is none of ours.
    pub fn verify_for_subject(&self, token: &str, now: Timestamp) -> Result<IssuerClaims, AuthError> {
        let claims: WireSubject = self.verify(SUBJECT, token)?;
        check_party(&claims.iss, &claims.aud)?;
        let expires_at = check_end(claims.exp, now)?;
        let user = check(&claims)?;
        Ok(IssuerClaims { user, role: claims.role, grants: claims.grants()?.map(Into::into), expires_at })
    }
}

fn check(claims: &WireSubject) -> Result<std::sync::Arc<str>, AuthError> {
    match claims.role {
        Role::Anonymous => Err(AuthError::BadClaim("role")),
        Role::User | Role::Publisher | Role::Viewer | Role::Admin => subject(Some(&claims.sub)),
    }
}

#[cfg(test)]
mod tests {
    use santral_core::names::ChannelName;

    use super::*;
    use crate::auth::secrets::TokenKey;
    use crate::auth::{Authenticator, Credential, Presented, RoleGrants};
    use crate::config::Secret;
    use crate::ports::accounts::User;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn tokens(secret: &str) -> Tokens {
        let secret = Secret::new(secret.to_owned());
        let key = TokenKey::open(Some(&secret), std::path::Path::new("unused"));
        Tokens::new(&key.expect("the secret is strong"))
    }

    fn ours() -> Tokens {
        tokens("own-Zq8tL2xW9mR4kV7bN1cH6pJ3dF5sG0yT")
    }

    fn order(subject: &str, subscribe: &[&str]) -> SubjectOrder {
        let subscribe = subscribe.iter().map(|pattern| (*pattern).to_owned()).collect();
        SubjectOrder { subject: subject.to_owned(), subscribe, ..SubjectOrder::default() }
    }

    #[test]
    fn a_token_for_a_subject_gives_its_channels_and_no_others() {
        let token = ours().issue_for_subject(&order("script", &["a.*"]), Role::User, MINUTE, NOW).expect("all is good");
        let nothing = || Grants::default().into();
        let authenticator = Authenticator::new(ours(), None, RoleGrants { anonymous: nothing(), user: Grants::all() });
        let presented = Presented { bearer: Some(&token), ..Presented::default() };
        let principal = authenticator.authenticate(&presented, NOW).expect("it is ours");
        assert_eq!((&*principal.name, principal.role), ("jwt:script", Role::User));
        assert_eq!(principal.credential, Credential::Issuer);
        let channel = |name: &str| ChannelName::parse(name).expect("a good name");
        assert!(principal.grants.subscribe.allow(&channel("a.1")));
        assert!(!principal.grants.subscribe.allow(&channel("b")));
        assert!(!principal.grants.publish.allow(&channel("a.1")));
        let bare = ours().issue_for_subject(&order("script", &[]), Role::User, MINUTE, NOW).expect("all is good");
        let presented = Presented { bearer: Some(&bare), ..Presented::default() };
        let principal = authenticator.authenticate(&presented, NOW).expect("it is ours");
        assert!(principal.grants.publish.allow(&channel("b")), "the role decides");
    }

    #[test]
    fn a_token_that_is_over_or_of_another_key_or_kind_is_refused() {
        let token = ours().issue_for_subject(&order("script", &[]), Role::Admin, MINUTE, NOW).expect("all is good");
        let later = |seconds: i64| Timestamp(NOW.0 + seconds * 1_000_000);
        assert!(ours().verify_for_subject(&token, later(59)).is_ok());
        assert_eq!(ours().verify_for_subject(&token, later(60)), Err(AuthError::Expired));
        assert_eq!(ours().verify_access(&token, NOW), Err(AuthError::WrongType));
        assert!(matches!(ours().verify_refresh(&token, NOW), Err(AuthError::WrongType)));
        let other = tokens("else-Zq8tL2xW9mR4kV7bN1cH6pJ3dF5sG0yT");
        assert_eq!(other.verify_for_subject(&token, NOW), Err(AuthError::BadSignature));
        let user = User {
            id: "u".into(),
            name: "ada".to_owned(),
            password_hash: None,
            role: Role::User,
            token_version: 0,
            disabled_at: None,
            created_at: NOW,
        };
        let access = ours().issue_access(&user, "login", NOW);
        assert_eq!(ours().verify_for_subject(&access, NOW), Err(AuthError::WrongType));
    }

    #[test]
    fn what_makes_no_token_is_refused_before_it_is_signed() {
        let issue = |order: &SubjectOrder, role| ours().issue_for_subject(order, role, MINUTE, NOW);
        assert_eq!(issue(&order("", &[]), Role::User), Err(AuthError::BadClaim("sub")));
        assert_eq!(issue(&order("a b", &[]), Role::User), Err(AuthError::BadClaim("sub")));
        assert_eq!(issue(&order("x", &[]), Role::Anonymous), Err(AuthError::BadClaim("role")));
        assert_eq!(issue(&order("x", &["a b"]), Role::User), Err(AuthError::BadClaim("subscribe")));
    }
}
