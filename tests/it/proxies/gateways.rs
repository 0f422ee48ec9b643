//! Every proxy in every configuration that is tested: as deployed, plain and with TLS, and as it comes.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use santral_testkit::certificate::Certificate;
use santral_testkit::reverse_proxy::{Place, Product, ReverseProxy, Site};
use santral_testkit::tls::TlsTunnel;

/// How a proxy is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    /// As in `deploy/`, without TLS.
    Plain,
    /// As in `deploy/`, with TLS.
    Tls,
    /// What an operator writes who has read nothing: the shortest that passes requests on.
    Shortest,
}

impl Setup {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Tls, Self::Shortest];

    /// As it stands in the matrix.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "deployed, plain",
            Self::Tls => "deployed, TLS",
            Self::Shortest => "its defaults",
        }
    }

    fn site(self, product: Product) -> Site {
        let path = match (self, product) {
            (Self::Shortest, Product::Nginx) => return Site::new(NGINX),
            (Self::Shortest, Product::Haproxy) => return Site::new(HAPROXY),
            (Self::Shortest, Product::Caddy) => return Site::new(CADDY),
            (Self::Shortest, Product::Apache) => return Site::new(APACHE),
            (Self::Plain, Product::Nginx) => "deploy/nginx/plain.conf",
            (Self::Plain, Product::Haproxy) => "deploy/haproxy/plain.cfg",
            (Self::Plain, Product::Caddy) => "deploy/caddy/plain.Caddyfile",
            (Self::Plain, Product::Apache) => "deploy/apache/plain.conf",
            (Self::Tls, Product::Nginx) => "deploy/nginx/tls.conf",
            (Self::Tls, Product::Haproxy) => "deploy/haproxy/tls.cfg",
            (Self::Tls, Product::Caddy) => "deploy/caddy/tls.Caddyfile",
            (Self::Tls, Product::Apache) => "deploy/apache/tls.conf",
        };
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
        Site::new(&text.unwrap_or_else(|error| panic!("{path}: {error}")))
    }
}

/// A proxy that runs in front of a server, and the way to it for clients that speak no TLS.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) product: Product,
    pub(crate) setup: Setup,
    pub(crate) proxy: Box<dyn ReverseProxy>,
    pub(crate) place: Place,
    tunnel: Option<TlsTunnel>,
}

impl Gateway {
    /// `None`, said loudly, where a tool is missing.
    pub(crate) fn start(product: Product, setup: Setup, server: SocketAddr) -> Option<Self> {
        let certificate = match setup {
            Setup::Tls => Some(Certificate::for_loopback().expect("openssl makes a certificate")?),
            Setup::Plain | Setup::Shortest => None,
        };
        let mut attempts = 0;
        let (place, proxy) = loop {
            attempts += 1;
            let place = Place::before(server, certificate.clone()).expect("loopback has free ports");
            match product.start(setup.site(product), &place) {
                Ok(proxy) => break (place, proxy?),
                // A client of another test may have taken a port between its choice and its use.
                Err(error) if attempts < 3 && error.to_string().contains("ddress already in use") => {}
                Err(error) => panic!("{}, {}: {error}", product.name(), setup.name()),
            }
        };
        let open = |(address, certificate): &(SocketAddr, Certificate)| TlsTunnel::open(*address, certificate);
        let tunnel = place.tls.as_ref().map(open).transpose().expect("the tunnel opens");
        Some(Self { product, setup, proxy, place, tunnel })
    }

    /// Every proxy that is installed, in every configuration.
    pub(crate) fn start_all(server: SocketAddr) -> Vec<Self> {
        let pairs = Product::ALL.into_iter().flat_map(|product| Setup::ALL.map(|setup| (product, setup)));
        pairs.filter_map(|(product, setup)| Self::start(product, setup, server)).collect()
    }

    /// Where clients go, in the clear.
    pub(crate) fn address(&self) -> SocketAddr {
        self.tunnel.as_ref().map_or(self.place.plain, TlsTunnel::address)
    }

    pub(crate) fn name(&self) -> String {
        format!("{}, {}", self.product.name(), self.setup.name())
    }
}

const NGINX: &str = "\
server {
    listen 80; listen [::]:80;
    location / { proxy_pass http://127.0.0.1:8080; }
}
";

const HAPROXY: &str = "\
frontend web
    bind :80
    default_backend santral

backend santral
    server santral 127.0.0.1:8080
";

const CADDY: &str = "\
:80 {
	reverse_proxy 127.0.0.1:8080
}
";

const APACHE: &str = "\
<VirtualHost *:80>
    ProxyPass / http://127.0.0.1:8080/
</VirtualHost>
";
