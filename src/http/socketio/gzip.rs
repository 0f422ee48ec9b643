//! Compression of long answers to polls.

use std::io::Write;

use actix_web::HttpRequest;
use actix_web::http::header;
use flate2::Compression;
use flate2::write::GzEncoder;

use santral_core::limits::ENGINEIO_GZIP_BYTES_MIN;

/// The body compressed, where it is long enough and the client takes gzip (RFC 9110, section 12.5.3).
pub(super) fn compressed(request: &HttpRequest, body: &[u8]) -> Option<Vec<u8>> {
    let accepted = request.headers().get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    if body.len() < ENGINEIO_GZIP_BYTES_MIN || !takes_gzip(accepted) {
        return None;
    }
    // Once for each client and poll: the cheapest level.
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn takes_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        let is_refused = parts.any(|part| {
            part.strip_prefix("q=").is_some_and(|weight| weight.parse::<f32>().is_ok_and(|weight| weight == 0.0))
        });
        is_gzip && !is_refused
    })
}

#[cfg(test)]
mod tests {
    use super::takes_gzip;

    #[test]
    fn gzip_is_taken_unless_it_is_refused() {
        for accepted in ["gzip", "gzip, deflate, br", "br, GZIP;q=0.5", "*"] {
            assert!(takes_gzip(accepted), "{accepted}");
        }
        for accepted in ["", "br", "identity", "gzip;q=0", "deflate, gzip; q=0.0"] {
            assert!(!takes_gzip(accepted), "{accepted}");
        }
    }
}
