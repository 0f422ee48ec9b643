//! A private nginx in front of a server under test: own folder, own port, own processes.
//!
//! The test gives the inside of the `server` block, or all that stands in `http`; everything else is as
//! small as nginx allows. A reload is waited for by what nginx logs, so that a test knows which configuration serves.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{ProcessError, Server, ServerCommand, Signal, free_address};
use crate::tools::require_tool;

/// A running nginx. Dropping it kills it and deletes its folder.
#[derive(Debug)]
pub struct Nginx {
    server: Server,
    folder: TempDir,
    address: SocketAddr,
    reloads: usize,
}

impl Nginx {
    /// Starts nginx with this inside of its `server` block (locations and settings; `listen` is
    /// written already); `None`, said loudly, when nginx is not installed.
    ///
    /// # Errors
    /// [`ProcessError`] with nginx's own words, for instance about the configuration.
    pub fn start(server_block: &str) -> Result<Option<Self>, ProcessError> {
        Self::start_with("", server_block)
    }

    /// As [`Nginx::start`], with further lines for the `http` block, such as an `upstream`.
    ///
    /// # Errors
    /// As [`Nginx::start`].
    pub fn start_with(http_block: &str, server_block: &str) -> Result<Option<Self>, ProcessError> {
        let address = free_address().map_err(prepare_error)?;
        Self::start_http(address, &with_server(address, http_block, server_block))
    }

    /// Starts nginx with this inside of its `http` block, where something listens at `address`.
    ///
    /// # Errors
    /// As [`Nginx::start`].
    pub fn start_http(address: SocketAddr, http: &str) -> Result<Option<Self>, ProcessError> {
        let Some(program) = require_tool("nginx") else {
            return Ok(None);
        };
        let folder = TempDir::with_prefix("santral-nginx-").map_err(prepare_error)?;
        let file = folder.path().join("nginx.conf");
        write_configuration(&folder, http)?;
        let command = ServerCommand::new(program).arg("-e").arg("stderr").arg("-c").arg(file);
        let server = command.spawn()?;
        let mut nginx = Self { server, folder, address, reloads: 0 };
        nginx.server.wait_for_tcp(address, START_TIMEOUT)?;
        Ok(Some(nginx))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process id of the master.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Replaces the configuration and reloads (SIGHUP); returns once new workers serve it. Old
    /// workers live on for the connections they have.
    ///
    /// # Errors
    /// [`ProcessError::Deadline`] with nginx's own words when it does not like the new one.
    pub fn reload(&mut self, http_block: &str, server_block: &str) -> Result<(), ProcessError> {
        write_configuration(&self.folder, &with_server(self.address, http_block, server_block))?;
        self.reload_unchanged()
    }

    /// Reloads the configuration that it has, as after a new certificate.
    ///
    /// # Errors
    /// As [`Nginx::reload`].
    pub fn reload_unchanged(&mut self) -> Result<(), ProcessError> {
        self.server.signal(Signal::HUP)?;
        self.reloads += 1;
        let mut retired = 0;
        let old_worker = |line: &str| {
            let (head, _) = line.split_once(": gracefully shutting down")?;
            retired += 1;
            // "2026/01/31 12:00:00 [notice] 123#123"
            let pid = head.rsplit(' ').next()?.split('#').next()?;
            (retired == self.reloads).then(|| pid.to_owned())
        };
        let old_worker = self.server.wait_for_line(old_worker, START_TIMEOUT)?;
        // It says so just before it closes its listening socket.
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline && listens(&old_worker, self.address) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Stops it at once (SIGTERM); open connections are closed.
    ///
    /// # Errors
    /// [`ProcessError::Deadline`] if it does not end.
    pub fn stop(mut self) -> Result<(), ProcessError> {
        self.server.terminate(START_TIMEOUT).map(drop)
    }

    /// The access log so far.
    #[must_use]
    pub fn access_log(&self) -> String {
        fs::read_to_string(self.access_log_path()).unwrap_or_default()
    }

    /// What nginx has said on its error log so far.
    #[must_use]
    pub fn error_log(&self) -> String {
        self.server.output()
    }

    fn access_log_path(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }
}

fn with_server(address: SocketAddr, http_block: &str, server_block: &str) -> String {
    format!("{http_block}\n    server {{\n        listen {address};\n{server_block}\n    }}")
}

fn write_configuration(folder: &TempDir, http: &str) -> Result<(), ProcessError> {
    // As root nginx would hand its workers to `nobody`, who may not enter our folder.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let path = folder.path().display();
    let text = format!(
        "{user}
daemon off;
worker_processes 1;
pid {path}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 8192; }}
http {{
    access_log {path}/access.log;
    client_body_temp_path {path}/body;
    proxy_temp_path {path}/proxy;
    fastcgi_temp_path {path}/fastcgi;
    uwsgi_temp_path {path}/uwsgi;
    scgi_temp_path {path}/scgi;
{http}
}}
"
    );
    fs::write(folder.path().join("nginx.conf"), text).map_err(prepare_error)
}

/// Whether that process still holds the listening socket; false when it is gone.
fn listens(pid: &str, address: SocketAddr) -> bool {
    let port = format!(":{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let sockets: Vec<String> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() > 9 && fields[1].ends_with(&port) && fields[3] == "0A")
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect();
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
}

fn prepare_error(source: io::Error) -> ProcessError {
    ProcessError::Prepare { program: "nginx".to_owned(), source }
}

const START_TIMEOUT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Request;

    #[test]
    fn it_serves_reloads_and_stops() {
        let first = "location / { return 200 one; }";
        let Some(mut nginx) = Nginx::start(first).expect("nginx starts") else {
            return;
        };
        let address = nginx.address();
        let get = || Request::get("/x?y").send(address, START_TIMEOUT);
        assert_eq!(get().expect("it serves").text(), "one");
        for text in ["two", "three"] {
            let block = format!("location / {{ return 200 {text}; }}");
            nginx.reload("", &block).expect("the configuration is good");
            assert_eq!(get().expect("it serves").text(), text);
        }
        assert!(nginx.access_log().contains("/x?y"));
        nginx.stop().expect("it ends");
        assert!(get().is_err());
    }

    #[test]
    fn a_bad_configuration_is_an_error_in_its_own_words() {
        if require_tool("nginx").is_none() {
            return;
        }
        let error = Nginx::start("no_such_thing on;").expect_err("nginx refuses it");
        assert!(error.to_string().contains("no_such_thing"), "{error}");
    }
}
