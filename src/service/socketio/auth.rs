//! What a client brings along when it joins a namespace.

/// The object behind CONNECT. Applications put what they like into it; what is not ours is passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Auth {
    /// An access token or an API key.
    pub token: Option<String>,
    /// Whether the socket shall outlive its connection.
    pub recover: Option<bool>,
    /// The socket that the client comes back to.
    pub pid: Option<String>,
    /// The place that it has seen.
    pub offset: Option<String>,
}

impl Auth {
    /// Reads the JSON text of an object. Fields of other types than ours are somebody else's.
    #[must_use]
    pub fn read(text: Option<&str>) -> Self {
        let fields: serde_json::Map<String, serde_json::Value> =
            text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let string = |name: &str| fields.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        Self {
            token: string("token"),
            recover: fields.get("recover").and_then(serde_json::Value::as_bool),
            pid: string("pid"),
            offset: string("offset"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_is_passed_over() {
        assert_eq!(Auth::read(None), Auth::default());
        assert_eq!(Auth::read(Some(r#"{"user":{"a":[1]},"token":7,"recover":"yes"}"#)), Auth::default());
        let auth = Auth::read(Some(r#"{"token":"t","recover":true,"pid":"p","offset":"o","x":null}"#));
        assert_eq!((auth.token.as_deref(), auth.recover), (Some("t"), Some(true)));
        assert_eq!((auth.pid.as_deref(), auth.offset.as_deref()), (Some("p"), Some("o")));
    }
}
