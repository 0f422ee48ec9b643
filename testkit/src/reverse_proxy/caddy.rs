//! A private Caddy: its own storage and administration address, no certificates from elsewhere.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::{Place, ReverseProxy, Site, prepare_error};
use crate::process::{ProcessError, Server, ServerCommand, free_address};

/// A running Caddy.
#[derive(Debug)]
pub(super) struct Caddy {
    server: Server,
    folder: TempDir,
    program: PathBuf,
    admin: SocketAddr,
}

impl Caddy {
    pub(super) fn start(program: &Path, site: Site, place: &Place) -> Result<Self, ProcessError> {
        let failed = prepare_error("caddy");
        let folder = TempDir::with_prefix("santral-caddy-").map_err(&failed)?;
        let admin = free_address().map_err(&failed)?;
        let site = match &place.tls {
            None => site.replace(":80 {", &format!(":{} {{", place.plain.port())),
            Some((address, certificate)) => {
                let (chain, key) = (certificate.chain(), certificate.key());
                let port = address.port();
                let own = format!("https://:{port} {{\n\ttls {} {}", chain.display(), key.display());
                site.replace("santral.example.org {", &own)
            }
        };
        let file = folder.path().join("Caddyfile");
        fs::write(&file, with_options(&site, admin, place, folder.path())).map_err(&failed)?;
        let command =
            ServerCommand::new(program).arg("run").arg("--adapter").arg("caddyfile").arg("--config").arg(file);
        let server = command.env("HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path()).spawn()?;
        let mut caddy = Self { server, folder, program: program.to_owned(), admin };
        caddy.server.wait_for_tcp(place.address(), TIMEOUT)?;
        caddy.server.wait_for_tcp(admin, TIMEOUT)?;
        Ok(caddy)
    }
}

impl ReverseProxy for Caddy {
    fn reload(&mut self) -> Result<(), ProcessError> {
        let file = self.folder.path().join("Caddyfile");
        let command = ServerCommand::new(&self.program).arg("reload").arg("--adapter").arg("caddyfile");
        let command = command.arg("--config").arg(file).arg("--address").arg(self.admin.to_string()).arg("--force");
        let mut reload = command.env("HOME", self.folder.path()).spawn()?;
        // It returns once the new configuration serves.
        let status = reload.wait_exit(TIMEOUT)?;
        match status.success() {
            true => Ok(()),
            false => Err(ProcessError::Exited { program: "caddy reload".to_owned(), status, output: reload.output() }),
        }
    }

    fn log(&self) -> String {
        self.server.output()
    }
}

/// Adds to the site's global options, or begins with some, what keeps this instance to itself.
fn with_options(site: &Site, admin: SocketAddr, place: &Place, folder: &Path) -> String {
    let port = place.plain.port();
    let storage = folder.join("storage");
    let options = format!(
        "\tadmin {admin}\n\thttp_port {port}\n\tdefault_bind 127.0.0.1\n\tstorage file_system {}\n",
        storage.display()
    );
    let text = site.to_string();
    match text.split_once("\n{\n") {
        Some((before, after)) => format!("{before}\n{{\n{options}{after}"),
        None => format!("{{\n{options}}}\n{text}"),
    }
}

const TIMEOUT: Duration = Duration::from_secs(20);
