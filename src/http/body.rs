//! Request bodies: bounded in size and in time, before anything is parsed.

use std::pin::pin;
use std::task::Poll;

use actix_web::http::header;
use actix_web::{HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use santral_core::limits::BODY_DEADLINE;

use super::problem::ApiError;
use crate::transport::detach::Ticket;

/// Reads a whole JSON body as text.
///
/// # Errors
/// [`ApiError`] for another media type, a body over `bytes_max`, a slow one, a broken one, or one
/// that is not UTF-8 (RFC 8259, section 8.1).
pub async fn read_json_text(
    request: &HttpRequest,
    payload: web::Payload,
    bytes_max: usize,
) -> Result<BodyText, ApiError> {
    let bytes = read_bytes(request, payload, &["application/json"], bytes_max).await?;
    text_of(bytes)
}

/// Reads a whole body as text, of whatever type.
///
/// # Errors
/// See [`read_json_text`].
pub async fn read_text(request: &HttpRequest, payload: web::Payload, bytes_max: usize) -> Result<BodyText, ApiError> {
    text_of(read_whole(request, payload, bytes_max).await?)
}

fn text_of(bytes: Bytes) -> Result<BodyText, ApiError> {
    let text = String::from_utf8(bytes.into()).map_err(|_| ApiError::InvalidJson("it is not UTF-8".to_owned()))?;
    Ok(BodyText(text))
}

/// Reads a whole body of one of these media types.
///
/// # Errors
/// [`ApiError`] for another media type, a body over `bytes_max`, a slow one, and a broken one.
pub async fn read_bytes(
    request: &HttpRequest,
    payload: web::Payload,
    media_types: &'static [&'static str],
    bytes_max: usize,
) -> Result<Bytes, ApiError> {
    if !is_one_of(request, media_types) {
        return Err(ApiError::UnsupportedMediaType(media_types));
    }
    read_whole(request, payload, bytes_max).await
}

async fn read_whole(request: &HttpRequest, payload: web::Payload, bytes_max: usize) -> Result<Bytes, ApiError> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse().ok()).is_some_and(|length: usize| length > bytes_max) {
        return Err(ApiError::BodyTooLarge(bytes_max));
    }
    let mut body = pin!(collect(payload, bytes_max));
    // A small body has come with its head, and then needs no timer.
    match futures_util::poll!(body.as_mut()) {
        Poll::Ready(bytes) => bytes,
        Poll::Pending => {
            let ticket = request.conn_data::<Ticket>().cloned().unwrap_or_default();
            ticket.set_waiting(true);
            let read = actix_rt::time::timeout(BODY_DEADLINE, body).await;
            ticket.set_waiting(false);
            read.map_err(|_| ApiError::BodyTimeout)?
        }
    }
}

/// Reads a JSON body that must be an object.
///
/// # Errors
/// See [`read_json_text`] and [`BodyText::parse_object`].
pub async fn read_object<T: DeserializeOwned>(
    request: &HttpRequest,
    payload: web::Payload,
    bytes_max: usize,
) -> Result<T, ApiError> {
    read_json_text(request, payload, bytes_max).await?.parse_object()
}

/// Reads a JSON body that must be an object, or may be absent altogether.
///
/// # Errors
/// See [`read_object`].
pub async fn read_optional_object<T: DeserializeOwned + Default>(
    request: &HttpRequest,
    payload: web::Payload,
    bytes_max: usize,
) -> Result<T, ApiError> {
    // RFC 9112, section 6.3: without either header, or with a length of 0, there is no body.
    let headers = request.headers();
    let is_empty = headers.get(header::CONTENT_LENGTH).is_none_or(|length| length == "0");
    match is_empty && !headers.contains_key(header::TRANSFER_ENCODING) {
        true => Ok(T::default()),
        false => read_object(request, payload, bytes_max).await,
    }
}

/// Reads an object as [`read_optional_object`] does, also where `navigator.sendBeacon` calls it plain text: no
/// right of anybody goes with the request, so a foreign page that sends one by a form gains nothing.
///
/// # Errors
/// See [`read_object`].
pub async fn read_beacon<T: DeserializeOwned + Default>(
    request: &HttpRequest,
    payload: web::Payload,
    bytes_max: usize,
) -> Result<T, ApiError> {
    if !request.headers().contains_key(header::CONTENT_TYPE) {
        return read_optional_object(request, payload, bytes_max).await;
    }
    let bytes = read_bytes(request, payload, &["application/json", "text/plain"], bytes_max).await?;
    text_of(bytes)?.parse_object()
}

