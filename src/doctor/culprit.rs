//! Who stands between a client and the server, as far as headers tell, and what is to be written there.

use ureq::http::HeaderMap;

use super::client::header;

/// A kind of reverse proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxy {
    Nginx,
    Cloudflare,
    Apache,
    Caddy,
    Envoy,
    Haproxy,
    /// Nobody gave a name.
    Unknown,
}

impl Proxy {
    /// By what proxies write into answers.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key("cf-ray") {
            return Self::Cloudflare;
        }
        let said = ["server", "via"].map(|name| header(headers, name).unwrap_or_default().to_lowercase()).join(" ");
        let names = [
            ("cloudflare", Self::Cloudflare),
            ("nginx", Self::Nginx),
            ("openresty", Self::Nginx),
            ("apache", Self::Apache),
            ("caddy", Self::Caddy),
            ("envoy", Self::Envoy),
            ("haproxy", Self::Haproxy),
        ];
        names.into_iter().find(|(name, _)| said.contains(name)).map_or(Self::Unknown, |(_, proxy)| proxy)
    }

    /// As it stands in a sentence.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Cloudflare => "Cloudflare",
            Self::Apache => "Apache",
            Self::Caddy => "Caddy",
            Self::Envoy => "Envoy",
            Self::Haproxy => "HAProxy",
            Self::Unknown => "a proxy on the way",
        }
    }

    /// What lets a stream through at once.
    pub(super) fn unbuffer(self) -> &'static str {
        match self {
            Self::Nginx | Self::Unknown => {
                "in nginx: `proxy_buffering off;` in the location, and no `proxy_ignore_headers X-Accel-Buffering`; \
                 elsewhere: turn response buffering off for text/event-stream"
            }
            Self::Cloudflare => {
                "in Cloudflare: turn Response Buffering off for this path, and do not use a quick tunnel \
                 (trycloudflare.com), which holds streams back; then look at the proxy behind it: `proxy_buffering off;`"
            }
            Self::Apache => "in Apache: `ProxyPass … flushpackets=on`, and no mod_deflate for text/event-stream",
            Self::Caddy => "in Caddy: `flush_interval -1` in reverse_proxy",
            Self::Envoy => "in Envoy: no buffer filter on this route",
            Self::Haproxy => "in HAProxy: `option http-no-delay`",
        }
    }

    /// What keeps a silent stream open for longer than `seconds`.
    pub(super) fn allow_silence(self, seconds: u64) -> String {
        match self {
            Self::Nginx => format!("in nginx: `proxy_read_timeout {seconds}s;` in the location"),
            Self::Cloudflare => {
                "Cloudflare cuts after about 100 s without a byte: set heartbeat to at most 60s".to_owned()
            }
            Self::Apache => format!("in Apache: `ProxyPass … timeout={seconds}`"),
            Self::Caddy => "in Caddy: no `response_header_timeout` and `read_timeout` in the transport".to_owned(),
            Self::Envoy => format!("in Envoy: `timeout: 0s` and `idle_timeout: {seconds}s` on the route"),
            Self::Haproxy => format!("in HAProxy: `timeout server {seconds}s` and `timeout client {seconds}s`"),
            Self::Unknown => {
                format!("raise its idle timeout to {seconds} s (in nginx: `proxy_read_timeout {seconds}s;`)")
            }
        }
    }

    /// What leaves streams uncompressed.
    pub(super) fn leave_uncompressed(self) -> &'static str {
        match self {
            Self::Nginx | Self::Unknown => {
                "in nginx: take text/event-stream out of `gzip_types` and `brotli_types`, and do not hide Content-Encoding"
            }
            Self::Cloudflare => "in Cloudflare: a compression rule that leaves text/event-stream alone",
            Self::Apache => "in Apache: `SetEnvIf Request_URI /api/events no-gzip=1`",
            Self::Caddy => "in Caddy: no `encode` for text/event-stream",
            Self::Envoy => "in Envoy: take text/event-stream out of the compressor's content types",
            Self::Haproxy => "in HAProxy: take text/event-stream out of `compression type`",
        }
    }

    /// What keeps answers out of a cache.
    pub(super) fn leave_uncached(self) -> &'static str {
        match self {
            Self::Nginx | Self::Unknown => {
                "in nginx: `proxy_cache off;` in the location, and no `proxy_ignore_headers Cache-Control`"
            }
            Self::Cloudflare => "in Cloudflare: a cache rule that bypasses the cache for this host",
            Self::Apache => "in Apache: `CacheDisable /`",
            Self::Caddy => "in Caddy: no cache handler for this site",
            Self::Envoy => "in Envoy: no cache filter on this route",
            Self::Haproxy => "in HAProxy: no `http-request cache-use` for this backend",
        }
    }

    /// What lets the header `Authorization` through.
    pub(super) fn pass_authorization(self) -> &'static str {
        match self {
            Self::Nginx | Self::Unknown => {
                "in nginx: `proxy_set_header Authorization $http_authorization;`, and no `auth_basic` in front of Santral"
            }
            Self::Cloudflare => {
                "look at the proxy behind Cloudflare: `proxy_set_header Authorization $http_authorization;`"
            }
            Self::Apache => {
                "in Apache: no `RequestHeader unset Authorization`, and no AuthType Basic in front of Santral"
            }
            Self::Caddy => "in Caddy: no `header_up -Authorization`, and no basic_auth in front of Santral",
            Self::Envoy => "in Envoy: no `request_headers_to_remove` with authorization",
            Self::Haproxy => "in HAProxy: no `http-request del-header Authorization`",
        }
    }

    /// What lets WebSockets through.
    pub(super) fn pass_upgrade(self) -> &'static str {
        match self {
            Self::Nginx | Self::Unknown => {
                "in nginx: `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \
                 $santral_connection;` as in deploy/nginx"
            }
            Self::Cloudflare => {
                "in Cloudflare: Network, WebSockets on; then look at the proxy behind it: `proxy_set_header Upgrade $http_upgrade;`"
            }
            Self::Apache => "in Apache: `ProxyPass … upgrade=websocket`",
            Self::Caddy => "in Caddy: no `header_up -Upgrade`, and no `versions` without 1.1 in the transport",
            Self::Envoy => "in Envoy: `upgrade_configs` with `upgrade_type: websocket` on the route",
            Self::Haproxy => "in HAProxy: no `http-request del-header Upgrade`",
        }
    }

    /// What lets HTTP/1.1 through.
    pub(super) fn speak_http11(self) -> &'static str {
        match self {
            Self::Nginx | Self::Unknown => {
                "put a proxy of this century in front, or in nginx: `proxy_http_version 1.1;` at each hop"
            }
            Self::Cloudflare | Self::Apache | Self::Caddy | Self::Envoy | Self::Haproxy => {
                "take out what forces HTTP/1.0 (in Apache: force-response-1.0)"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ureq::http::HeaderValue;

    use super::*;

    #[test]
    fn proxies_are_known_by_what_they_write() {
        for (name, value, proxy) in [
            ("server", "nginx/1.22.1", Proxy::Nginx),
            ("server", "cloudflare", Proxy::Cloudflare),
            ("cf-ray", "8f", Proxy::Cloudflare),
            ("via", "1.1 Caddy", Proxy::Caddy),
            ("server", "something", Proxy::Unknown),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(Proxy::of(&headers), proxy, "{name}: {value}");
        }
    }
}
