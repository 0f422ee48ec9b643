//! A private HAProxy: master and worker, as Debian's unit starts it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::{Place, ReverseProxy, Site, prepare_error};
use crate::process::{ProcessError, Server, ServerCommand, Signal};

/// A running HAProxy.
#[derive(Debug)]
pub(super) struct Haproxy {
    server: Server,
    _folder: TempDir,
    loads: usize,
}

impl Haproxy {
    pub(super) fn start(program: &Path, site: Site, place: &Place) -> Result<Self, ProcessError> {
        let failed = prepare_error("haproxy");
        let folder = TempDir::with_prefix("santral-haproxy-").map_err(&failed)?;
        let site = site.replace("bind :80", &format!("bind {}", place.plain));
        let site = match &place.tls {
            None => site,
            Some((address, certificate)) => {
                let bundle = [certificate.chain(), certificate.key()].map(fs::read_to_string);
                let [chain, key] = bundle;
                let file = folder.path().join("bundle.pem");
                fs::write(&file, chain.map_err(&failed)? + &key.map_err(&failed)?).map_err(&failed)?;
                site.replace("bind :443", &format!("bind {address}"))
                    .replace("/etc/haproxy/santral.example.org.pem", &file.display().to_string())
            }
        };
        let (around, file) = (folder.path().join("debian.cfg"), folder.path().join("site.cfg"));
        fs::write(&around, AS_DEBIAN_HAS_IT).map_err(&failed)?;
        fs::write(&file, site.to_string()).map_err(&failed)?;
        let server = ServerCommand::new(program).arg("-W").arg("-f").arg(around).arg("-f").arg(file).spawn()?;
        let mut haproxy = Self { server, _folder: folder, loads: 0 };
        haproxy.wait_for_load()?;
        haproxy.server.wait_for_tcp(place.address(), TIMEOUT)?;
        Ok(haproxy)
    }

    fn wait_for_load(&mut self) -> Result<(), ProcessError> {
        self.loads += 1;
        let mut seen = 0;
        let is_loaded = |line: &str| {
            seen += usize::from(line.contains("Loading success"));
            (seen == self.loads).then_some(())
        };
        self.server.wait_for_line(is_loaded, TIMEOUT)
    }
}

impl ReverseProxy for Haproxy {
    fn reload(&mut self) -> Result<(), ProcessError> {
        self.server.signal(Signal::USR2)?;
        self.wait_for_load()
    }

    fn log(&self) -> String {
        self.server.output()
    }
}

/// What stands in `defaults` of the package's file, as far as it matters here.
const AS_DEBIAN_HAS_IT: &str = "\
defaults
    mode http
    option dontlognull
    timeout connect 5000
    timeout client  50000
    timeout server  50000
";

const TIMEOUT: Duration = Duration::from_secs(20);