/// A body that is UTF-8 within its bound.
pub struct BodyText(String);

impl BodyText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses the text.
    ///
    /// # Errors
    /// [`ApiError::InvalidJson`] says where and why.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_str(&self.0).map_err(|error| ApiError::InvalidJson(what_is_wrong(&error)))
    }

    /// Parses the text, which must be an object.
    ///
    /// # Errors
    /// [`ApiError::InvalidJson`] says where and why.
    pub fn parse_object<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        parse_object(&self.0).map_err(ApiError::InvalidJson)
    }
}

/// Parses an object: serde alone would take an array of the fields' values as well, and a string for the
/// name of a variant.
///
/// # Errors
/// Where and why, for people.
pub fn parse_object<'text, T: Deserialize<'text>>(text: &'text str) -> Result<T, String> {
    let found = match text.trim_start().chars().next() {
        Some('[') => Some("an array"),
        Some('"') => Some("a string"),
        _ => None,
    };
    if let Some(found) = found {
        return Err(format!("expected an object, found {found}"));
    }
    serde_json::from_str(text).map_err(|error| what_is_wrong(&error))
}

/// Where the text is not what it should be, and why, without repeating a value: it may be a password that
/// stands where an object should. The names of fields and variants stay.
#[must_use]
pub fn what_is_wrong(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let Some(kind_start) = ["invalid type: ", "invalid value: "].iter().find_map(|words| after(&text, words)) else {
        return text;
    };
    // The value is quoted behind its kind; what was expected is our own text, so the last such words are it.
    let value_start = text[kind_start..].find(['"', '`']).map(|index| kind_start + index);
    match (value_start, text.rfind(", expected ")) {
        (Some(start), Some(end)) if start < end => format!("{}{}", text[..start].trim_end(), &text[end..]),
        _ => text,
    }
}

fn after(text: &str, words: &str) -> Option<usize> {
    text.find(words).map(|index| index + words.len())
}

async fn collect(mut payload: web::Payload, bytes_max: usize) -> Result<Bytes, ApiError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| ApiError::BodyIncomplete)?;
        if body.len() + chunk.len() > bytes_max {
            return Err(ApiError::BodyTooLarge(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// A browser sends this type across origins only after asking, so no foreign page can post by form.
fn is_one_of(request: &HttpRequest, media_types: &[&str]) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    media_types.iter().any(|media_type| essence.eq_ignore_ascii_case(media_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Login {
        #[expect(dead_code, reason = "only its type is of interest")]
        password: String,
        #[expect(dead_code, reason = "only its type is of interest")]
        tries: Option<u32>,
    }

    #[test]
    fn no_value_is_repeated() {
        for (text, told) in [
            (r#""hunter2""#, "expected an object, found a string"),
            (r#"["hunter2"]"#, "expected an object, found an array"),
            ("31337", "invalid type: integer, expected struct Login at line 1 column 5"),
            (r#"{"tries":"hunter2\", expected \" `x`"}"#, "invalid type: string, expected u32 at line 1 column 37"),
            (r#"{"password":31337}"#, "invalid type: integer, expected a string at line 1 column 17"),
            (r#"{"password":-3133.7}"#, "invalid type: floating point, expected a string at line 1 column 19"),
            (r#"{"password":true}"#, "invalid type: boolean, expected a string at line 1 column 16"),
            (r#"{"password":["hunter2"]}"#, "invalid type: sequence, expected a string at line 1 column 12"),
            (
                r#"{"passwort":"hunter2"}"#,
                "unknown field `passwort`, expected `password` or `tries` at line 1 column 11",
            ),
            ("{}", "missing field `password` at line 1 column 2"),
            (r#"{"password":"hunter2\x"}"#, "invalid escape at line 1 column 22"),
        ] {
            assert_eq!(parse_object::<Login>(text).expect_err("it is wrong"), told, "{text}");
        }
    }
}
