//! The reverse proxies that people put in front of Santral, each a private instance with its own
//! folder, ports and processes.
//!
//! An instance runs a configuration as it is deployed: what stands in `deploy/` is read, and only
//! addresses and certificates are replaced. What Debian's packages configure around it (`http` of
//! nginx, `defaults` of HAProxy, the modules of Apache) is written here as the packages have it.

mod apache;
mod caddy;
mod haproxy;

use std::fmt::{self, Debug};
use std::io;
use std::net::SocketAddr;
use std::process::Command;

use crate::certificate::Certificate;
use crate::nginx::Nginx;
use crate::process::{ProcessError, free_address};
use crate::tools::{find_tool, require_tool};

/// A reverse proxy that Debian packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Caddy.
    Caddy,
    /// Apache httpd with `mod_proxy_http`.
    Apache,
}

impl Product {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nginx, Self::Haproxy, Self::Caddy, Self::Apache];

    /// As its makers write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Caddy => "Caddy",
            Self::Apache => "Apache",
        }
    }

    /// The program.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Caddy => "caddy",
            Self::Apache => "apache2",
        }
    }

    /// The version that is installed, such as `1.22.1`; `None` when there is none.
    #[must_use]
    pub fn version(self) -> Option<String> {
        let argument = if self == Self::Caddy { "version" } else { "-v" };
        let output = Command::new(find_tool(self.program())?).arg(argument).output().ok()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let is_version = |word: &&str| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.');
        said.split([' ', '/', '-', '\n']).find(is_version).map(str::to_owned)
    }

    /// Starts a private instance with what is deployed as `site`; `None`, said loudly, when it is not installed.
    ///
    /// # Errors
    /// [`ProcessError`] with its own words, for instance about the configuration.
    ///
    /// # Panics
    /// When the site has not the addresses and files which are to be replaced, see [`Site`].
    pub fn start(self, site: Site, place: &Place) -> Result<Option<Box<dyn ReverseProxy>>, ProcessError> {
        let Some(program) = require_tool(self.program()) else {
            return Ok(None);
        };
        let site = site.replace("127.0.0.1:8080", &place.upstream.to_string());
        let started: Box<dyn ReverseProxy> = match self {
            Self::Nginx => match Nginx::start_http(place.address(), &nginx_site(site, place))? {
                Some(nginx) => Box::new(nginx),
                None => return Ok(None),
            },
            Self::Haproxy => Box::new(haproxy::Haproxy::start(&program, site, place)?),
            Self::Caddy => Box::new(caddy::Caddy::start(&program, site, place)?),
            Self::Apache => Box::new(apache::Apache::start(&program, site, place)?),
        };
        Ok(Some(started))
    }
}

/// A running proxy. Dropping it kills it.
pub trait ReverseProxy: Debug + Send {
    /// Reloads the configuration as its makers recommend, so that streams may live on; returns once
    /// the new one serves.
    ///
    /// # Errors
    /// [`ProcessError`] with its own words.
    fn reload(&mut self) -> Result<(), ProcessError>;

    /// What it has said so far.
    fn log(&self) -> String;
}

impl ReverseProxy for Nginx {
    fn reload(&mut self) -> Result<(), ProcessError> {
        self.reload_unchanged()
    }

    fn log(&self) -> String {
        self.error_log()
    }
}

/// Where an instance listens, and what stands behind it.
#[derive(Debug)]
pub struct Place {
    /// The server.
    pub upstream: SocketAddr,
    /// What the site's port 80 becomes.
    pub plain: SocketAddr,
    /// What the site's port 443 becomes, and with which certificate.
    pub tls: Option<(SocketAddr, Certificate)>,
}

impl Place {
    /// Free ports in front of a server; TLS with the certificate, if there is one.
    ///
    /// # Errors
    /// When the machine has no free port.
    pub fn before(upstream: SocketAddr, certificate: Option<Certificate>) -> io::Result<Self> {
        let tls = certificate.map(|certificate| Ok::<_, io::Error>((free_address()?, certificate))).transpose()?;
        Ok(Self { upstream, plain: free_address()?, tls })
    }

    /// Where clients go.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.tls.as_ref().map_or(self.plain, |(address, _)| *address)
    }
}

/// The text of a configuration file as it is deployed, of which parts are replaced.
#[derive(Debug, Clone)]
pub struct Site(String);

impl Site {
    /// The text as it stands in the file.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Puts `to` in the place of each `from`.
    ///
    /// # Panics
    /// When there is no `from`: a file that has changed shall not be tested with half of its ports.
    #[must_use]
    pub fn replace(self, from: &str, to: &str) -> Self {
        assert!(self.0.contains(from), "{from:?} is not in the configuration:\n{}", self.0);
        Self(self.0.replace(from, to))
    }
}

impl fmt::Display for Site {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn nginx_site(site: Site, place: &Place) -> String {
    let site = site.replace("listen 80; listen [::]:80;", &format!("listen {};", place.plain));
    let site = match &place.tls {
        None => site,
        Some((address, certificate)) => site
            .replace("listen 443 ssl http2; listen [::]:443 ssl http2;", &format!("listen {address} ssl http2;"))
            .replace(CERTIFICATE, &certificate.chain().display().to_string())
            .replace(KEY, &certificate.key().display().to_string()),
    };
    // As Debian's nginx.conf has it.
    format!("    gzip on;\n{site}")
}

fn prepare_error(program: &str) -> impl Fn(io::Error) -> ProcessError {
    let program = program.to_owned();
    move |source| ProcessError::Prepare { program: program.clone(), source }
}

/// The files that deployed configurations name.
const CERTIFICATE: &str = "/etc/letsencrypt/live/santral.example.org/fullchain.pem";
const KEY: &str = "/etc/letsencrypt/live/santral.example.org/privkey.pem";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "is not in the configuration")]
    fn a_site_without_what_is_to_be_replaced_is_refused() {
        let _site = Site::new("listen 81;").replace("listen 80;", "listen 127.0.0.1:1;");
    }

    #[test]
    fn versions_are_read_from_what_programs_say() {
        for product in Product::ALL {
            if require_tool(product.program()).is_some() {
                let version = product.version().expect("it says its version");
                assert!(version.split('.').count() >= 2, "{version}");
            }
        }
    }
}
