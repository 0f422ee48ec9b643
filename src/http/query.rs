//! Query strings: every parameter is known, or the request is refused.

use std::str::FromStr;

use actix_web::HttpRequest;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::problem::ApiError;

/// Reads the query; parameters may repeat where the type has a list.
///
/// # Errors
/// [`ApiError::InvalidQuery`] names the parameter.
pub fn parse<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, ApiError> {
    serde_html_form::from_str(request.query_string()).map_err(|error| ApiError::InvalidQuery(error.to_string()))
}

/// Reads the query of an operation that takes no parameter: a typo must not be passed over.
///
/// # Errors
/// [`ApiError::InvalidQuery`] names the parameter.
pub fn none(request: &HttpRequest) -> Result<(), ApiError> {
    parse::<NoQuery>(request).map(|NoQuery {}| ())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoQuery {}

/// How a switch is written; stands for `bool` in the parameters of queries.
#[derive(Debug, ToSchema)]
pub enum Switch {
    /// On.
    #[schema(rename = "1")]
    One,
    /// On.
    #[schema(rename = "true")]
    True,
    /// Off.
    #[schema(rename = "0")]
    Zero,
    /// Off.
    #[schema(rename = "false")]
    False,
}

/// A switch: `1` or `true`, `0` or `false`.
///
/// # Errors
/// Any other text.
pub fn switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        other => Err(D::Error::custom(format!("{other:?} is no switch: use 1 or 0"))),
    }
}

/// A switch that may be absent.
///
/// # Errors
/// See [`switch`].
pub fn optional_switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    switch(deserializer).map(Some)
}

/// A whole number that may be absent, in decimal digits. By itself serde_html_form would take an empty
/// one for absent, and `str::parse` a plus sign.
///
/// # Errors
/// Any other text, and a number that the type does not hold.
pub fn optional_number<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_decimal { text.parse().ok() } else { None };
    number.map(Some).ok_or_else(|| D::Error::custom(format!("{text:?} is no number that can stand here")))
}

/// Repeated parameters, each of which may be a list with commas; empty parts are passed over.
#[must_use]
pub fn split_lists(values: Vec<String>) -> Vec<String> {
    values.iter().flat_map(|value| value.split(',')).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Credentials in a query, for clients that cannot send headers.
#[derive(Debug, Default)]
pub struct Credentials {
    /// `token`: an access token or an API key.
    pub token: Option<String>,
    /// `ticket`: good for one use.
    pub ticket: Option<String>,
}

/// Reads the credentials of a query, wherever they stand in it; everything else is for [`parse`].
#[must_use]
pub fn credentials(request: &HttpRequest) -> Credentials {
    let pairs: Vec<(String, String)> = serde_html_form::from_str(request.query_string()).unwrap_or_default();
    let mut found = Credentials::default();
    for (name, value) in pairs {
        match name.as_str() {
            "token" => found.token = Some(value),
            "ticket" => found.ticket = Some(value),
            _ => (),
        }
    }
    found
}
